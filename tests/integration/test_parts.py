"""Every real part starts, answers, does what the other tests need of it, and leaves no process behind."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx
import pytest
import trio

from acme_manager.errors import AcmeManagerError
from tests.integration.issuance.helpers import DnsSolver, issue, make_request, opened
from tests.parts import tls
from tests.parts.acme2certifier import acme2certifier
from tests.parts.bind import bind
from tests.parts.challtestsrv import challtestsrv
from tests.parts.knot import knot
from tests.parts.openbao import openbao
from tests.parts.pebble import pebble
from tests.parts.powerdns import powerdns
from tests.parts.program import free_port, still_running

EAB_KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


async def _log_in(url: str, role_id: str, secret_id: str) -> str:
    async with httpx.AsyncClient(verify=False, trust_env=False) as client:
        answer = await client.post(f"{url}/v1/auth/approle/login", json={"role_id": role_id, "secret_id": secret_id})
    return str(answer.raise_for_status().json()["auth"]["client_token"])


async def test_openbao_lets_our_role_write_and_list_and_nothing_else(tmp_path: Path) -> None:
    async with openbao(tmp_path) as bao:
        token = await _log_in(bao.url, bao.role_id, bao.secret_id)
        async with httpx.AsyncClient(
            verify=False, trust_env=False, base_url=f"{bao.url}/v1/", headers={"X-Vault-Token": token}
        ) as client:
            put = await client.post("secret/data/certificates/a/b", json={"data": {"x": "1"}})
            listed = await client.request("LIST", "secret/metadata/certificates")
            elsewhere = await client.get("secret/data/other/a")
        assert (put.status_code, listed.json()["data"]["keys"], elsewhere.status_code) == (200, ["a/"], 403)
        assert await bao.read("certificates/a/b") == {"x": "1"}
        assert await bao.keys("certificates") == ["a/"]
        assert await bao.read("certificates/none") is None
        pid = bao.program.pid
    assert not still_running([pid])


async def test_openbao_can_be_sealed_frozen_and_killed_and_keeps_its_data(tmp_path: Path) -> None:
    async with openbao(tmp_path) as bao:
        await bao.write("tokens/a", {"x": "1"})
        await bao.seal()
        with pytest.raises(httpx.HTTPStatusError, match="503"):
            await bao.read("tokens/a")
        await bao.unseal()
        assert await bao.read("tokens/a") == {"x": "1"}

        bao.freeze()
        with trio.move_on_after(0.2) as scope:
            await bao.read("tokens/a")
        assert scope.cancelled_caught
        bao.thaw()

        await bao.stop(signal.SIGKILL)
        with pytest.raises(httpx.ConnectError):
            await bao.read("tokens/a")
        await bao.start()
        assert await bao.read("tokens/a") == {"x": "1"}


async def test_openbao_serves_as_an_acme_ca(tmp_path: Path) -> None:
    async with openbao(tmp_path, pki_acme=True, eab_policy="always-required") as bao:
        async with httpx.AsyncClient(verify=False, trust_env=False) as client:
            directory = (await client.get(bao.directory)).json()
        assert directory["meta"]["externalAccountRequired"] is True
        assert directory["newOrder"].startswith(bao.url)
        first, second = await bao.new_eab(), await bao.new_eab()
        assert first.kid != second.kid


async def test_pebble_answers_over_trusted_tls_and_makes_a_new_root_at_each_start(tmp_path: Path) -> None:
    async with pebble(
        tmp_path, alternate_roots=1, eab={"kid-1": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"}
    ) as ca:
        async with httpx.AsyncClient(verify=tls.client_context(), trust_env=False) as client:
            directory = (await client.get(ca.directory)).json()
        assert directory["meta"]["externalAccountRequired"] is True
        root = await ca.root()
        assert root != await ca.root(1)
        with pytest.raises(httpx.HTTPStatusError, match="404"):
            await ca.status(0x1234)
        await ca.restart()
        assert await ca.root() != root
        pid = ca.program.pid
    assert not still_running([pid])


async def test_challtestsrv_says_what_it_is_told(tmp_path: Path) -> None:
    async with challtestsrv(tmp_path) as server:
        await server.add_http01("token", "content")
        async with httpx.AsyncClient(verify=False, trust_env=False) as client:
            url = f"http://127.0.0.1:{server.http_port}/.well-known/acme-challenge/token"
            assert (await client.get(url)).text == "content"
        await server.set_txt("_acme-challenge.a.test", "v")
        await server.set_cname("_acme-challenge.b.test", "_acme-challenge.a.test")
        assert await server.txt("_acme-challenge.b.test") == {"v"}
        await server.clear_txt("_acme-challenge.a.test")
        assert await server.txt("_acme-challenge.a.test") == set()
        pid = server.program.pid
    assert not still_running([pid])


async def test_bind_takes_only_allowed_updates_and_follows_a_cname_into_another_zone(tmp_path: Path) -> None:
    zones = {"example.test": "zonesub TXT", "auth.test": "zonesub ANY", "closed.test": ""}
    records = {"example.test": ["_acme-challenge.www CNAME www.auth.test."]}
    async with bind(tmp_path, zones, records=records) as server:
        await server.add("auth.test", "www.auth.test", "TXT", '"one"')
        await server.add("auth.test", "www.auth.test", "TXT", '"two"')
        assert await server.txt("_acme-challenge.www.example.test") == {"one", "two"}
        for zone, rdtype, value in (("example.test", "A", "127.0.0.1"), ("closed.test", "TXT", '"x"')):
            with pytest.raises(AssertionError, match="REFUSED"):
                await server.add(zone, f"a.{zone}", rdtype, value)
        await server.remove("auth.test", "www.auth.test", "TXT")
        assert await server.txt("www.auth.test") == set()
        await server.stop()
        await server.start()
        assert await server.txt("www.auth.test") == set()
        pid = server.program.pid
    assert not still_running([pid])


async def test_knot_takes_updates_on_an_address_of_its_own(tmp_path: Path) -> None:
    async with knot(tmp_path, ["example.test"], address="127.0.0.2") as server:
        await server.add("example.test", "a.example.test", "TXT", '"one"')
        assert await server.txt("a.example.test") == {"one"}
        assert "127.0.0.2" in str((await server.ask("ns.example.test", "A")).answer[0])
        pid = server.program.pid
    assert not still_running([pid])


async def test_powerdns_shows_what_its_api_was_told_on_an_address_of_its_own(tmp_path: Path) -> None:
    at = ("127.0.0.2", free_port("127.0.0.2"))
    async with powerdns(tmp_path, ["example.test"], at=at) as server:
        records = [{"content": '"one"', "disabled": False}]
        rrset = {"name": "a.example.test.", "type": "TXT", "changetype": "REPLACE", "ttl": 1, "records": records}
        await server.call("PATCH", "/zones/example.test.", {"rrsets": [rrset]})
        assert await server.txt("a.example.test") == {"one"}
        pid = server.program.pid
    assert not still_running([pid])


async def test_acme2certifier_issues_with_a_binding_and_a_profile(tmp_path: Path) -> None:
    async with (
        challtestsrv(tmp_path) as server,
        acme2certifier(tmp_path, dns=server.dns, eab={"kid-1": EAB_KEY}, profiles=["short"]) as ca,
    ):
        async with opened(ca.directory, tmp_path, eab=True, kid="kid-1", hmac=EAB_KEY) as issuer:
            issued = await issue(issuer, make_request("a.example.test", profile="short"), DnsSolver(server))
        assert issued.chain
        with pytest.raises(AcmeManagerError, match="external account binding"):
            async with opened(ca.directory, tmp_path / "other") as issuer:
                await issue(issuer, make_request("a.example.test"), DnsSolver(server))
        pid = ca.program.pid
    assert not still_running([pid])
