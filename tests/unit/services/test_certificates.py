from __future__ import annotations

import base64
from contextlib import suppress
from pathlib import Path

import attrs
import pytest
import trio
import trio.testing
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from acme_manager.config.model import Common
from acme_manager.domain.certificate import CertificateId, StoredCertificate
from acme_manager.domain.keys import KeyType, belong_together, make_csr, make_key, split_chain
from acme_manager.domain.names import parse_identifier
from acme_manager.domain.revocation import Reason
from acme_manager.errors import (
    CertificateExists,
    CertificateNotFound,
    InvalidRequest,
    IssuanceFailed,
    IssuerUnavailable,
    NameNotAllowed,
    OperationInProgress,
    Problem,
    StorageUnavailable,
)
from acme_manager.ports import Step
from acme_manager.storage.memory import MemoryStorage
from tests.unit.services.world import ALICE, FixedClock, open_world, wish

KEY = "certificates/alice/test/example.com"
ORDERS = "certificates/.acme-manager/orders"
EXAMPLE = CertificateId("alice", "test", "example.com")


class Killed(BaseException):
    """Stands for kill -9: nothing of ours may handle it."""


def csr_for(*names: str) -> str:
    der = make_csr(make_key(KeyType.EC256), [parse_identifier(name) for name in names])
    return base64.b64encode(x509.load_der_x509_csr(der).public_bytes(Encoding.PEM)).decode()


async def test_a_request_without_a_csr_is_issued_for_a_key_that_is_kept_with_it() -> None:
    async with open_world() as world:
        stored = await world.certificates.request(ALICE, wish(san="www.example.com"))
        assert "PRIVATE KEY" in stored.private_key
        assert stored.certificate.expires == "2027-02-22 12:00:00 +0000 UTC"
        assert stored.certificate.encryption == "ECDSA-256"
        assert await world.certificates.get(stored.certificate.id) == stored
        assert (await world.storage.get(KEY)).version == 1
        assert await world.storage.list(ORDERS) == []


async def test_a_request_with_a_csr_keeps_no_key() -> None:
    async with open_world() as world:
        csr = csr_for("example.com")
        stored = await world.certificates.request(ALICE, wish(csr=csr))
        assert stored.private_key == ""
        assert stored.certificate.csr == csr
        assert belong_together(stored.cert, x509.load_pem_x509_csr(base64.b64decode(csr)).public_bytes(Encoding.DER))


async def test_the_chain_is_in_the_certificate_only_when_bundled() -> None:
    async with open_world() as world:
        bundled = await world.certificates.request(ALICE, wish(bundle=True))
        plain = await world.certificates.request(ALICE, wish(name="plain"))
    assert bundled.cert.count("BEGIN CERTIFICATE") == 2
    assert plain.cert.count("BEGIN CERTIFICATE") == 1
    assert plain.ca_issuer.count("BEGIN CERTIFICATE") == bundled.ca_issuer.count("BEGIN CERTIFICATE") == 1


async def test_a_certificate_that_is_there_is_not_ordered_again() -> None:
    async with open_world() as world:
        await world.certificates.request(ALICE, wish())
        with pytest.raises(CertificateExists):
            await world.certificates.request(ALICE, wish())
        assert len(world.ca.placed) == 1


async def test_two_requests_for_the_same_at_once_place_one_order() -> None:
    results: list[StoredCertificate] = []
    async with open_world() as world:

        async def ask() -> None:
            results.append(await world.certificates.request(ALICE, wish()))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(ask)
        assert len(world.ca.placed) == 1
    assert results[0] == results[1] == results[2]


async def test_another_request_for_a_certificate_under_way_is_refused() -> None:
    go = trio.Event()

    async def before(_step: str) -> None:
        await go.wait()

    async with open_world(before=before) as world, trio.open_nursery() as nursery:
        nursery.start_soon(world.certificates.request, ALICE, wish())
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(OperationInProgress):
            await world.certificates.request(ALICE, wish(san="other.example.com"))
        go.set()


async def test_every_step_is_told_in_order() -> None:
    steps: list[Step] = []
    async with open_world() as world:
        with world.issuing.progress.watched_by(lambda _id, step: steps.append(step)):
            await world.certificates.request(ALICE, wish())
    assert steps == [Step.ORDERED, Step.PRESENTED, Step.VALIDATED, Step.ISSUED, Step.STORED]


