from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from trio.testing import MockClock

from acme_manager.config.dns import AUTO, DnsCredentials, SecretSource
from acme_manager.config.model import Common, Config, DnsConfig, IssuerConfig, VaultConfig
from acme_manager.dns.credentials import Choice, Secrets, choose
from acme_manager.dns.metrics import DnsMetrics
from acme_manager.dns.providers import BuiltIn, PatientProvider
from acme_manager.dns.registry import Registry
from acme_manager.dns.solver import DnsSolvers
from acme_manager.domain.names import parse_identifier
from acme_manager.errors import ConfigInvalid, DnsFailed, InvalidRequest
from acme_manager.ports import Challenge, Versioned
from acme_manager.storage.memory import MemoryStorage
from tests.unit.dns.fakes import MemoryProvider
from tests.unit.services.world import FixedClock

NAME = "_acme-challenge.www.corp.example"


def sets(*credentials: DnsCredentials) -> dict[str, DnsCredentials]:
    return {one.name: one for one in credentials}


def a_set(name: str, *zones: str, provider: str = "memory", **more: Any) -> DnsCredentials:
    return DnsCredentials(name=name, provider=provider, zones=zones, **more)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("memory", Choice("memory", "corp")),
        (AUTO, Choice("memory", "corp")),
        ("other", Choice("other", "other-example")),
        ("wide", Choice("memory", "wide")),
        ("unbound", Choice("memory", "unbound")),
        ("third", Choice("third")),
    ],
)
def test_the_set_is_the_one_named_or_that_of_the_provider_for_the_longest_zone(wanted: str, expected: Choice) -> None:
    known = sets(
        a_set("wide", "example"),
        a_set("corp", "corp.example"),
        a_set("elsewhere", "www.corp.test"),
        a_set("other-example", "example", provider="other"),
        a_set("unbound"),
    )
    assert choose(known, wanted, NAME, "alice") == expected


def test_a_set_is_used_for_its_zones_and_by_its_owners_only() -> None:
    known = sets(a_set("corp", "corp.example", owners=("team-*",)), a_set("wide", "example"))
    assert choose(known, AUTO, NAME, "team-web") == Choice("memory", "corp")
    assert choose(known, AUTO, NAME, "alice") == Choice("memory", "wide")
    with pytest.raises(DnsFailed, match=r"'corp' are for corp\.example, and _acme-challenge\.b\.test is not in there"):
        choose(known, "corp", "_acme-challenge.b.test", "team-web")
    with pytest.raises(DnsFailed, match=r"no DNS credentials are for a zone that _acme-challenge\.b\.test is in"):
        choose(known, AUTO, "_acme-challenge.b.test", "alice")


def test_whoever_may_not_use_a_set_is_told_so_before_an_order() -> None:
    shared = DnsSolvers(
        DnsConfig(), {}, DnsMetrics(CollectorRegistry()), credentials=sets(a_set("corp", owners=("bob",)))
    )
    with pytest.raises(InvalidRequest, match="'corp' may not be used by 'alice'"):
        shared.solver("corp", "alice")
    assert shared.solver("corp", "bob").type == "dns-01"


@attrs.define
class Place:
    """Providers that say which variables they were made with."""

    made: list[tuple[str, Mapping[str, str]]] = attrs.field(factory=list)
    providers: dict[str, MemoryProvider] = attrs.field(factory=dict)

    def factory(self, name: str, environ: Mapping[str, str], _lookup: object) -> PatientProvider:
        self.made.append((name, environ))
        return self.providers.setdefault(environ.get("WHO", "environment"), MemoryProvider())

    def solvers(self, *credentials: DnsCredentials) -> DnsSolvers:
        offline = DnsConfig(follow_cname=False, ask_authoritative=False)
        registry = Registry([BuiltIn({"memory": self.factory, "other": self.factory})])
        environ = {"SECRET_OF_THE_PROCESS": "p"}
        return DnsSolvers(offline, environ, DnsMetrics(CollectorRegistry()), registry, sets(*credentials))


async def test_one_order_in_two_zones_is_written_with_two_sets_and_removed_by_another_process() -> None:
    place = Place()
    both = (a_set("a", "a.test", env={"WHO": "a"}), a_set("b", "b.test", env={"WHO": "b"}))
    solver = place.solvers(*both).solver("memory", "alice")
    challenges = [
        Challenge(parse_identifier(f"www.{zone}"), "dns-01", zone, f"{zone}.key") for zone in ("a.test", "b.test")
    ]
    planned = await solver.plan(challenges)
    assert [trace["credentials"] for trace in planned] == ["a", "b"]
    async with solver.presented(planned):
        assert [name for name, _ in place.providers["a"].records] == ["_acme-challenge.www.a.test"]
        assert [name for name, _ in place.providers["b"].records] == ["_acme-challenge.www.b.test"]
        before = {who: set(one.records) for who, one in place.providers.items()}
    for who, records in before.items():
        place.providers[who].records |= records  # as if the process had died
    await place.solvers(*both).solver("memory", "alice").remove(planned)
    assert {who: one.records for who, one in place.providers.items()} == {"a": set(), "b": set()}
    assert all("SECRET_OF_THE_PROCESS" not in environ for _, environ in place.made)


