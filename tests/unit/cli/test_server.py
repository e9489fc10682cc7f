from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio

from acme_manager import app
from acme_manager.cli import cleanup, rollover, server
from acme_manager.config.model import Config, Flags
from acme_manager.dev import run as dev_run
from acme_manager.errors import Complaint, ConfigInvalid, StorageUnavailable

CONFIG = """
common: {rootpath_account: /var/lib/acme-manager}
issuer: {le: {ca_dir_url: "https://ca.example/dir"}}
storage: {vault: {url: "https://vault", role_id: r, secret_id: s, secret_engine: e, certificate_prefix: c}}
"""


@pytest.fixture(autouse=True)
def untouched_logging() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers, root.level
    yield
    structlog.reset_defaults()
    root.handlers = before[0]
    root.setLevel(before[1])


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "config.yml"
    file.write_text(CONFIG)
    return file


class Served:
    """Stands in for the server itself."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.config: Config | None = None
        self.flags: Flags | None = None

    async def __call__(self, config: Config, flags: Flags) -> None:
        self.config, self.flags = config, flags
        if self.error is not None:
            async with trio.open_nursery():
                raise self.error


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Served:
    stand_in = Served()
    monkeypatch.setattr(app, "serve", stand_in)
    return stand_in


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_server_gets_flags_configuration_and_variables(
    config: Path, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    (config.parent / ".env").write_text("FROM_FILE=1\nFROM_BOTH=file\n")
    monkeypatch.setenv("FROM_BOTH", "process")
    assert server.main(["-ring.instance-id=n1"]) == 0
    assert served.config is not None
    assert served.flags is not None
    assert served.flags.ring_instance_id == "n1"
    assert (served.config.environ["FROM_FILE"], served.config.environ["FROM_BOTH"]) == ("1", "process")
    assert "FROM_FILE" not in os.environ


def test_version_prints_the_block_and_reads_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert server.main(["-version", "-config-path=/nonexistent"]) == 0
    first, *others = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"acme-manager-server, version \d+\.\d+\.\d+ \(branch: \S+, revision: \S+\)", first)
    assert [line.partition(":")[0].strip() for line in others] == [
        "build user", "build date", "python version", "platform", "tags",
    ]  # fmt: skip


def test_config_check_says_that_a_file_is_valid(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert server.main(["-config-check", f"-config-path={config}"]) == 0
    assert capsys.readouterr().out == "config file is valid\n"


def test_config_check_prints_every_complaint_on_a_line(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(CONFIG.replace("https://ca", "http://ca").replace("role_id", "rol_id"))
    assert server.main(["-config-check"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "issuer.le.ca_dir_url: must be an https URL; plain http is allowed to loopback only (line 3)",
        "storage.vault.role_id: is missing: the role id of our AppRole (line 4)",
        "storage.vault.rol_id: is no key of ours, did you mean 'role_id'? (line 4)",
    ]


def test_a_start_with_a_wrong_file_logs_every_complaint_and_ends_with_1(
    config: Path, served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(CONFIG.replace("https://ca", "http://ca").replace("role_id", "rol_id"))
    assert server.main(["-log.format=json"]) == 1
    assert [line["where"] for line in lines(capsys)] == [
        "issuer.le.ca_dir_url",
        "storage.vault.role_id",
        "storage.vault.rol_id",
    ]
    assert served.config is None


def test_a_wrong_env_file_is_a_warning_that_names_the_line_and_nothing_of_it_is_set(
    config: Path, served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    (config.parent / ".env").write_text("FIRST=1\nhidden value\n")
    assert server.main(["-log.format=json"]) == 0
    (line,) = lines(capsys)
    assert (line["level"], line["path"]) == ("warn", ".env")
    assert line["err"].startswith("line 2: expected KEY=VALUE")
    assert served.config is not None
    assert "FIRST" not in served.config.environ


def test_a_missing_env_file_is_no_news(config: Path, served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert server.main([]) == 0
    assert capsys.readouterr().out == ""
    assert server.main(["-log.level=debug", "-log.format=json"]) == 0
    (line,) = lines(capsys)
    assert line["level"] == "debug"


def test_an_accepted_plugin_without_checksum_is_warned_of(
    config: Path, served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = config.parent / "plugin"
    plugin.write_text("#!/bin/sh\n")
    plugin.chmod(0o755)
    config.write_text(CONFIG.replace("common: {", f"common: {{plugins: [{{name: p, path: {plugin}}}], "))
    assert server.main([]) == 1
    capsys.readouterr()
    assert server.main(["-allow-unverified-plugins", "-log.format=json"]) == 0
    (line,) = lines(capsys)
    assert (line["level"], line["plugin"]) == ("warn", "p")


def test_an_error_we_foresee_ends_in_one_line_that_names_it_without_a_traceback(
    config: Path, served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    served.error = StorageUnavailable("https://vault does not answer")
    assert server.main(["-log.format=json"]) == 1
    (line,) = lines(capsys)
    assert (line["level"], line["err"]) == ("error", "StorageUnavailable: https://vault does not answer")
    assert "exception" not in line


def test_an_error_nobody_foresaw_ends_in_one_line_with_its_traceback(
    config: Path, served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    served.error = ExceptionGroup("inner", [ZeroDivisionError("by zero"), OSError("disk")])
    assert server.main(["-log.format=json"]) == 1
    (line,) = lines(capsys)
    assert line["err"] == "ZeroDivisionError: by zero; OSError: disk"
    assert "Traceback" in line["exception"]


def test_a_configuration_that_only_a_part_of_the_server_refuses_is_reported_like_any(
    config: Path, served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    served.error = ConfigInvalid("command line", [Complaint("-server.listen-address", "is taken")])
    assert server.main(["-log.format=json"]) == 1
    (line,) = lines(capsys)
    assert (line["source"], line["where"], line["err"]) == ("command line", "-server.listen-address", "is taken")


def test_an_interrupt_ends_quietly_with_130(config: Path, served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    served.error = KeyboardInterrupt()
    assert server.main([]) == 130
    assert capsys.readouterr().out == ""


def test_development_mode_needs_no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Flags] = []

    async def serve_dev(flags: Flags) -> None:
        started.append(flags)

    monkeypatch.setattr(dev_run, "serve_dev", serve_dev)
    monkeypatch.chdir(tmp_path)
    assert server.main(["-dev", "-dev.data=/somewhere"]) == 0
    assert started[0].dev_data == "/somewhere"


def test_an_account_is_rolled_over_only_at_an_issuer_that_is_configured(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert server.main(["-account.rollover=other", "-log.format=json"]) == 1
    (line,) = lines(capsys)
    assert (line["where"], line["err"]) == ("-account.rollover", "there is no issuer 'other'; there are: le")


def test_an_account_is_rolled_over_instead_of_serving(
    config: Path, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    rolled: list[str] = []

    async def roll_over(config: Config, name: str) -> None:
        rolled.append(name)

    monkeypatch.setattr(rollover, "roll_over", roll_over)
    assert server.main(["-account.rollover", "le"]) == 0
    assert rolled == ["le"]
    assert served.config is None


def test_what_cleanup_would_do_is_shown_instead_of_serving(
    config: Path, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []

    async def show_cleanup(config: Config, flags: Flags) -> None:
        shown.append(config.vault.certificate_prefix)

    monkeypatch.setattr(cleanup, "show_cleanup", show_cleanup)
    assert server.main(["-cleanup.dry-run"]) == 0
    assert shown == ["c"]
    assert served.config is None


def test_a_leftover_word_ends_with_2() -> None:
    with pytest.raises(SystemExit) as ended:
        server.main(["-cleanup", "true"])
    assert ended.value.code == 2


def test_the_package_is_a_program(config: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "acme_manager", "-config-check", f"-config-path={config}"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "config file is valid\n", "")


def test_an_interrupt_while_the_configuration_is_read_ends_with_130(tmp_path: Path) -> None:
    fifo = tmp_path / "config.yml"
    os.mkfifo(fifo)
    with (
        subprocess.Popen(
            [sys.executable, "-m", "acme_manager", f"-config-path={fifo}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process,
        fifo.open("wb"),
    ):  # returns when the program has opened it for reading
        process.send_signal(signal.SIGINT)
        said, complained = process.communicate(timeout=30)
    assert (process.returncode, said, complained) == (130, b"", b"")
