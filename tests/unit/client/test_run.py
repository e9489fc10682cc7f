"""Runs of the agent on a real folder, beside a server in memory: whatever fails, nothing that is good is lost."""

from __future__ import annotations

import json
import stat
from datetime import timedelta
from typing import Any

import attrs
import pytest
import trio

from acme_manager.client.install import check_together
from acme_manager.client.keys import key_type, made_for
from acme_manager.client.run import COMMAND_FAILED, INCOMPLETE, OK, UNREACHABLE
from acme_manager.domain.keys import fingerprint
from acme_manager.errors import StorageUnavailable
from acme_manager.storage.keys import backup_key
from tests.unit.client.world import Host, host

__all__ = ["host"]

WWW: dict[str, Any] = {"domain": "www.example.com", "issuer": "ca", "san": "api.example.com"}
OTHER: dict[str, Any] = {"domain": "other.example.com", "issuer": "ca"}
NAME = "ca/www.example.com"
RECORD = ".acme-manager-client.json"


def installed(host: Host, name: str = NAME) -> tuple[str, str]:
    """The certificate and the key, which must belong together."""
    certificate, chain, key = (host.text(f"{name}{ending}") for ending in (".crt", ".ca.crt", ".key"))
    check_together(certificate, chain, key)
    return certificate, key