async def test_nothing_is_written_unless_every_secret_can_be_read() -> None:
    place = Place()
    broken = a_set("b", "b.test", env_from={"TOKEN": SecretSource("/nowhere/token")})
    solver = place.solvers(a_set("a", "a.test", env={"WHO": "a"}), broken).solver("memory")
    challenges = [Challenge(parse_identifier(zone), "dns-01", zone, f"{zone}.key") for zone in ("a.test", "b.test")]
    planned = await solver.plan(challenges)
    with pytest.raises(DnsFailed, match="DNS credentials 'b': TOKEN from file:/nowhere/token: No such file"):
        async with solver.presented(planned):
            pytest.fail("not reached")
    assert place.providers["a"].calls == []


class Vault(MemoryStorage):
    def __init__(self) -> None:
        super().__init__(FixedClock())
        self.reads: list[str] = []

    async def get(self, key: str, version: int | None = None) -> Versioned:
        self.reads.append(key)
        return await super().get(key, version)


async def test_values_come_from_the_file_from_vault_and_from_the_configuration(tmp_path: Path) -> None:
    storage = Vault()
    await storage.put("dns/corp", {"token": "t0ken", "TTL": 60, "A": "of the whole set"}, expected=0)
    (tmp_path / "key").write_text("from a file\n")
    credentials = a_set(
        "corp",
        env={"A": "of the configuration"},
        env_from={"B": SecretSource(str(tmp_path / "key")), "C": SecretSource("dns/corp", "token")},
        vault="dns/corp",
    )
    found = await Secrets(storage).variables(credentials)
    assert found == {"token": "t0ken", "TTL": "60", "A": "of the configuration", "B": "from a file", "C": "t0ken"}
    assert storage.reads == ["dns/corp"]


async def test_a_secret_is_read_again_after_five_seconds(autojump_clock: MockClock) -> None:
    storage = Vault()
    await storage.put("dns/corp", {"T": "old"}, expected=0)
    secrets, credentials = Secrets(storage), a_set("corp", vault="dns/corp")
    assert await secrets.variables(credentials) == {"T": "old"}
    await storage.put("dns/corp", {"T": "new"}, expected=1)
    await trio.sleep(5)
    assert await secrets.variables(credentials) == {"T": "new"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"env_from": {"A": SecretSource("gone", "f")}}, "A from vault:gone#f: there is no such secret"),
        ({"env_from": {"A": SecretSource("dns/corp", "f")}}, "A from vault:dns/corp#f: the secret has no such field"),
        ({"env_from": {"A": SecretSource("dns/corp", "odd")}}, "A from vault:dns/corp#odd: must be text"),
        ({"vault": "dns/corp"}, "vault:dns/corp#odd: must be text"),
        ({"vault": "gone"}, "vault:gone: there is no such secret"),
    ],
)
async def test_an_error_names_set_variable_and_place_and_no_value(more: dict[str, Any], message: str) -> None:
    storage = Vault()
    await storage.put("dns/corp", {"odd": ["s3cret"], "fine": "s3cret"}, expected=0)
    with pytest.raises(DnsFailed) as caught:
        await Secrets(storage).variables(a_set("corp", **more))
    assert str(caught.value) == f"DNS credentials 'corp': {message}"


async def test_a_change_of_the_configuration_that_breaks_a_set_is_refused_without_showing_it() -> None:
    vault = VaultConfig(url="https://v", role_id="r", secret_id="s", secret_engine="kv", certificate_prefix="c")
    issuer = IssuerConfig(name="le", ca_dir_url="https://ca.example/dir", dns_challenge="corp")
    old = Config(
        common=Common(),
        issuers={"le": issuer},
        vault=vault,
        dns_credentials=sets(a_set("corp", provider="rfc2136", env={"RFC2136_NAMESERVER": "192.0.2.1"})),
    )
    shared = DnsSolvers(old.dns, {}, DnsMetrics(CollectorRegistry()), credentials=old.dns_credentials)
    bad = a_set("corp", provider="rfc2136", env={"RFC2136_NAMESERVER": "a b", "RFC2136_TSIG_SECRET": "s3cret"})
    gone = a_set("lost", provider="nope", vault="v")
    with pytest.raises(ConfigInvalid) as caught, capture_logs() as logs:
        async with shared.prepared(old, attrs.evolve(old, dns_credentials=sets(bad, gone))):
            pytest.fail("it was taken to be ready")
    assert sorted(one.where for one in caught.value.complaints) == [
        "dns_credentials.corp.env",
        "dns_credentials.lost.provider",
    ]
    assert "s3cret" not in str(caught.value) + str(logs)
    with pytest.raises(ConfigInvalid, match=r"issuer\.le\.dns_challenge: DNS provider 'corp' does not exist"):
        async with shared.prepared(old, attrs.evolve(old, dns_credentials={})):
            pytest.fail("it was taken to be ready")
