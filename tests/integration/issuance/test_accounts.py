"""Accounts at a real Pebble: made, found, forgotten by the CA, bound, re-keyed and given up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from acme_manager.domain.keys import describe
from acme_manager.errors import IssuanceFailed, IssuerUnavailable
from acme_manager.issuance.account_record import new_key
from acme_manager.ports import Challenge, Step, Trace
from acme_manager.storage.memory import MemoryStorage
from tests.integration.issuance.helpers import ACCOUNT, DnsSolver, Record, SystemClock, issue, make_request, opened
from tests.parts.challtestsrv import challtestsrv
from tests.parts.pebble import pebble

EAB_KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
_PKCS8, _OLD = serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL


def _account(folder: Path) -> Path:
    return folder / "accounts" / "ca"


def _url(folder: Path) -> str:
    return str(json.loads((_account(folder) / "account.json").read_text())["registration"]["uri"])


async def test_an_account_is_made_once_and_found_again(tmp_path: Path) -> None:
    async with pebble(tmp_path, always_valid=True) as ca:
        async with opened(ca.directory, tmp_path, ca=ca.ca_pem) as issuer, trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(issuer.check)
        first, key = _url(tmp_path), (_account(tmp_path) / "private_key.pem").read_bytes()
        async with opened(ca.directory, tmp_path, ca=ca.ca_pem) as issuer:
            await issuer.check()
        assert (_url(tmp_path), (_account(tmp_path) / "private_key.pem").read_bytes()) == (first, key)
        (_account(tmp_path) / "account.json").unlink()
        async with opened(ca.directory, tmp_path, ca=ca.ca_pem) as issuer:
            await issuer.check()
        assert _url(tmp_path) == first


async def test_nodes_that_start_at_once_share_one_account_with_or_without_a_folder(tmp_path: Path) -> None:
    storage, used = MemoryStorage(SystemClock()), set[str]()
    async with pebble(tmp_path, always_valid=True) as ca:

        async def node(folder: Path | None) -> None:
            async with opened(ca.directory, folder, ca=ca.ca_pem, storage=storage) as issuer:
                await issuer.check()
                used.add((await issuer.facts()).account)

        async with trio.open_nursery() as nursery:
            for folder in (tmp_path, tmp_path, None, None):
                nursery.start_soon(node, folder)
    assert used == {_url(tmp_path)}
    assert sorted(file.name for file in _account(tmp_path).iterdir()) == ["account.json", "private_key.pem"]


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        (rsa.generate_private_key(65537, 2048), _OLD),
        (rsa.generate_private_key(65537, 2048), _PKCS8),
        (ec.generate_private_key(ec.SECP256R1()), _OLD),
        (ec.generate_private_key(ec.SECP384R1()), _PKCS8),
    ],
    ids=["RSA PKCS#1", "RSA PKCS#8", "P-256 SEC1", "P-384 PKCS#8"],
)
async def test_a_key_that_the_operator_brings_is_used(
    tmp_path: Path, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, shape: serialization.PrivateFormat
) -> None:
    pem = key.private_bytes(serialization.Encoding.PEM, shape, serialization.NoEncryption())
    _account(tmp_path).mkdir(parents=True)
    (_account(tmp_path) / "private_key.pem").write_bytes(pem)
    async with (
        pebble(tmp_path, always_valid=True) as ca,
        challtestsrv(tmp_path) as world,
        opened(ca.directory, tmp_path, ca=ca.ca_pem) as issuer,
    ):
        await issue(issuer, make_request("www.example.org"), DnsSolver(world))
    assert (_account(tmp_path) / "private_key.pem").read_bytes() == pem


async def test_a_kind_of_key_that_the_ca_does_not_take_is_named(tmp_path: Path) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, _PKCS8, serialization.NoEncryption())
    _account(tmp_path).mkdir(parents=True)
    (_account(tmp_path) / "private_key.pem").write_bytes(pem)
    async with pebble(tmp_path, always_valid=True) as ca, opened(ca.directory, tmp_path, ca=ca.ca_pem) as issuer:
        with pytest.raises(IssuanceFailed, match=r"does not accept this kind of key.*ed25519"):
            await issuer.check()


async def test_a_ca_that_has_forgotten_our_account_gets_it_again_in_the_middle_of_an_issuance(tmp_path: Path) -> None:
    async with (
        challtestsrv(tmp_path) as world,
        pebble(tmp_path, dns=world.dns) as ca,
        opened(ca.directory, tmp_path, ca=ca.ca_pem) as issuer,
    ):
        await issue(issuer, make_request("www.example.org"), DnsSolver(world))
        before = _url(tmp_path)
        await ca.restart()
        await issue(issuer, make_request("www.example.org"), DnsSolver(world))
        assert _url(tmp_path) != before

        async with trio.open_nursery() as nursery:
            await ca.restart()
            for number in range(4):
                nursery.start_soon(issue, issuer, make_request(f"n{number}.example.org"), DnsSolver(world))


async def test_an_order_that_the_ca_forgets_half_way_is_placed_again(tmp_path: Path) -> None:
    async with (
        challtestsrv(tmp_path) as world,
        pebble(tmp_path, dns=world.dns) as ca,
        opened(ca.directory, tmp_path, ca=ca.ca_pem) as issuer,
    ):
        record, restarted = Record(), trio.Event()

        class Forgetful(DnsSolver):
            async def plan(self, challenges: Sequence[Challenge]) -> Sequence[Trace]:
                if not restarted.is_set():
                    restarted.set()
                    await ca.restart()
                return await super().plan(challenges)

        issued = await issue(issuer, make_request("www.example.org"), Forgetful(world), record=record)
    assert record.steps.count(Step.ORDERED) == 2
    assert describe(issued.chain).encryption == "ECDSA-256"


async def test_a_changed_contact_is_told_to_the_ca_once(tmp_path: Path) -> None:
    async with pebble(tmp_path, always_valid=True) as ca:
        for contact in ("a@example.org", "b@example.org", ""):
            async with opened(ca.directory, tmp_path, ca=ca.ca_pem, contact=contact) as issuer:
                await issuer.check()
            saved = json.loads((_account(tmp_path) / "account.json").read_text())
            assert saved["email"] == contact
            assert saved["registration"]["body"].get("contact", []) == ([f"mailto:{contact}"] if contact else [])


@pytest.mark.parametrize("hmac", [EAB_KEY, EAB_KEY + "=="], ids=["bare", "padded"])
async def test_the_right_binding_is_accepted(tmp_path: Path, hmac: str) -> None:
    async with (
        pebble(tmp_path, eab={"kid-1": EAB_KEY}) as ca,
        opened(ca.directory, tmp_path, ca=ca.ca_pem, eab=True, kid="kid-1", hmac=hmac) as issuer,
    ):
        await issuer.check()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "set eab, kid and hmac"),
        ({"eab": True, "kid": "kid-1", "hmac": "A" * 64}, "does not permit"),
        ({"eab": True, "kid": "kid-2", "hmac": EAB_KEY}, "does not permit"),
        ({"eab": True, "kid": "", "hmac": EAB_KEY}, "kid is empty"),
        ({"eab": True, "kid": "kid-1", "hmac": "not base64!"}, "hmac is no base64url"),
        ({"eab": True, "kid": "kid-1", "hmac": "QUJD"}, "hmac has 3 bytes"),
    ],
)
async def test_a_wrong_binding_is_an_error_that_says_what_to_change(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    async with (
        pebble(tmp_path, eab={"kid-1": EAB_KEY}) as ca,
        opened(ca.directory, tmp_path, ca=ca.ca_pem, **settings) as issuer,
    ):
        with pytest.raises(IssuanceFailed, match=message) as caught:
            await issuer.check()
    assert EAB_KEY not in str(caught.value)


async def test_a_rolled_over_key_is_used_from_then_on_by_other_nodes_too(tmp_path: Path) -> None:
    storage = MemoryStorage(SystemClock())
    async with pebble(tmp_path, always_valid=True) as ca, challtestsrv(tmp_path) as world:
        async with (
            opened(ca.directory, tmp_path, ca=ca.ca_pem, storage=storage) as issuer,
            opened(ca.directory, None, ca=ca.ca_pem, storage=storage) as other,
        ):
            await issuer.check()
            await other.check()
            url, old = _url(tmp_path), (_account(tmp_path) / "private_key.pem").read_bytes()
            await issuer.roll_over()
            assert (_account(tmp_path) / "private_key.pem").read_bytes() != old
            await issue(issuer, make_request("www.example.org"), DnsSolver(world))
            await issue(other, make_request("www.example.org"), DnsSolver(world))
        assert _url(tmp_path) == url


@pytest.mark.parametrize("told", [False, True], ids=["before the CA heard of it", "after the CA heard of it"])
async def test_a_roll_over_cut_short_is_sorted_out_by_the_next_who_uses_the_account(
    tmp_path: Path, *, told: bool
) -> None:
    storage = MemoryStorage(SystemClock())
    async with pebble(tmp_path, always_valid=True) as ca, challtestsrv(tmp_path) as world:
        async with opened(ca.directory, None, ca=ca.ca_pem, storage=storage) as issuer:
            await issuer.check()
            url, old = (await issuer.facts()).account, await storage.get(ACCOUNT)
            if told:
                await issuer.roll_over()
            new = await storage.get(ACCOUNT)
            assert old.value is not None
            assert new.value is not None
            next_key = new.value["private_key"] if told else new_key()
            await storage.put(ACCOUNT, {**old.value, "next_private_key": next_key}, expected=new.version)
        async with opened(ca.directory, None, ca=ca.ca_pem, storage=storage) as issuer:
            await issue(issuer, make_request("www.example.org"), DnsSolver(world))
            found = (await storage.get(ACCOUNT)).value
            assert found is not None
            assert ("next_private_key" not in found) is told
            await issuer.roll_over()
            await issue(issuer, make_request("www.example.org"), DnsSolver(world))
            assert (await issuer.facts()).account == url


async def test_unregister_deactivates_and_forgets(tmp_path: Path) -> None:
    storage = MemoryStorage(SystemClock())
    async with pebble(tmp_path, always_valid=True) as ca, challtestsrv(tmp_path) as world:
        async with opened(ca.directory, tmp_path, ca=ca.ca_pem, storage=storage) as issuer:
            await issuer.check()
        key = (_account(tmp_path) / "private_key.pem").read_bytes()
        async with opened(ca.directory, tmp_path, ca=ca.ca_pem, storage=storage, unregister=True) as issuer:
            await issuer.check()
            await issuer.check()
            with pytest.raises(IssuanceFailed, match="unregister: true"):
                await issue(issuer, make_request("www.example.org"), DnsSolver(world))
        assert list(_account(tmp_path).iterdir()) == []
        assert (await storage.get(ACCOUNT)).version == 0
        (_account(tmp_path) / "private_key.pem").write_bytes(key)
        async with opened(ca.directory, tmp_path, ca=ca.ca_pem) as issuer:
            with pytest.raises((IssuanceFailed, IssuerUnavailable), match="deactivated"):
                await issue(issuer, make_request("www.example.org"), DnsSolver(world))
        # A node that was away when the account was given up, and still has its copy.
        async with opened(ca.directory, tmp_path, ca=ca.ca_pem, storage=storage, unregister=True) as issuer:
            await issuer.check()
        assert list(_account(tmp_path).iterdir()) == []
