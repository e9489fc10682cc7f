"""Issuance against a real Pebble, strict, with pebble-challtestsrv as its view of the world."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from cryptography import x509
from prometheus_client import CollectorRegistry

from acme_manager.domain.keys import KeyType, describe, key_to_pem, make_key, split_chain
from acme_manager.errors import DirectoryUnavailable, IssuanceFailed, IssuerUnavailable
from acme_manager.issuance.chain import root_name
from acme_manager.ports import PlacedOrder, Step
from tests.integration.issuance.helpers import DnsSolver, HttpSolver, Record, issue, make_request, opened
from tests.parts.challtestsrv import challtestsrv
from tests.parts.pebble import pebble


@pytest.mark.parametrize("key_type", list(KeyType))
async def test_every_key_type_is_issued_for(tmp_path: Path, key_type: KeyType) -> None:
    async with (
        challtestsrv(tmp_path) as world,
        pebble(tmp_path, dns=world.dns) as ca,
        opened(ca.directory, tmp_path, ca=ca.ca_pem) as issuer,
    ):
        request = await trio.to_thread.run_sync(lambda: make_request("www.example.org", key_type=key_type))
        issued = await issue(issuer, request, DnsSolver(world))
    expected = {"R": f"RSA-{key_type[3:]}", "E": f"ECDSA-{key_type[2:]}"}[key_type[0]]
    assert describe(issued.chain).encryption == expected


async def test_an_order_tells_its_steps_and_its_traces_before_anything_is_visible(tmp_path: Path) -> None:
    async with (
        challtestsrv(tmp_path) as world,
        pebble(tmp_path, dns=world.dns) as ca,
        opened(ca.directory, tmp_path, ca=ca.ca_pem) as issuer,
    ):
        record, visible = Record(), []
        solver = DnsSolver(world)

        async def placed(order: PlacedOrder) -> None:
            await record.on_placed(order)
            visible.append(await world.txt("_acme-challenge.www.example.org"))

        issued = await issuer.issue(make_request("www.example.org"), solver, placed=placed, step=record.on_step)
        left = await world.txt("_acme-challenge.www.example.org")
    assert visible == [set()]
    assert left == set()
    assert record.steps == [Step.ORDERED, Step.PRESENTED, Step.VALIDATED, Step.FINALIZED, Step.ISSUED]
    assert [trace["host"] for trace in record.placed[0].traces] == ["_acme-challenge.www.example.org"]
    assert issued.url.startswith("https://localhost:")
    leaf, rest = split_chain(issued.chain)
    assert leaf + rest == issued.chain
    assert rest.count("BEGIN CERTIFICATE") == 1


async def test_wildcard_and_apex_share_a_certificate(tmp_path: Path) -> None:
    async with (
        challtestsrv(tmp_path) as world,
        pebble(tmp_path, dns=world.dns) as ca,
        opened(ca.directory, tmp_path, ca=ca.ca_pem) as issuer,
    ):
        issued = await issue(issuer, make_request("example.org", "*.example.org"), DnsSolver(world))
    assert {str(name) for name in describe(issued.chain).names} == {"example.org", "*.example.org"}


async def test_http_01_proves_names_and_addresses(tmp_path: Path) -> None:
    async with (
        challtestsrv(tmp_path) as world,
        pebble(tmp_path, dns=world.dns, http_port=world.http_port) as ca,
        opened(ca.directory, tmp_path, ca=ca.ca_pem) as issuer,
    ):
        named = await issue(issuer, make_request("www.example.org"), HttpSolver(world))
        mixed = await issue(issuer, make_request("www.example.org", "127.0.0.1"), HttpSolver(world))
        alone = await issue(issuer, make_request("127.0.0.1"), HttpSolver(world))
    assert [str(name) for name in describe(named.chain).names] == ["www.example.org"]
    assert {str(name) for name in describe(mixed.chain).names} == {"www.example.org", "127.0.0.1"}
    assert [str(name) for name in describe(alone.chain).names] == ["127.0.0.1"]


async def test_ten_names_are_proven_at_once(tmp_path: Path) -> None:
    names = [f"n{number}.example.org" for number in range(10)]
    async with (
        challtestsrv(tmp_path) as world,
        pebble(tmp_path, dns=world.dns) as ca,
        opened(ca.directory, tmp_path, ca=ca.ca_pem) as issuer,
    ):
        issued = await issue(issuer, make_request(*names), DnsSolver(world))
    assert sorted(str(name) for name in describe(issued.chain).names) == names


async def test_a_nonce_refused_every_second_time_does_not_matter(tmp_path: Path) -> None:
    async with (
        challtestsrv(tmp_path) as world,
        pebble(tmp_path, dns=world.dns, nonce_reject=50) as ca,
        opened(ca.directory, tmp_path, ca=ca.ca_pem) as issuer,
    ):
        for number in range(5):
            await issue(issuer, make_request(f"n{number}.example.org"), DnsSolver(world))


async def test_authorizations_that_are_valid_already_are_not_proven_again(tmp_path: Path) -> None:
    async with (
        challtestsrv(tmp_path) as world,
        pebble(tmp_path, dns=world.dns, authz_reuse=100) as ca,
        opened(ca.directory, tmp_path, ca=ca.ca_pem) as issuer,
    ):
        record = Record()
        await issue(issuer, make_request("www.example.org"), DnsSolver(world))
        await issue(issuer, make_request("www.example.org"), DnsSolver(world, lying=True), record=record)
        await issue(issuer, make_request("www.example.org", "b.example.org"), DnsSolver(world))
    assert record.placed[0].traces == ()


async def test_eight_at_once_and_more_wait_for_their_turn(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    async with (
        challtestsrv(tmp_path) as world,
        pebble(tmp_path, dns=world.dns) as ca,
        opened(ca.directory, tmp_path, ca=ca.ca_pem, registry=registry, max_orders=8) as issuer,
    ):
        seen: list[float | None] = []

        def look(_step: Step) -> None:
            seen.append(registry.get_sample_value("acme_manager_issuer_orders_in_flight", {"issuer": "ca"}))

        async def one(number: int) -> None:
            request = make_request(f"n{number}.example.org")
            await issuer.issue(request, DnsSolver(world), placed=Record().on_placed, step=look)

        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                for number in range(20):
                    nursery.start_soon(one, number)
    assert max(one for one in seen if one is not None) == 8
    issued = {"issuer": "ca", "outcome": "issued"}
    assert registry.get_sample_value("acme_manager_issuer_orders_total", issued) == 20
    assert registry.get_sample_value("acme_manager_issuer_orders_in_flight", {"issuer": "ca"}) == 0


async def test_a_failed_validation_says_which_name_and_why(tmp_path: Path) -> None:
    async with (
        challtestsrv(tmp_path) as world,
        pebble(tmp_path, dns=world.dns) as ca,
        opened(ca.directory, tmp_path, ca=ca.ca_pem) as issuer,
    ):
        with pytest.raises(
            IssuanceFailed, match=r"www\.example\.org.*does not permit.*Correct value not found"
        ) as caught:
            await issue(issuer, make_request("www.example.org"), DnsSolver(world, lying=True))
        with pytest.raises(IssuanceFailed) as several:
            await issue(issuer, make_request("a.example.org", "b.example.org"), DnsSolver(world, lying=True))
        left = await world.txt("_acme-challenge.www.example.org")
    assert caught.value.problem is not None
    assert (caught.value.problem.code, caught.value.problem.identifier) == ("unauthorized", "www.example.org")
    assert several.value.problem is not None
    assert left == set()


async def test_a_challenge_type_that_is_not_offered_is_an_error_that_names_the_offers(tmp_path: Path) -> None:
    async with (
        challtestsrv(tmp_path) as world,
        pebble(tmp_path, dns=world.dns) as ca,
        opened(ca.directory, tmp_path, ca=ca.ca_pem) as issuer,
    ):
        with pytest.raises(IssuanceFailed, match=r"offers dns-01 for example\.org, but http-01 is configured"):
            await issue(issuer, make_request("*.example.org"), HttpSolver(world))


async def test_the_preferred_chain_is_chosen_among_the_alternates(tmp_path: Path) -> None:
    async with challtestsrv(tmp_path) as world, pebble(tmp_path, dns=world.dns, alternate_roots=2) as ca:
        roots = [x509.load_pem_x509_certificate(await ca.root(number)) for number in range(3)]
        names = [root.subject.rfc4514_string().removeprefix("CN=") for root in roots]
        for name in names:
            async with opened(ca.directory, tmp_path, ca=ca.ca_pem, preferred_chain=name) as issuer:
                issued = await issue(issuer, make_request("www.example.org"), DnsSolver(world))
                assert root_name(issued.chain) == name
        async with opened(ca.directory, tmp_path, ca=ca.ca_pem, preferred_chain="No Such Root") as issuer:
            issued = await issue(issuer, make_request("www.example.org"), DnsSolver(world))
            assert root_name(issued.chain) == names[0]
    assert len(set(names)) == 3


async def test_days_and_profile_are_passed_on(tmp_path: Path) -> None:
    async with (
        challtestsrv(tmp_path) as world,
        pebble(tmp_path, dns=world.dns) as ca,
        opened(ca.directory, tmp_path, ca=ca.ca_pem) as issuer,
    ):
        # Pebble knows neither profiles nor a way to refuse them; it does honour notAfter.
        request = make_request("www.example.org", days=7, profile="shortlived")
        facts = describe((await issue(issuer, request, DnsSolver(world))).chain)
    assert 6 <= (facts.not_after - facts.not_before).days <= 7


async def test_revoking_is_done_once_and_twice(tmp_path: Path) -> None:
    async with (
        challtestsrv(tmp_path) as world,
        pebble(tmp_path, dns=world.dns) as ca,
        opened(ca.directory, tmp_path, ca=ca.ca_pem) as issuer,
    ):
        key = make_key(KeyType.EC256)
        for private_key in ("", key_to_pem(key)):  # by the account's key, and by the certificate's
            issued = await issue(issuer, make_request("www.example.org", key=key), DnsSolver(world))
            serial = int(describe(issued.chain).serial, 16)
            assert await ca.status(serial) == "Valid"
            await issuer.revoke(issued.chain, 4, private_key=private_key)
            assert await ca.status(serial) == "Revoked"
            await issuer.revoke(issued.chain)
        with pytest.raises(IssuanceFailed, match="no certificate"):
            await issuer.revoke("nonsense")


async def test_a_ca_that_is_away_is_reported_in_time_and_healed_from(tmp_path: Path) -> None:
    async with challtestsrv(tmp_path) as world, pebble(tmp_path, dns=world.dns) as ca:
        await ca.stop()
        async with opened(ca.directory, tmp_path, ca=ca.ca_pem) as issuer:
            with pytest.raises(DirectoryUnavailable, match="localhost"):
                await issuer.check()
            await ca.start()
            await issuer.check()
            await issue(issuer, make_request("www.example.org"), DnsSolver(world))


async def test_a_ca_that_nobody_vouches_for_is_refused_at_once(tmp_path: Path) -> None:
    async with (
        challtestsrv(tmp_path) as world,
        pebble(tmp_path, dns=world.dns) as ca,
        opened(ca.directory, tmp_path) as issuer,
    ):
        with trio.fail_after(5), pytest.raises(IssuerUnavailable, match="ca_bundle"):
            await issuer.check()


async def test_a_ca_that_hangs_is_given_up_at_the_deadline_and_leaves_no_record(tmp_path: Path) -> None:
    async with (
        challtestsrv(tmp_path) as world,
        pebble(tmp_path, dns=world.dns) as ca,
        opened(ca.directory, tmp_path, ca=ca.ca_pem) as issuer,
    ):
        record = Record()
        solver = DnsSolver(world)

        def freeze(step: Step) -> None:
            if step is Step.PRESENTED:
                ca.program.freeze()

        with pytest.raises(trio.TooSlowError), trio.fail_after(1):
            await issuer.issue(make_request("www.example.org"), solver, placed=record.on_placed, step=freeze)
        assert await world.txt("_acme-challenge.www.example.org") == set()