@pytest.mark.parametrize(
    ("changes", "where", "text"),
    [
        ({"issuer": ""}, "issuer", "missing 'issuer' and/or 'domain' parameter"),
        ({"domain": ""}, "domain", "missing 'issuer' and/or 'domain' parameter"),
        ({"issuer": "nope"}, "issuer", "invalid issuer 'nope' must be one of [bare test]"),
        ({"name": "a/b"}, "name", "invalid 'name' parameter: name \"a/b\" must not contain a path separator"),
        ({"name": ".."}, "name", "must not contain a parent directory reference"),
        ({"name": "metadata"}, "name", "is the name of a route"),
        ({"domain": "a..b"}, "domain", "contains an empty label"),
        ({"renewal_days": "30-20"}, "renewal_days", "could not be higher than"),
        ({"days": 20, "renewal_days": "20"}, "renewal_days", "'renewal_days' (20) should be lower than 'days' (20)"),
        ({"renewal_days": "soon"}, "renewal_days", "'soon' must be whole numbers of days, as in '30' or '20-30'"),
        ({"days": -1}, "days", "must not be negative"),
        ({"dns_challenge": "x", "http_challenge": "y"}, "dns_challenge", "are mutually exclusive"),
        ({"labels": "a-b=c"}, "labels", "invalid Label Name 'a-b'"),
        ({"csr": "!"}, "csr", "invalid 'csr' parameter, bad format"),
        ({"key_type": "DSA"}, "key_type", "is none of RSA2048"),
        ({"issuer": "bare"}, "dns_challenge", "issuer 'bare' has no default challenge"),
        ({"http_challenge": "ftp"}, "http_challenge", "unknown http_challenge 'ftp'"),
        ({"domain": "*.example.com"}, "http_challenge", "a wildcard needs dns-01"),
        ({"domain": "192.0.2.1", "dns_challenge": "x"}, "dns_challenge", "dns-01 can't prove an IP address"),
    ],
)
async def test_a_request_that_can_not_be_served_says_which_field_and_why(
    changes: dict[str, object], where: str, text: str
) -> None:
    async with open_world() as world:
        with pytest.raises(InvalidRequest) as refused:
            await world.certificates.request(ALICE, wish(**changes))
        assert refused.value.where == where
        assert text in str(refused.value)
        assert world.ca.placed == []


async def test_all_complaints_come_at_once() -> None:
    async with open_world() as world:
        with pytest.raises(InvalidRequest) as refused:
            await world.certificates.request(ALICE, wish(domain="a..b", labels="1=2", renewal_days="x"))
    assert [one.where for one in refused.value.complaints] == ["domain", "renewal_days", "labels"]


async def test_a_csr_for_other_names_is_refused() -> None:
    async with open_world() as world:
        with pytest.raises(InvalidRequest, match="CSR Domains should match 'SAN' parameter"):
            await world.certificates.request(ALICE, wish(csr=csr_for("example.com", "evil.example")))
        with pytest.raises(InvalidRequest, match="CSR Common Name should match 'domain'"):
            await world.certificates.request(ALICE, wish(csr=csr_for("evil.example")))


async def test_server_made_keys_can_be_forbidden() -> None:
    async with open_world(common=Common(server_managed_keys=False)) as world:
        with pytest.raises(InvalidRequest, match="missing 'csr' parameter"):
            await world.certificates.request(ALICE, wish())


async def test_the_allow_lists_of_a_token_hold_for_every_name() -> None:
    narrow = attrs.evolve(ALICE, domains=("*.example.com",), issuers=("te*",))
    async with open_world() as world:
        await world.certificates.request(narrow, wish(domain="www.example.com", san="a.b.example.com"))
        with pytest.raises(NameNotAllowed, match=r"may not request: example\.com, other\.example"):
            await world.certificates.request(narrow, wish(san="x.example.com,other.example"))
        with pytest.raises(NameNotAllowed, match="may not use issuer 'test'"):
            await world.certificates.request(attrs.evolve(ALICE, issuers=("prod",)), wish())


