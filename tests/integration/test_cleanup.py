"""Clean-up on a real store, under the policy that we ship and under a lesser one, with two real CAs."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import trio

from acme_manager.domain.keys import describe
from tests.fakes.secrets import DAY, secret
from tests.integration.site import eventually
from tests.parts.node import AS_ADMINISTRATOR, Node, node
from tests.parts.openbao import POLICY, OpenBao, openbao
from tests.parts.pebble import Pebble, pebble

NOW = datetime.now(UTC)  # noqa: TID251 the program under test has no other clock either
WEB, GO, GONE = "certificates/alice/long/www.example.com", "certificates/alice/go", "certificates/alice/gone"
NOTES, BACKUP = "certificates/alice/notes", "certificates/alice/long/backup.example.com"


async def history(bao: OpenBao, key: str) -> list[str]:
    """What has become of each version."""
    versions = (await bao.api("GET", f"secret/metadata/{key}"))["data"]["versions"]
    states = sorted((int(number), one["destroyed"], bool(one["deletion_time"])) for number, one in versions.items())
    return ["destroyed" if destroyed else "deleted" if deleted else "there" for _, destroyed, deleted in states]


async def fill(bao: OpenBao) -> None:
    """A store in which others have been at work too."""
    for days in (-30, -3, 60):
        await bao.write(WEB, secret(days, now=NOW, issuer="long"))
        renewal = f"{NOW + 30 * DAY:%Y-%m-%d %H:%M:%S} +0100 CET"
        named = {"issuer": "long", "domain": "go.example.com", "renewal_date": renewal}
        await bao.write(GO, secret(days, now=NOW, name="go", **named))
        await bao.write(GONE, secret(days, now=NOW, name="gone"))
    await bao.api("DELETE", f"secret/data/{GONE}")
    for text in ("mine", "still mine"):
        await bao.write(NOTES, {"text": text})
    await bao.write(BACKUP, secret(-30, now=NOW, issuer="long", domain="backup.example.com"))
    await bao.write(BACKUP, {"cert": "C", "key": "K", "ca_issuer": "I"})


async def all_of(bao: OpenBao) -> dict[str, list[str]]:
    return {key: await history(bao, key) for key in (WEB, GO, GONE, NOTES, BACKUP)}


async def dry_run(running: Node) -> str:
    argv = [*running.program.argv, "-cleanup.dry-run"]
    done = await trio.run_process(
        argv, cwd=running.folder, env=dict(running.program.env), capture_stdout=True, stderr=subprocess.STDOUT
    )
    return done.stdout.decode()


async def metric(running: Node, action: str) -> float:
    async with running.anonymous() as client:
        text = (await client.get("/metrics")).text
    found = re.search(rf'^acme_manager_cleanup_actions_total{{action="{action}"}} (\S+)$', text, re.MULTILINE)
    return float(found.group(1)) if found else 0


async def issue_and_replace(running: Node) -> int:
    """A certificate of the CA whose certificates live for seconds, replaced by one of the other; the old serial."""
    async with running.client() as client:
        wish: dict[str, Any] = {"name": "brief", "domain": "brief.example.com", "issuer": "brief"}
        first = await client.post("/api/v1/certificate", json=wish)
        assert first.status_code == 201, first.text
        second = await client.put("/api/v1/certificate", json={**wish, "issuer": "long"})
        assert second.status_code == 200, second.text
    return int(describe(first.json()["cert"]).serial, 16)


async def test_a_store_is_cleaned_up_and_nothing_of_others_is_touched(tmp_path: Path) -> None:
    async with (
        openbao(tmp_path) as bao,
        pebble(tmp_path, validity=20, always_valid=True) as brief,
        pebble(tmp_path, always_valid=True) as long,
    ):
        await fill(bao)
        before = await all_of(bao)
        cas: dict[str, Pebble] = {"brief": brief, "long": long}
        issuers = {
            name: {"ca_dir_url": ca.directory, "ca_bundle": str(ca.ca_pem), "http_challenge": "kvring"}
            for name, ca in cas.items()
        }
        async with node(tmp_path, bao=bao, issuers=issuers) as running:
            await running.new_token("leaver")
            (token,) = await bao.keys("tokens/leaver")
            await bao.api("DELETE", f"secret/data/tokens/leaver/{token}")

            # It says what it would do, in both ways, and does nothing.
            shown = await dry_run(running)
            assert f"destroy {WEB} version 1: expired on " in shown
            assert f"skip    {NOTES}: not ours alone: version 1 has members of others: text\n" in shown
            assert "6 to destroy, 1 to purge, 2 to skip. Nothing has been changed.\n" in shown
            async with running.anonymous(**AS_ADMINISTRATOR) as client:
                told = (await client.get("/api/v1/operations/cleanup")).json()
            assert not told["enabled"]
            for one in told["actions"]:
                version = f" version {one['version']}" if one["version"] else ""
                assert f"{one['action']:8}{one['secret']}{version}: {one['reason']}\n" in shown
            assert await all_of(bao) == before

            # Under a policy that lacks a right it says which.
            lesser = re.sub(r'path "secret/destroy/[^}]*}', "", POLICY.read_text())
            await bao.api("POST", "sys/policies/acl/acme-manager", {"policy": lesser})
            await running.program.stop()
            running.program.argv += ("-cleanup", "-cleanup.interval=1s")
            await running.start()
            denied = r"Vault denies update on secret/destroy/certificates/alice/\S+\. Add it to the policy"

            async def says_what_is_denied() -> bool:
                await trio.lowlevel.checkpoint()
                return re.search(denied, running.program.log()) is not None

            await eventually(says_what_is_denied)
            assert await metric(running, "failed") > 0
            assert await all_of(bao) == before

            # With it, what has expired goes; what is served, deleted or not ours stays as it is.
            await bao.api("POST", "sys/policies/acl/acme-manager", {"policy": POLICY.read_text()})
            after = {
                WEB: ["destroyed", "destroyed", "there"],
                GO: ["destroyed", "destroyed", "there"],
                GONE: ["destroyed", "destroyed", "deleted"],
                NOTES: ["there", "there"],
                BACKUP: ["there", "there"],
            }

            async def done() -> bool:
                return await all_of(bao) == after

            await eventually(done)

            async def no_token() -> bool:
                return await bao.keys("tokens/leaver") == []

            await eventually(no_token)

            # What is about to expire is revoked by its own CA in one cycle, and destroyed in the next.
            serial = await issue_and_replace(running)

            async def is_revoked() -> bool:
                return await brief.status(serial) == "Revoked"

            async def is_destroyed() -> bool:
                return await history(bao, "certificates/alice/brief") == ["destroyed", "there"]

            await eventually(is_revoked)
            await eventually(is_destroyed)
            reason = r'action=destroy .*key=certificates/alice/brief .*reason="revoked in an earlier cycle"'
            assert any(re.search(reason, line) for line in running.program.log().splitlines())
            async with running.client() as client:
                assert (await client.get("/api/v1/certificate/brief")).status_code == 200
            assert await metric(running, "revoke") == 1
            assert await all_of(bao) == after
