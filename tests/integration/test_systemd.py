"""The unit that we ship, read by systemd itself (which starts nothing here)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from acme_manager import app
from acme_manager.cli.goflags import read_or_exit
from acme_manager.config.model import Flags

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "config/systemd/acme-manager.service"

# Everything that may be called while a certificate is issued, where no memory becomes executable that was writable.
_CONFINED = """
import ctypes, errno, os, sys, trio
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN
    sys.exit(77 if ctypes.get_errno() == errno.EINVAL else 1)
if libc.mmap(0, 4096, 7, 0x22, -1, 0) not in (-1, None):  # all of PROT_*, MAP_PRIVATE | MAP_ANONYMOUS
    sys.exit("the confinement does not work")
from tests.unit.api.served import open_server
async def issue():
    async with open_server() as server, server.client() as client:
        body = {"domain": "a.example", "issuer": "test", "key_type": "rsa2048"}
        answer = await client.post("/api/v1/certificate", json=body, headers=server.api.token())
        assert answer.status_code == 201, answer.text
trio.run(issue)
"""


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """A copy whose program exists: systemd looks for it."""
    program = tmp_path / "acme-manager-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/usr/bin/acme-manager-server", str(program)))
    return copy


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=30, check=False)


def test_systemd_has_no_complaint(unit: Path) -> None:
    verified = analyze("verify", unit)
    assert (verified.returncode, verified.stderr) == (0, "")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("ProtectHome=", "ProtectHom="), ("RestartSec=5s", "RestartSec=soon"), ("acme-manager-server", "no-such-program")],
)
def test_systemd_would_complain(unit: Path, right: str, wrong: str) -> None:
    """Its exit code alone says nothing of unknown keys and wrong values."""
    unit.write_text(unit.read_text().replace(right, wrong))
    assert analyze("verify", unit).stderr != ""


def test_the_service_is_confined(unit: Path) -> None:
    """At most 3.0 of 10 on systemd's scale of exposure."""
    judged = analyze("security", "--offline=yes", "--threshold=30", unit)
    assert judged.returncode == 0, judged.stdout
    unit.write_text(re.sub(r"(?m)^(Protect|Restrict|SystemCall|Capability).*\n", "", unit.read_text()))
    assert analyze("security", "--offline=yes", "--threshold=30", unit).returncode != 0


def test_its_command_line_is_understood_and_forms_a_cluster() -> None:
    program, *arguments = settings()["ExecStart"].split()
    assert program == "/usr/bin/acme-manager-server"
    flags = read_or_exit(Flags, program, [one.replace("%H", "node1") for one in arguments])
    assert (flags.config_path, flags.env_config_path) == ("/etc/acme-manager/config.yml", "/etc/acme-manager/.env")
    assert flags.ring_instance_id == "node1"
    assert flags.ring_join_members.split(",") == [f"node{n}:{flags.ring_instance_port}" for n in (1, 2, 3)]


def test_systemd_waits_longer_than_the_server_does() -> None:
    assert int(settings()["TimeoutStopSec"].removesuffix("s")) > app._STOP_BUDGET


def test_the_example_s_folders_can_be_written_to() -> None:
    folder = f"/var/lib/{settings()['StateDirectory']}/"
    common = yaml.safe_load((ROOT / "config/example.yml").read_text())["common"]
    assert [common[name].startswith(folder) for name in ("rootpath_account", "rootpath_certificate")] == [True, True]


def test_the_server_needs_no_memory_that_is_writable_and_executable() -> None:
    assert settings()["MemoryDenyWriteExecute"] == "yes"
    run = subprocess.run(
        [sys.executable, "-c", _CONFINED], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    if run.returncode == 77:
        pytest.skip("this kernel can't deny it to a process (PR_SET_MDWE, Linux 6.3)")
    assert run.returncode == 0, run.stderr


def settings() -> dict[str, str]:
    """The last value of every key."""
    text = UNIT.read_text().replace("\\\n", "")
    return dict(re.findall(r"(?m)^(\w+)=(.*)$", text))