async def test_a_unicode_name_is_found_under_any_spelling() -> None:
    async with open_world() as world:
        stored = await world.certificates.request(ALICE, wish(domain="Bücher.example"))
        assert stored.certificate.domain == "xn--bcher-kva.example"
        for spelling in ("Bücher.example", "XN--BCHER-KVA.example"):
            assert await world.certificates.get(attrs.evolve(stored.certificate.id, domain=spelling)) == stored


async def test_a_short_life_may_be_asked_for_where_the_configured_window_is_longer() -> None:
    async with open_world() as world:
        stored = await world.certificates.request(ALICE, wish(days=6))
        assert stored.certificate.days == 6


async def test_a_change_of_facts_costs_no_order() -> None:
    async with open_world() as world:
        first = await world.certificates.request(ALICE, wish())
        second = await world.certificates.update(ALICE, wish(labels="env=prod", renewal_days="5-6"))
        assert len(world.ca.placed) == 1
        assert second.cert == first.cert
        assert second.private_key == first.private_key
        assert second.certificate.labels == "env=prod"
        assert second.certificate.renewal_date > first.certificate.renewal_date
        assert (await world.storage.get(KEY)).version == 2


@pytest.mark.parametrize("revoke", [False, True])
async def test_a_change_of_names_issues_anew_and_revokes_afterwards_if_asked(revoke: bool) -> None:
    async with open_world() as world:
        first = await world.certificates.request(ALICE, wish())
        second = await world.certificates.update(ALICE, wish(san="www.example.com", revoke=revoke))
        assert second.cert != first.cert
        assert second.private_key != first.private_key
        assert world.ca.revoked == ([(first.cert, 4)] if revoke else [])
        assert await world.storage.list(ORDERS) == []


async def test_a_change_tells_beforehand_what_it_makes_otherwise_and_revokes_for_the_reason_that_it_is_given() -> None:
    async with open_world() as world:
        csr = csr_for("example.com")
        first = await world.certificates.request(ALICE, wish(csr=csr))
        same, leaked = wish(csr=csr, labels="env=prod"), {"revoke": True, "reason": "keyCompromise"}
        assert world.certificates.made_otherwise(ALICE, same) == []
        assert world.certificates.made_otherwise(ALICE, wish(san="www.example.com")) == ["csr", "san"]
        with pytest.raises(InvalidRequest, match="it needs 'revoke'"):
            await world.certificates.update(ALICE, wish(reason="superseded"))
        with pytest.raises(InvalidRequest, match="the key that is compromised"):
            await world.certificates.update(ALICE, wish(csr=csr, days=30, **leaked))
        await world.certificates.update(ALICE, wish(**leaked))
        assert world.ca.revoked == [(first.cert, Reason.keyCompromise)]


async def test_a_failed_update_leaves_the_old_certificate_unrevoked() -> None:
    async def before(step: str) -> None:
        if step == "validate" and len(world.ca.placed) > 1:
            raise IssuanceFailed("no")

    async with open_world(before=before) as world:
        first = await world.certificates.request(ALICE, wish())
        with pytest.raises(IssuanceFailed):
            await world.certificates.update(ALICE, wish(san="www.example.com", revoke=True))
        assert world.ca.revoked == []
        assert await world.certificates.get(first.certificate.id) == first
        assert await world.storage.list(ORDERS) == []


async def test_a_revocation_that_fails_is_repeated_with_the_next_order() -> None:
    down = True

    async def before(step: str) -> None:
        if step == "revoke" and down:
            raise IssuerUnavailable("away")

    async with open_world(before=before) as world:
        first = await world.certificates.request(ALICE, wish())
        second = await world.certificates.update(ALICE, wish(san="www.example.com", revoke=True))
        assert world.ca.revoked == []
        down = False
        await world.certificates.update(ALICE, wish(san="www2.example.com", revoke=True))
        assert world.ca.revoked == [(first.cert, 4), (second.cert, 4)]
        assert await world.storage.list(ORDERS) == []


