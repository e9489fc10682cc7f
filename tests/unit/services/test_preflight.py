from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio

from acme_manager.dns.lookup import Lookup
from acme_manager.dns.providers import Factory, PatientProvider
from acme_manager.dns.solver import DnsSolvers
from acme_manager.domain.certificate import Certificate
from acme_manager.domain.finding import Finding
from acme_manager.domain.keys import DEFAULT_KEY_TYPE, make_csr, make_key
from acme_manager.domain.names import Identifier, parse_identifier
from acme_manager.errors import Complaint, ConfigInvalid, DnsFailed, IssuerUnavailable
from acme_manager.ports import IssuerFacts
from acme_manager.services.issuers import Issuers
from acme_manager.services.preflight import Preflight
from tests.fakes.ca import MemoryCa
from tests.fakes.dns import MemoryLookup, memory_dns
from tests.unit.api.served import Follower
from tests.unit.dns.fakes import MemoryProvider
from tests.unit.services.world import ALICE, World, open_world, preflight, wish, with_limits

LETS_ENCRYPT = IssuerFacts(
    caa_identities=("letsencrypt.org",),
    profiles={"classic": "", "tlsserver": "", "shortlived": "", "new": ""},
    renewal_info=True,
    account="https://ca.test/acct/1",
)
RECORDS = {
    "example.com A": ["192.0.2.1"],
    "example.com AAAA": ["2001:db8::1"],
    "www.example.com CNAME": ["web.test"],
    "web.test A": ["192.0.2.2"],
    "_acme-challenge.www.example.com CNAME": ["www.auth.test"],
    "example.com CAA": ['0 issue "letsencrypt.org; validationmethods=dns-01"'],
    "open.test CAA": ['0 issue "letsencrypt.org"'],
}


class ZonedProvider(MemoryProvider):
    """One that knows that it serves auth.test and nothing else."""

    async def own_zone(self, name: str) -> str:
        await trio.lowlevel.checkpoint()
        if name.endswith("auth.test"):
            return "auth.test"
        raise DnsFailed(f"name server 192.0.2.53:53 has no zone that {name} is in")


def _broken(_name: str, _environ: Mapping[str, str], _lookup: Lookup) -> PatientProvider:
    raise ConfigInvalid("DNS provider broken", [Complaint("BROKEN_KEY", "is missing")])


FACTORIES: Mapping[str, Factory] = {
    "zoned": lambda _name, _environ, _lookup: ZonedProvider(),
    "plain": lambda _name, _environ, _lookup: MemoryProvider(),
    "broken": _broken,
}


@attrs.frozen(kw_only=True)
class Look:
    world: World
    ca: MemoryCa
    lookup: MemoryLookup
    dns: DnsSolvers
    ready: Preflight

    async def found(self, *, caller: Any = ALICE, **changes: Any) -> list[Finding]:
        return await self.ready.check(caller, wish(**changes))

    async def about(self, check: str, *, caller: Any = ALICE, **changes: Any) -> list[Finding]:
        return [one for one in await self.found(caller=caller, **changes) if one.check == check]

    async def only(self, check: str, **changes: Any) -> Finding:
        (found,) = await self.about(check, **changes)
        return found


@asynccontextmanager
async def open_look(**changes: Any) -> AsyncIterator[Look]:
    ca = MemoryCa()
    ca.said = LETS_ENCRYPT
    lookup = MemoryLookup(RECORDS, zones=("example.com", "auth.test"))
    dns = memory_dns(lookup, FACTORIES)
    async with open_world(ca=ca) as world:
        issuers = world.issuing.issuers
        real = Issuers(issuers._issuers, http_solver=lambda _name, _store: world.challenges, dns_solver=dns.solver)
        ready = preflight(world, dns, issuers=real, **changes)
        yield Look(world=world, ca=ca, lookup=lookup, dns=dns, ready=ready)


@pytest.fixture
async def look() -> AsyncIterator[Look]:
    async with open_look() as opened:
        yield opened


async def test_a_request_without_fault_gets_a_yes_from_every_check(look: Look) -> None:
    found = await look.found(domain="www.open.test", dns_challenge="zoned")
    verdicts = {one.check: one.ok for one in found}
    assert verdicts.pop("dns-01") is False  # www.open.test is in no zone of the provider
    assert set(verdicts) == {
        "names", "request", "key", "allowed", "issuer", "profile", "lifetime", "challenge", "caa", "budget",
        "certificate", "operation",
    }  # fmt: skip
    assert set(verdicts.values()) == {True}


async def test_one_bad_name_hides_nothing_about_the_others(look: Look) -> None:
    found = await look.found(
        domain="example.com", san="no..name, also_bad-, www.example.com", labels="1x=1", name="../x"
    )
    wrong = [one.detail for one in found if one.check == "names"]
    assert len(wrong) == 2
    assert all("invalid 'san' parameter" in one for one in wrong)
    assert [one.ok for one in found if one.check == "request"] == [False, False]
    assert [one.ok for one in found if one.check == "http-01"] == [True, True]
    assert [one.ok for one in found if one.check == "caa"] == [False]


