"""One node does the whole job: a real CA, a real store, a real DNS server, over the API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import trio
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from acme_manager.domain.keys import KeyType
from tests.integration.site import case, csr_for, eventually, leaf, names, nothing_left, open_site
from tests.parts.program import LOOPBACK


async def test_a_certificate_lives_from_its_request_to_its_deletion(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site, site.node.client() as client:
        wish = {"issuer": "pebble", "domain": "www.example.test", "csr": csr_for("www.example.test")}
        created = await client.post("/api/v1/certificate", json=wish)
        assert created.status_code == 201, created.text
        assert created.headers["Owner"] == "alice"
        first = created.json()
        assert names(first) == {"www.example.test"}
        assert first["encryption"] == "ECDSA-256"
        assert "private_key" not in first
        kept = await site.bao.read("certificates/alice/pebble/www.example.test")
        assert kept is not None
        assert kept["cert"] == first["cert"]

        path = "/api/v1/certificate/pebble/www.example.test"
        assert (await client.get(path)).json() == first
        assert (await client.post("/api/v1/certificate", json=wish)).status_code == 409
        listed = (await client.get("/api/v1/certificate/metadata")).json()
        assert [one["serial"] for one in listed] == [first["serial"]]

        relabelled = await client.put("/api/v1/certificate", json={**wish, "labels": "env=prod"})
        assert relabelled.status_code == 200, relabelled.text
        assert relabelled.json()["serial"] == first["serial"]

        wider = {**wish, "san": "api.example.test", "csr": csr_for("www.example.test", "api.example.test")}
        updated = await client.put("/api/v1/certificate", json={**wider, "revoke": True})
        assert updated.status_code == 200, updated.text
        second = updated.json()
        assert names(second) == {"www.example.test", "api.example.test"}
        assert await site.ca.status(leaf(first).serial_number) == "Revoked"
        assert await site.ca.status(leaf(second).serial_number) == "Valid"

        assert (await client.delete(path, params={"revoke": "true"})).status_code == 204
        assert await site.ca.status(leaf(second).serial_number) == "Revoked"
        assert (await client.get(path)).status_code == 404
        assert (await client.get("/api/v1/certificate/metadata")).json() == []
        await nothing_left(site, "www.example.test", "api.example.test")


async def test_every_kind_of_name_and_key_made_by_the_server(tmp_path: Path) -> None:
    wishes: list[tuple[dict[str, Any], set[str]]] = [
        ({"domain": "*.example.test", "san": "example.test", "issuer": "pebble"}, {"*.example.test", "example.test"}),
        ({"domain": "Bücher.example.test", "issuer": "pebble"}, {"xn--bcher-kva.example.test"}),
        ({"domain": "delegated.example.test", "issuer": "pebble"}, {"delegated.example.test"}),
        ({"domain": "web.example.test", "issuer": "web"}, {"web.example.test"}),
        ({"domain": "127.0.0.1", "issuer": "web"}, {"127.0.0.1"}),
        ({"domain": "x.example.test", "issuer": "pebble", "http_challenge": "kvring"}, {"x.example.test"}),
        ({"domain": "rsa.example.test", "issuer": "pebble", "key_type": "rsa2048"}, {"rsa.example.test"}),
        ({"domain": "p384.example.test", "issuer": "pebble", "key_type": "EC384"}, {"p384.example.test"}),
    ]
    async with open_site(tmp_path) as site, site.node.client() as client:
        blind, reader = [await site.node.new_token(scope=[right]) for right in ("create", "read")]
        stranger = await site.node.new_token("mallory")
        for number, (wish, expected) in enumerate(wishes):
            with case(wish):
                name = f"it{number}"
                created = await client.post("/api/v1/certificate", json={**wish, "name": name, "bundle": True})
                assert created.status_code == 201, created.text
                certificate = created.json()
                assert names(certificate) == expected
                key = load_pem_private_key(certificate["private_key"].encode(), None)
                encoding = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
                assert key.public_key().public_bytes(*encoding) == leaf(certificate).public_key().public_bytes(
                    *encoding
                )
                assert certificate["cert"].count("BEGIN CERTIFICATE") == 2

                path = f"/api/v1/certificate/{name}"
                async with (
                    site.node.client(reader) as owner,
                    site.node.client(stranger) as other,
                    site.node.client(blind) as maker,
                ):
                    assert (await owner.get(path)).json()["private_key"] == certificate["private_key"]
                    assert (await other.get(path)).status_code == 404
                    assert (await maker.get(path)).status_code == 403
                await nothing_left(site, *(name.removeprefix("*.") for name in expected), "delegated.example.test")
                assert certificate["private_key"].splitlines()[1] not in site.node.program.log()


async def test_several_names_with_a_client_made_rsa_key(tmp_path: Path) -> None:
    hosts = [f"h{number}.example.test" for number in range(8)]
    async with open_site(tmp_path) as site, site.node.client() as client:
        wish = {"issuer": "pebble", "domain": hosts[0], "san": ",".join(hosts[1:])}
        csr = csr_for(*hosts, key_type=KeyType.RSA2048)
        created = await client.post("/api/v1/certificate", json={**wish, "csr": csr})
        assert created.status_code == 201, created.text
        assert names(created.json()) == set(hosts)
        await nothing_left(site, *hosts)


async def test_twenty_requests_at_once_and_some_of_them_for_the_same(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site, site.node.client() as client:
        answers: list[httpx.Response] = []

        async def ask(number: int) -> None:
            wish = {"issuer": "pebble", "domain": f"h{number % 15}.example.test"}
            answers.append(await client.post("/api/v1/certificate", json=wish))

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(ask, number)
        assert {one.status_code for one in answers} <= {201, 409}, [one.text for one in answers]
        assert len({one.json()["serial"] for one in answers if one.status_code == 201}) == 15
        assert len((await client.get("/api/v1/certificate/metadata")).json()) == 15


async def test_badly_rejected_nonces_cost_only_time(tmp_path: Path) -> None:
    async with open_site(tmp_path, nonce_reject=50) as site, site.node.client() as client:
        for number in range(3):
            created = await client.post(
                "/api/v1/certificate", json={"issuer": "pebble", "domain": f"n{number}.example.test"}
            )
            assert created.status_code == 201, created.text


async def test_a_ca_that_forgot_our_account_is_joined_again(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site, site.node.client() as client:
        assert (
            await client.post("/api/v1/certificate", json={"issuer": "pebble", "domain": "a.example.test"})
        ).is_success
        await site.ca.restart()
        created = await client.post("/api/v1/certificate", json={"issuer": "pebble", "domain": "b.example.test"})
        assert created.status_code == 201, created.text


async def test_data_is_there_after_a_restart_and_those_who_wait_for_changes_do_not_hold_it_up(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site, site.node.client() as client:
        first = (await client.post("/api/v1/certificate", json={"issuer": "pebble", "domain": "a.example.test"})).json()
        events: list[dict[str, Any]] = [(await client.get("/api/v1/events")).json()]

        async def wait_for_change() -> None:
            asked = {"digest": events[0]["digest"], "wait": "300"}
            events.append((await client.get("/api/v1/events", params=asked, timeout=310)).json())

        async def waits() -> bool:
            return "acme_manager_http_requests_in_flight 2.0" in (await client.get("/metrics")).text

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_for_change)
            await eventually(waits, within=5)
            began = trio.current_time()
            await site.node.program.stop()
            assert trio.current_time() - began < 5
        assert events[1] == {"digest": events[0]["digest"], "changed": False, "certificates": []}
        assert "certificate issued" in site.node.program.log()
        await site.node.start()
        assert (await client.get("/api/v1/certificate/pebble/a.example.test")).json() == first


async def test_a_name_that_does_not_point_here_fails_with_the_words_of_the_ca(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site, site.node.client() as client:
        refused = await client.post("/api/v1/certificate", json={"issuer": "web", "domain": "no.such.invalid"})
        assert refused.status_code == 500
        problem = refused.json()
        assert problem["err"] == problem["detail"]
        assert "no.such.invalid" in problem["detail"]
        assert problem["domain"] == "no.such.invalid"
        assert refused.headers["Content-Type"] == "application/problem+json"
        await nothing_left(site, "no.such.invalid")


async def test_a_zone_that_we_may_not_write_fails_before_the_ca_is_answered(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site, site.node.client() as client:
        refused = await client.post(
            "/api/v1/certificate", json={"issuer": "pebble", "domain": "host.elsewhere.invalid"}
        )
        assert refused.status_code == 500
        assert LOOPBACK in refused.json()["detail"]