@pytest.mark.parametrize("error", [IssuerUnavailable("away"), StorageUnavailable("the account can't be read")])
async def test_an_order_whose_issuer_can_not_go_on_just_now_stays_written_down(error: Exception) -> None:
    failing = True

    async def before(step: str) -> None:
        if step == "finalize" and failing:
            raise error

    async with open_world(before=before) as world:
        with pytest.raises(type(error)):
            await world.certificates.request(ALICE, wish())
        assert len(await world.storage.list(ORDERS)) == 1
        failing = False
        await world.certificates.request(ALICE, wish())
        assert world.ca.resumed == world.ca.placed
        assert await world.storage.list(ORDERS) == []


async def test_an_update_of_what_is_not_there_is_not_found() -> None:
    async with open_world() as world:
        with pytest.raises(CertificateNotFound):
            await world.certificates.update(ALICE, wish())


async def test_a_named_certificate_may_change_issuer_and_domain() -> None:
    async with open_world() as world:
        first = await world.certificates.request(ALICE, wish(name="web"))
        second = await world.certificates.update(ALICE, wish(name="web", domain="example.org"))
        assert first.certificate.id.key == second.certificate.id.key == "alice/web"
        assert world.certificates.list("alice") == [second.certificate]


async def test_a_deleted_certificate_is_gone_and_can_be_requested_again() -> None:
    async with open_world() as world:
        first = await world.certificates.request(ALICE, wish())
        await world.certificates.delete(first.certificate.id, revoke=True)
        assert world.ca.revoked == [(first.cert, None)]
        with pytest.raises(CertificateNotFound):
            await world.certificates.get(first.certificate.id)
        with pytest.raises(CertificateNotFound):
            await world.certificates.delete(first.certificate.id, revoke=False)
        assert world.certificates.list("alice") == []
        await world.certificates.request(ALICE, wish())
        assert (await world.storage.get(KEY)).version == 2


async def test_nothing_is_deleted_when_the_ca_can_not_revoke() -> None:
    async def before(step: str) -> None:
        if step == "revoke":
            raise IssuerUnavailable("away")

    async with open_world(before=before) as world:
        stored = await world.certificates.request(ALICE, wish())
        with pytest.raises(IssuerUnavailable):
            await world.certificates.delete(stored.certificate.id, revoke=True)
        assert await world.certificates.get(stored.certificate.id) == stored


async def test_a_secret_that_storage_has_lost_can_still_be_deleted() -> None:
    async with open_world() as world:
        stored = await world.certificates.request(ALICE, wish())
        await world.storage.purge(KEY)
        await world.certificates.delete(stored.certificate.id, revoke=True)
        assert world.certificates.list("alice") == []


async def test_an_owner_sees_only_what_is_theirs() -> None:
    async with open_world() as world:
        await world.certificates.request(ALICE, wish())
        await world.certificates.request(attrs.evolve(ALICE, username="alic"), wish())
        assert [one.owner for one in world.certificates.list("alice")] == ["alice"]


async def test_public_text_is_read_from_storage_once_and_keys_every_time() -> None:
    async with open_world() as world:
        public = await world.certificates.request(ALICE, wish(csr=csr_for("example.com")))
        secret = await world.certificates.request(ALICE, wish(name="secret"))
        world.storage.down = StorageUnavailable("sealed")
        assert await world.certificates.get(public.certificate.id) == public
        with pytest.raises(StorageUnavailable):
            await world.certificates.get(secret.certificate.id)


async def test_without_storage_nothing_is_issued() -> None:
    async with open_world() as world:
        world.storage.down = StorageUnavailable("sealed")
        with pytest.raises(StorageUnavailable):
            await world.certificates.request(ALICE, wish())
        assert world.ca.issued == {}