async def test_the_tokens_lists_are_held_against_issuer_and_names_separately(look: Look) -> None:
    narrow = attrs.evolve(ALICE, issuers=("other",), domains=("*.example.org",))
    found = await look.about("allowed", caller=narrow)
    assert [one.ok for one in found] == [False, False]
    assert "issuer 'test'" in found[0].detail
    assert "example.com" in found[1].detail


async def test_an_issuer_that_is_not_configured_is_one_no(look: Look) -> None:
    found = await look.found(issuer="nobody", http_challenge="kvring")
    assert [one.check for one in found if one.ok is False] == ["issuer"]
    assert {one.ok for one in found if one.check in {"profile", "caa", "budget"}} == {None}


async def test_a_ca_that_does_not_answer_is_asked_once_and_is_one_no(look: Look) -> None:
    asked = []

    async def away(step: str) -> None:
        await trio.lowlevel.checkpoint()
        asked.append(step)
        raise IssuerUnavailable("the CA can't be reached")

    look.ca._before = away
    found = await look.found()
    assert asked == ["facts"]
    assert [(one.check, one.detail) for one in found if one.ok is False] == [("issuer", "the CA can't be reached")]


async def test_caa_is_judged_for_each_name_with_account_and_method(look: Look) -> None:
    found = await look.about("caa", domain="example.com", san="*.example.com,www.open.test,192.0.2.9")
    by_names = {one.detail.partition(": ")[0]: one for one in found}
    assert by_names["example.com, *.example.com"].ok is False
    assert by_names["example.com, *.example.com"].remedy == (
        'add the record: example.com. CAA 0 issue "letsencrypt.org; validationmethods=http-01"'
    )
    assert by_names["www.open.test"].ok is True
    assert (await look.only("caa", dns_challenge="zoned")).ok is True


async def test_names_with_a_parent_in_common_have_it_asked_once(look: Look) -> None:
    await look.about("caa", san=",".join(f"h{number}.open.test" for number in range(30)))
    assert look.lookup.asked.count("open.test CAA") == 1


async def test_caa_records_that_can_not_be_looked_up_are_an_unknown_of_that_name_only(look: Look) -> None:
    look.lookup.failing.add("lost.test")
    found = {one.ok: one for one in await look.about("caa", domain="open.test", san="lost.test,a.lost.test")}
    assert found[True].detail.startswith("open.test: ")
    assert found[None].detail.startswith("lost.test, a.lost.test: lost.test can't be looked up")
    assert "name servers" in found[None].remedy


@pytest.mark.parametrize(
    ("provider", "name", "ok", "words"),
    [
        ("zoned", "www.example.com", True, "goes to www.auth.test by CNAME, into zone auth.test, which the provider"),
        ("zoned", "*.www.example.com", True, "goes to www.auth.test by CNAME"),
        ("zoned", "example.com", False, "into zone example.com, but name server 192.0.2.53:53 has no zone"),
        ("zoned", "x.auth.test", True, "goes into zone auth.test, which the provider serves"),
        ("plain", "example.com", None, "whether it can be written there shows only when it is"),
    ],
)
async def test_where_a_record_goes_and_who_is_in_charge_there_is_shown(
    look: Look, provider: str, name: str, ok: bool | None, words: str
) -> None:
    found = await look.only("dns-01", domain=name, dns_challenge=provider)
    assert found.ok is ok
    assert words in found.detail
    if ok is False:
        assert "_acme-challenge.example.com. CNAME example.com.<zone that the provider may write>." in found.remedy


async def test_a_zone_that_only_the_provider_sees_is_an_unknown() -> None:
    async with open_look() as look:
        look.lookup.zones = ("test",)
        found = await look.only("dns-01", domain="auth.test", dns_challenge="zoned")
        assert found.ok is None
        assert "would write into its zone auth.test" in found.detail


@pytest.mark.parametrize(("provider", "words"), [("nobody", "does not exist"), ("broken", "BROKEN_KEY: is missing")])
async def test_a_provider_that_is_not_there_is_a_no(look: Look, provider: str, words: str) -> None:
    found = await look.only("challenge", dns_challenge=provider)
    assert found.ok is False
    assert words in found.detail


async def test_http_01_shows_the_addresses_that_the_ca_is_going_to_ask(look: Look) -> None:
    found = await look.about("http-01", domain="example.com", san="www.example.com,nowhere.test,192.0.2.7")
    assert [(one.ok, one.detail) for one in found] == [
        (True, "example.com: the CA asks 192.0.2.1, 2001:db8::1, on port 80"),
        (True, "www.example.com: the CA asks 192.0.2.2, on port 80"),
        (False, "nowhere.test: it has neither an A nor an AAAA record, so the CA has nobody to ask"),
        (True, "192.0.2.7: the CA asks that address, on port 80"),
    ]


