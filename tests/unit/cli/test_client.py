"""The client's command line: what it answers without a server, and with which exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from acme_manager.cli.client import main
from acme_manager.client.desk import Desk
from acme_manager.errors import AcmeManagerError
from tests.parts.program import free_port
from tests.unit.client.world import Host, host

__all__ = ["host"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "client-config.yml"
    file.write_text("common:\n  http_client_retry_max: 1\n  http_client_retry_wait_min: 0.01\n")
    return file


def test_it_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-version"]) == 0
    assert capsys.readouterr().out.startswith("acme-manager-client, version ")


def test_a_configuration_is_checked_without_a_token(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check = ["-config-check", f"-client.config-path={path}"]
    assert main(check) == 0
    assert capsys.readouterr().out == "config file is valid\n"
    path.write_text("commn: {}\n")
    assert main(check) == 0
    assert capsys.readouterr().out.startswith("warning: commn: is no key of ours, did you mean 'common'?")
    path.write_text("common: {cmd_enabled: 1}\n")
    assert main(check) == 1
    assert capsys.readouterr().out.startswith("common.cmd_enabled: must be true or false")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stats"], "unknown command 'stats'; there are: status, list, get, renew, revoke"),
        (["-client.max-deletions=many"], "invalid value for flag -client.max-deletions"),
        (["-client.pullonly"], "did you mean -client.pull-only?"),
        (["list", "-json", "true"], "write -json=true"),
        (["-json", "-client.config-path", "a.yml", "list"], "acme-manager-client list …"),
    ],
)
def test_a_command_line_that_can_t_be_used_ends_with_2(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_without_a_server_a_plan_says_so_and_the_code_is_3(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    flags = [
        f"-client.config-path={path}",
        f"-client.manager-url=http://127.0.0.1:{free_port()}/api/v1",
        "-client.manager-token=the-token",
    ]
    assert main(["-dry-run", *flags]) == 3
    said = capfd.readouterr()
    assert "no server answers, so nothing would be done" in said.out
    assert "-client.token-file is a safer place" in said.err
    assert main(["list", *flags]) == 3
    assert main(["-client.once", *flags]) == 3
    said = capfd.readouterr()
    assert "the-token" not in said.out + said.err


def test_without_a_token_it_says_how_to_give_one(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["list", f"-client.config-path={path}"]) == 1
    assert "set ACME_MANAGER_TOKEN" in capfd.readouterr().err


def test_what_is_meant_by_a_name(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.configure(
        {"domain": "www.example.com", "issuer": "ca"}, {"domain": "www.example.com", "issuer": "ca", "name": "web"}
    )
    trio.run(host.run)
    desk = Desk(runner=host.runner())
    assert trio.run(desk.answer, "get", ["web"]) == 0
    assert capsys.readouterr().out.count("BEGIN CERTIFICATE") == 2
    assert trio.run(desk.answer, "status", []) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in shown[:1]] == [["CERTIFICATE", "NAMES", "DAYS"]]
    assert all("yes" in line and "keep: up to date" in line for line in shown[1:])
    for command, names, said in (
        ("get", ["www.example.com"], "more than one certificate"),
        ("renew", ["nobody"], "no certificate 'nobody'"),
        ("revoke", [], "say which"),
        ("revoke", ["web"], "add -yes"),
    ):
        with pytest.raises(AcmeManagerError, match=said):
            trio.run(desk.answer, command, names)
    assert trio.run(Desk(runner=host.runner(yes=True)).answer, "revoke", ["web"]) == 0
    assert list(host.server.kept) == ["ca/www.example.com"]