async def test_a_certificate_that_storage_refuses_is_neither_lost_nor_ordered_again(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    async def before(step: str) -> None:
        if step == "download":
            world.storage.down = StorageUnavailable("sealed")

    async with open_world(before=before, spool=tmp_path) as world:
        for _ in range(2):
            with pytest.raises(StorageUnavailable, match="has been issued and will be stored"):
                await world.certificates.request(ALICE, wish())
        copy = tmp_path / "alice/test/example.com.crt"
        assert copy.read_text().count("BEGIN CERTIFICATE") == 2
        world.storage.down = None
        await trio.sleep(120)
        assert len(world.ca.placed) == 1
        assert world.certificates.list("alice")[0].domain == "example.com"
        assert not copy.exists()
        assert await world.storage.list(ORDERS) == []


async def test_an_issuance_ends_at_its_time_limit(autojump_clock: trio.testing.MockClock) -> None:
    async def before(step: str) -> None:
        await trio.sleep_forever()

    async with open_world(before=before) as world:
        with pytest.raises(IssuanceFailed, match=r"not finished within 240 s \(common.cert_timeout\)"):
            await world.certificates.request(ALICE, wish())
        assert trio.current_time() >= 240


@pytest.mark.parametrize("step", ["validate", "finalize", "download"])
async def test_an_order_outlives_the_process_at_any_step(step: str) -> None:
    storage = MemoryStorage(FixedClock())

    async def die(at: str) -> None:
        if at == step:
            raise Killed

    first = None
    with pytest.raises(Killed):  # noqa: PT012 the block is the life of a process
        async with open_world(storage, before=die) as world:
            first = world
            await world.certificates.request(ALICE, wish())
    assert first is not None
    assert len(await storage.list(ORDERS)) == 1

    async def live(_at: str) -> None:
        await trio.lowlevel.checkpoint()

    first.ca._before = live
    async with open_world(storage, ca=first.ca) as world:
        with suppress(CertificateExists):  # it joins the order that has been taken up, or comes too late to
            await world.certificates.request(ALICE, wish())
        await trio.testing.wait_all_tasks_blocked()
        assert len(world.ca.placed) == 1
        assert world.ca.resumed == world.ca.placed
        assert [one.domain for one in world.certificates.list("alice")] == ["example.com"]
    assert await storage.list(ORDERS) == []


async def test_a_record_of_a_certificate_that_is_kept_already_is_only_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = MemoryStorage(FixedClock())
    async with open_world(storage) as world:
        await world.certificates.request(ALICE, wish())
        with monkeypatch.context() as patch:

            async def purge(_key: str) -> None:
                raise StorageUnavailable("sealed")

            patch.setattr(storage, "purge", purge)
            second = await world.certificates.update(ALICE, wish(san="www.example.com"))
    assert len(await storage.list(ORDERS)) == 1
    async with open_world(storage, ca=world.ca) as world:
        await trio.testing.wait_all_tasks_blocked()
        assert (await world.certificates.get(second.certificate.id)).cert == second.cert
        assert len(world.ca.placed) == 2
    assert await storage.list(ORDERS) == []


async def test_reads_before_the_state_is_loaded_say_that_it_is_not() -> None:
    async with open_world(load=False) as world:
        for call in (
            lambda: world.certificates.request(ALICE, wish()),
            lambda: world.certificates.get(EXAMPLE),
            lambda: world.certificates.delete(EXAMPLE, revoke=False),
        ):
            with pytest.raises(StorageUnavailable, match="has not read"):
                await call()


async def test_a_certificate_that_our_account_may_not_revoke_is_revoked_with_its_own_key() -> None:
    async with open_world() as world:
        with_key = await world.certificates.request(ALICE, wish())
        await world.certificates.request(ALICE, wish(name="own", csr=csr_for("example.com")))
        signed: list[str] = []

        async def revoke(_certificate: str, _reason: int | None = None, *, private_key: str = "") -> None:
            signed.append(private_key)
            if not private_key:
                raise IssuanceFailed("no", Problem("urn:ietf:params:acme:error:unauthorized"))

        world.ca.revoke = revoke  # type: ignore[method-assign, assignment]
        await world.certificates.delete(EXAMPLE, revoke=True, reason=Reason.keyCompromise)
        assert signed == ["", with_key.private_key]
        with pytest.raises(IssuanceFailed):
            await world.certificates.delete(CertificateId("alice", name="own"), revoke=True)


async def test_an_order_says_what_it_replaces_when_the_same_ca_made_that_for_one_of_the_names() -> None:
    async with open_world() as world:
        first = await world.certificates.request(ALICE, wish(name="n"))
        await world.certificates.update(ALICE, wish(name="n", san="www.example.com"))
        await world.certificates.update(ALICE, wish(name="n", domain="other.example"))
        await world.certificates.update(
            ALICE, wish(name="n", domain="other.example", issuer="bare", http_challenge="kvring")
        )
        assert [one.replaces for one in world.ca.requests] == ["", split_chain(first.cert)[0], "", ""]