@pytest.mark.parametrize(
    ("profile", "names", "ok", "words"),
    [
        ("", 100, True, "up to 100 names; the certificate gets a common name"),
        ("", 101, False, "101 names are more than the 100"),
        ("tlsserver", 25, True, "no common name"),
        ("tlsserver", 26, False, "26 names are more than the 25"),
        ("shortlived", 25, True, "up to 25 names"),
        ("tlsclient", 1, False, "does not offer 'tlsclient'"),
        ("new", 1, True, "its limits are not known"),
    ],
)
async def test_a_profile_has_to_be_offered_and_large_enough(
    look: Look, profile: str, names: int, ok: bool, words: str
) -> None:
    san = ",".join(f"h{number}.open.test" for number in range(names - 1))
    found = await look.only("profile", profile=profile, san=san)
    assert found.ok is ok
    assert words in found.detail


@pytest.mark.parametrize(("profile", "ok"), [("", False), ("tlsserver", False), ("shortlived", True)])
async def test_only_shortlived_is_for_ip_addresses(look: Look, profile: str, ok: bool) -> None:
    assert (await look.only("profile", profile=profile, san="192.0.2.1")).ok is ok


async def test_of_a_ca_whose_limits_nobody_knows_nothing_is_claimed(look: Look) -> None:
    look.ca.said = IssuerFacts(account="https://ca.test/acct/1", profiles={"mine": ""})
    assert (await look.only("profile")).ok is None
    assert (await look.only("profile", profile="mine")).ok is True
    assert (await look.only("lifetime", days=30, renewal_days="5")).ok is None


async def test_a_lifetime_is_refused_by_lets_encrypt_and_by_a_window_that_does_not_fit(look: Look) -> None:
    assert (await look.only("lifetime")).ok is True
    assert "leave 'days' out" in (await look.only("lifetime", days=30, renewal_days="5")).remedy
    assert "lower than" in (await look.only("lifetime", days=10, renewal_days="20")).detail


async def test_a_csr_has_to_be_for_the_names(look: Look) -> None:
    assert (await look.only("key")).ok is True
    assert (await look.only("key", key_type="DES")).ok is False
    assert (await look.only("key", csr="bm8=")).ok is False
    csr = _csr(parse_identifier("example.com"))
    assert (await look.only("key", csr=csr)).ok is True
    assert (await look.only("key", csr=csr, san="www.example.com")).ok is False
    assert (await look.only("key", csr=csr, san="no..name")).ok is None


def _csr(*names: Identifier) -> str:
    der = make_csr(make_key(DEFAULT_KEY_TYPE), names)
    body = base64.encodebytes(der).decode()
    pem = f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n"
    return base64.b64encode(pem.encode()).decode()


async def test_a_certificate_that_is_kept_makes_it_an_update(look: Look) -> None:
    assert "POST requests it" in (await look.only("certificate")).detail
    await look.world.certificates.request(ALICE, wish())
    found = await look.only("certificate")
    assert found.ok is True
    assert "PUT" in found.remedy


async def test_an_operation_in_progress_is_a_no_which_only_the_leader_can_give(look: Look) -> None:
    going, done = trio.Event(), trio.Event()

    async def work(_flight: object) -> None:
        going.set()
        await done.wait()

    look.world.jobs.start("alice/test/example.com", "a test", work)
    await going.wait()
    assert (await look.only("operation")).ok is False
    done.set()
    elsewhere = attrs.evolve(look.ready, cluster=Follower("http://192.0.2.1"))
    (found,) = [one for one in await elsewhere.check(ALICE, wish()) if one.check == "operation"]
    assert found.ok is None
    assert "node-b" in found.detail


async def test_a_budget_that_is_used_up_is_a_no_with_the_time_to_wait(look: Look) -> None:
    with_limits(look.world.issuing.settings, "letsencrypt")
    assert (await look.only("budget")).ok is True
    for _ in range(5):
        look.world.budgets.spend("test", [parse_identifier("example.com")], renewal=False)
    found = await look.only("budget")
    assert found.ok is False
    assert "5 certificates per 7d for exactly these names" in found.detail
    assert re.fullmatch(r"wait [0-9]+ s, or use another issuer", found.remedy)
    assert (await look.only("budget", san="www.example.com")).ok is True
    look.world.state.publish(Certificate(owner="alice", issuer="test", domain="example.com"))
    assert (await look.only("budget")).ok is True  # the order will say what it replaces


async def test_a_check_that_hangs_or_breaks_is_an_unknown_and_hides_nothing(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_look() as look:
        look.lookup.silent.add("example.com")

        async def defect() -> IssuerFacts:
            await trio.lowlevel.checkpoint()
            raise RuntimeError("a defect")

        monkeypatch.setattr(look.ca, "facts", defect)
        began = trio.current_time()
        found = {one.check: one for one in await look.found()}
        assert trio.current_time() - began < 10
        assert found["challenge"].ok is None
        assert "within" in found["challenge"].detail
        assert found["issuer"].ok is None
        assert "the server's log" in found["issuer"].detail
        assert found["operation"].ok is True


async def test_more_names_than_anybody_takes_are_not_all_looked_up(look: Look) -> None:
    san = ",".join(f"h{number}.open.test" for number in range(300))
    found = await look.about("challenge", san=san)
    assert "only the first 100 names" in found[1].detail
    assert len([one for one in look.lookup.asked if one.endswith(" A")]) == 100
