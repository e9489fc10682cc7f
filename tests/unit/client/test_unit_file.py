"""The unit that we ship for the agent, read by systemd itself (which starts nothing here)."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from acme_manager.cli.goflags import read_or_exit
from acme_manager.client.access import CREDENTIAL
from acme_manager.client.agent import STOP_BUDGET
from acme_manager.client.flags import ClientFlags

ROOT = Path(__file__).parents[3]
UNIT = (ROOT / "config/systemd/acme-manager-client.service").read_text()
SETTINGS = dict(re.findall(r"(?m)^(\w+)=(.*)$", UNIT.replace("\\\n", "")))


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """A copy whose program exists: systemd looks for it."""
    copy = tmp_path / "acme-manager-client.service"
    copy.write_text(UNIT.replace("/usr/bin/acme-manager-client", "/bin/true"))
    return copy


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=30, check=False)


def test_systemd_has_no_complaint_and_would_have_one(unit: Path) -> None:
    verified = analyze("verify", unit)
    assert (verified.returncode, verified.stderr) == (0, "")
    unit.write_text(unit.read_text().replace("ProtectHome=", "ProtectHom="))
    assert analyze("verify", unit).stderr != ""


def test_it_is_confined(unit: Path) -> None:
    judged = analyze("security", "--offline=yes", "--threshold=30", unit)
    assert judged.returncode == 0, judged.stdout


def test_its_command_line_is_understood_and_has_no_token() -> None:
    program, *arguments = SETTINGS["ExecStart"].split()
    flags = read_or_exit(ClientFlags, program, arguments)
    assert (flags.config_path, flags.manager_token) == ("/etc/acme-manager/client-config.yml", "")
    assert SETTINGS["LoadCredential"].partition(":")[0] == CREDENTIAL


def test_systemd_waits_longer_than_a_run_may_take_to_end() -> None:
    assert int(SETTINGS["TimeoutStopSec"].removesuffix("s")) > STOP_BUDGET


def test_the_example_s_folder_can_be_written_to() -> None:
    common = yaml.safe_load((ROOT / "config/example-client.yml").read_text())["common"]
    assert common["certificate_dir"].startswith(f"/var/lib/{SETTINGS['StateDirectory']}/")