async def test_a_certificate_is_asked_for_once_and_kept(host: Host) -> None:
    host.configure(WWW, certificate_file_perm=0o644)
    assert (await host.run()).code == OK
    _, key = installed(host)
    assert key.startswith("-----BEGIN EC PRIVATE KEY-----")
    assert stat.S_IMODE((host.certificates / f"{NAME}.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((host.certificates / f"{NAME}.crt").stat().st_mode) == 0o644
    assert list(host.certificates.rglob("pending.key")) == []
    assert (await host.run()).code == OK
    assert host.server.calls == ["create"]
    assert host.counted("local_certificate_operations_total", issuer="ca", operation="created") == 1


async def test_the_key_of_a_certificate_whose_answer_was_lost_is_still_there(host: Host) -> None:
    host.configure(WWW)
    host.server.losing_answers = True
    assert (await host.run()).code == INCOMPLETE
    waiting = next(host.certificates.rglob("pending.key"))
    assert stat.S_IMODE(waiting.stat().st_mode) == 0o600
    key = waiting.read_text()
    host.server.losing_answers = False
    assert (await host.run()).code == OK
    assert installed(host)[1] == key
    assert host.server.calls == ["create"]


async def test_so_it_is_when_a_new_key_replaces_one_that_is_in_use(host: Host) -> None:
    host.configure(WWW)
    await host.run()
    before = installed(host)
    host.configure({**WWW, "key_type": "ec384"})
    host.server.failing = True
    assert (await host.run()).code == INCOMPLETE
    assert installed(host) == before
    host.server.failing, host.server.losing_answers = False, True
    assert (await host.run()).code == INCOMPLETE
    assert installed(host) == before
    host.server.losing_answers = False
    assert (await host.run()).code == OK
    assert key_type(installed(host)[1]) == "ec384"
    assert host.server.calls == ["create", "update", "update"]


async def test_a_renewal_keeps_the_key_and_facts_keep_the_certificate(host: Host) -> None:
    host.configure(WWW)
    await host.run()
    first, key = installed(host)
    host.server.renew(NAME)
    await host.run()
    second = installed(host)
    assert (second[0] != first, second[1]) == (True, key)
    host.configure({**WWW, "labels": "env=prod", "renewal_days": "10-20"})
    assert (await host.run()).code == OK
    assert installed(host) == second
    assert host.server.kept[NAME].certificate.labels == "env=prod"
    assert host.server.kept[NAME].certificate.renewal_days == "10-20"
    assert host.server.calls == ["create", "update"]


async def test_without_a_server_everything_stays(host: Host) -> None:
    host.configure(WWW)
    await host.run()
    before = installed(host)
    host.server.away = True
    host.configure()
    assert (await host.run()).code == UNREACHABLE
    assert installed(host) == before
    assert host.counted("client_server_unreachable") == 1


async def test_a_configuration_emptied_by_mistake_empties_nothing(host: Host) -> None:
    host.configure(WWW, OTHER)
    await host.run()
    host.configure()
    assert (await host.run()).code == OK
    assert len(host.server.kept) == 2
    assert (await host.run(max_deletions="unlimited")).code == OK
    assert host.server.kept == {}
    assert [one.name for one in host.certificates.rglob("*") if not one.is_dir()] == [RECORD]
    assert host.counted("local_certificate_deleted_total") == 2


async def test_nothing_is_taken_away_while_what_comes_instead_is_not_there(host: Host) -> None:
    host.configure(WWW)
    await host.run()
    before = installed(host)
    host.configure({**WWW, "name": "web"})
    host.server.failing = True
    outcome = await host.run()
    assert outcome.problems[-1] == "1 deletions were held back"
    assert installed(host) == before
    host.server.failing = False
    assert (await host.run()).code == OK
    installed(host, "web")
    assert list(host.server.kept) == ["web"]


async def test_what_others_made_and_what_a_lost_record_spoke_of_is_left_alone(host: Host) -> None:
    host.configure(WWW)
    await host.run()
    (host.certificates / RECORD).write_text("{")
    host.configure()
    assert (await host.run()).code == OK
    assert list(host.server.kept) == [NAME]
    installed(host)
    assert (host.certificates / f"{RECORD}.unreadable").read_text() == "{"


async def test_a_deletion_waits_and_is_forgotten_when_the_certificate_is_wanted_again(host: Host) -> None:
    host.configure(WWW)
    await host.run()
    for wanted in ((), (WWW,), ()):
        host.configure(*wanted, delay_before_delete="1d")
        await host.run()
        host.clock.at += timedelta(hours=13)
    await host.run()
    assert list(host.server.kept) == [NAME]
    host.clock.at += timedelta(hours=12)
    await host.run()
    assert host.server.kept == {}


async def test_files_of_the_go_program_are_known_for_ours_and_stay_as_they_are(host: Host) -> None:
    host.configure(WWW)
    await host.run()
    texts = {ending: host.text(f"{NAME}{ending}") for ending in (".crt", ".ca.crt", ".key")}
    for left in host.certificates.rglob("*"):
        if not left.is_dir() or left.is_symlink():
            left.unlink()
    for ending, text in texts.items():
        path = host.certificates / f"{NAME}{ending}"
        path.write_text(text)
        path.chmod(0o600)
    assert (await host.run()).code == OK
    assert not (host.certificates / f"{NAME}.crt").is_symlink()
    assert json.loads(host.text(RECORD))["certificates"][NAME]["ours"]
    host.server.renew(NAME)
    assert (await host.run()).code == OK
    assert installed(host)[0] != texts[".crt"]
    assert host.server.calls == ["create"]


async def test_a_version_that_a_command_fails_with_is_given_up_until_somebody_asks_for_it(host: Host) -> None:
    tried = host.folder / "tried"
    host.configure({**WWW, "rollback": True})
    await host.run()
    before = installed(host)
    command = f"sh -c 'echo x >> {tried}; exit 1'"
    host.configure({**WWW, "rollback": True, "key_type": "ec384"}, cmd_enabled=True, post_cmd_run=command)
    outcome = await host.run()
    assert outcome.code == COMMAND_FAILED
    assert f"rolled back to the version before: {NAME}" in outcome.problems
    assert installed(host) == before
    assert tried.read_text() == "x\nx\n"
    assert host.counted("local_cmd_run_failed_total") == 2
    assert (await host.run()).code == OK
    assert tried.read_text() == "x\nx\n"
    host.configure({**WWW, "rollback": True, "key_type": "ec384"}, cmd_enabled=True, post_cmd_run="true")
    assert (await host.run(forced=True)).code == OK
    assert key_type(installed(host)[1]) == "ec384"  # the key of the version that was given up was not lost
    assert host.server.calls == ["create", "update"]


async def test_without_roll_back_the_new_version_stays_and_the_run_says_so(host: Host) -> None:
    host.configure({**WWW, "post_cmd_run": "false"}, cmd_enabled=True)
    outcome = await host.run()
    assert (outcome.code, outcome.problems) == (COMMAND_FAILED, ["'false' ended with code 1"])
    installed(host)


async def test_a_command_before_that_fails_lets_nothing_change(host: Host) -> None:
    host.configure(WWW, cmd_enabled=True, pre_cmd_run="false")
    assert (await host.run()).code == COMMAND_FAILED
    assert host.server.calls == []


async def test_commands_run_for_what_was_installed_though_something_else_failed(host: Host) -> None:
    told = host.folder / "told"
    host.configure(WWW)
    await host.run()
    host.server.renew(NAME)
    host.server.failing = True
    command = f"sh -c 'echo $ACME_MANAGER_CHANGED >> {told}'"
    host.configure(WWW, OTHER, cmd_enabled=True, post_cmd_run=command)
    assert (await host.run()).code == INCOMPLETE
    assert told.read_text() == f"{NAME}\n"


async def test_another_host_with_the_same_certificate_is_not_fought(host: Host) -> None:
    host.configure(WWW)
    await host.run()
    before = installed(host)
    key = host.certificates / f"{NAME}.key"
    theirs = Host(folder=host.folder / "theirs", server=host.server)
    theirs.folder.mkdir()
    theirs.configure({**WWW, "key_type": "ec384"})
    await theirs.run()
    calls = list(host.server.calls)
    host.configure({**WWW, "key_type": "ec384"})
    outcome = await host.run()
    assert outcome.code == INCOMPLETE
    assert "for another key than this host has" in outcome.problems[0]
    assert installed(host) == before
    assert host.server.calls == calls
    key.unlink()
    assert (await host.run()).code == OK
    installed(host)


async def test_a_lost_key_comes_back_from_the_backup_also_in_pull_mode(host: Host) -> None:
    host.configure(WWW, backup=True)
    await host.run()
    certificate, key = installed(host)
    (host.certificates / f"{NAME}.key").unlink()
    assert (await host.run()).code == OK
    assert installed(host) == (certificate, key)
    host.configure(certificate_dir=str(host.folder / "puller"), certificate_deploy=False)
    assert (await host.run(pull_only=True)).code == OK
    assert (host.folder / "puller" / f"{NAME}.key").read_text() == key
    assert host.server.calls == ["create"]


async def test_in_pull_mode_nothing_changes_on_the_server_and_names_stay_in_the_folder(host: Host) -> None:
    host.configure(WWW, backup=True)
    await host.run()
    evil = attrs.evolve(host.server.kept[NAME].certificate, name="../../evil")
    host.server.kept["evil"] = attrs.evolve(host.server.kept[NAME], certificate=evil)
    assert (await host.run(pull_only=True)).code == OK
    assert list(host.folder.parent.glob("**/evil*")) == []
    assert host.server.calls == ["create"]


async def test_clean_up_removes_files_that_it_wrote_and_no_others(host: Host) -> None:
    host.configure(WWW, backup=True)
    await host.run()
    host.configure(certificate_dir=str(host.folder / "puller"))
    await host.run(pull_only=True)
    foreign = host.folder / "puller/foreign.crt"
    foreign.write_text("not ours")
    host.server.kept.clear()
    await host.run(pull_only=True)
    assert (host.folder / "puller" / f"{NAME}.crt").exists()
    await host.run(pull_only=True, cleanup=True)
    assert not (host.folder / "puller" / f"{NAME}.crt").exists()
    assert foreign.exists()


async def test_content_that_is_not_what_the_server_says_is_installed_once_and_told(host: Host) -> None:
    told = host.folder / "told"
    host.configure(WWW, cmd_enabled=True, post_cmd_run=f"sh -c 'echo x >> {told}'")
    await host.run()
    kept = host.server.kept[NAME]
    host.server.kept[NAME] = attrs.evolve(kept, certificate=attrs.evolve(kept.certificate, fingerprint="f" * 64))
    await host.run()
    assert host.counted("local_certificate_metadata_mismatch", issuer="ca", name="", domain=WWW["domain"]) == 1
    assert told.read_text() == "x\n"


async def test_formats_and_modes_are_put_right_from_what_is_there(host: Host) -> None:
    host.configure(WWW)
    await host.run()
    _, key = installed(host)
    host.configure({**WWW, "formats": ["combined"]}, certificate_file_perm=0o644)
    assert (await host.run()).code == OK
    assert host.text(f"{NAME}.combined.pem").startswith(key)
    assert stat.S_IMODE((host.certificates / f"{NAME}.crt").stat().st_mode) == 0o644
    assert {done.step.action for done in (await host.run()).done} == {"keep"}
    assert host.server.calls == ["create"]


async def test_without_files_and_without_backup_nothing_is_asked_for(host: Host) -> None:
    host.configure(WWW, certificate_deploy=False)
    assert (await host.run()).code == OK
    assert host.server.calls == []


async def backed_up(host: Host) -> bool:
    stored = host.server.kept[NAME]
    kept = await host.vault.get(backup_key("certificates", stored.certificate.id))
    return made_for(str((kept.value or {}).get("key")), stored.cert)


async def test_with_a_backup_alone_the_key_goes_there_whatever_comes_between(host: Host) -> None:
    host.configure(WWW, backup=True, certificate_deploy=False)
    host.server.losing_answers = True
    assert (await host.run()).code == INCOMPLETE
    host.server.losing_answers = False
    assert (await host.run()).code == OK
    assert await backed_up(host)
    assert list(host.certificates.rglob("pending.key")) == []
    assert {one.step.action for one in (await host.run()).done} == {"keep"}
    assert host.server.calls == ["create"]


async def test_a_backup_that_failed_is_made_by_the_next_run(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object, **__: object) -> int:
        await trio.lowlevel.checkpoint()
        raise StorageUnavailable("away")

    host.configure(WWW, backup=True)
    with monkeypatch.context() as broken:
        broken.setattr(host.vault, "put", fails)
        assert (await host.run()).code == INCOMPLETE
    installed(host)
    assert not await backed_up(host)
    assert (await host.run()).code == OK
    assert await backed_up(host)
    assert {one.step.action for one in (await host.run()).done} == {"keep"}


async def test_the_server_is_told_what_is_installed(host: Host) -> None:
    host.configure(WWW)
    await host.run()
    (told,) = host.server.reports[-1]["certificates"]
    assert (told["domain"], told["fingerprint"]) == (WWW["domain"], fingerprint(installed(host)[0]))


@pytest.mark.parametrize("flags", [{"max_deletions": "0"}, {}])
async def test_a_certificate_that_the_server_has_lost_is_asked_for_again(host: Host, flags: dict[str, Any]) -> None:
    host.configure(WWW)
    await host.run()
    host.server.kept.clear()
    assert (await host.run(**flags)).code == OK
    installed(host)
    assert host.server.calls == ["create", "create"]
