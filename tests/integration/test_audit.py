"""The audit log of a real node in a real store: it outlives the node, and who changes it there is found out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.integration.site import Site, eventually, open_site
from tests.parts.node import API_KEY, AS_ADMINISTRATOR

WISH = {"issuer": "pebble", "domain": "www.example.test"}
SEGMENTS = "certificates/.acme-manager/audit/000000"
DONE = ["certificate.delete", "token.create", "certificate.request", "token.create"]


async def test_the_log_outlives_restarts_and_shows_what_was_changed_in_the_store(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        async with site.node.client() as client:
            assert (await client.post("/api/v1/certificate", json=WISH)).status_code == 201
            bearer = await site.node.new_token("bob")
            assert (await client.delete("/api/v1/certificate/pebble/www.example.test")).status_code == 204
        assert await actions(site) == DONE
        (requested,) = (await ask(site, "?action=certificate.request"))["entries"]
        assert requested["object"] == "alice/pebble/www.example.test"
        assert requested["actor"].startswith("token ")
        assert (requested["source"], requested["status"]) == ("127.0.0.1", 201)

        await site.node.program.stop()
        kept = [await site.bao.read(f"{SEGMENTS}/{key}") for key in await site.bao.keys(SEGMENTS)]
        assert [one["action"] for record in kept for one in (record or {})["entries"]] == DONE[::-1]
        for secret in (API_KEY, bearer, "PRIVATE KEY"):
            assert secret not in f"{kept} {site.node.program.log()}"

        await site.node.start()
        assert await actions(site) == DONE
        await site.bao.seal()
        assert await actions(site) == DONE, "the newest are shown without the store"
        async with site.node.anonymous() as client:
            assert (await client.post("/api/v1/token")).status_code == 401
        assert (await ask(site))["entries"][0]["status"] == 401
        await site.bao.unseal()

        async def all_stored() -> bool:
            return bool((await ask(site, "/verify"))["entries"] == 5)

        await eventually(all_stored, within=60)
        verdict = await ask(site, "/verify")
        assert (verdict["ok"], verdict["breaks"], verdict["next"]) == (True, [], 0)

        first = await site.bao.read(f"{SEGMENTS}/000000001")
        assert first is not None
        first["entries"][0]["actor"] = "token of-somebody-else"
        await site.bao.write(f"{SEGMENTS}/000000001", first)
        verdict = await ask(site, "/verify")
        assert (verdict["ok"], [one["segment"] for one in verdict["breaks"]]) == (False, [2])


async def ask(site: Site, path: str = "") -> dict[str, Any]:
    async with site.node.anonymous(**AS_ADMINISTRATOR) as client:
        found: dict[str, Any] = (await client.get(f"/api/v1/audit{path}")).raise_for_status().json()
    return found


async def actions(site: Site) -> list[str]:
    return [one["action"] for one in (await ask(site))["entries"]]
