from __future__ import annotations

import attrs
import pytest
from prometheus_client import CollectorRegistry

from acme_manager.config.model import Common, Config, DnsConfig, IssuerConfig, VaultConfig
from acme_manager.dns.challenge import Record
from acme_manager.dns.metrics import DnsMetrics
from acme_manager.dns.solver import DnsSolvers
from acme_manager.errors import ConfigInvalid

VARIABLES = {"RFC2136_NAMESERVER": "127.0.0.1:53"}
CA = IssuerConfig(name="le", ca_dir_url="https://ca.example/dir", dns_challenge="rfc2136")
CONFIG = Config(
    common=Common(),
    issuers={"le": CA},
    vault=VaultConfig(url="https://v", role_id="r", secret_id="s", secret_engine="kv", certificate_prefix="c"),
    environ=VARIABLES,
)


def solvers(config: Config = CONFIG) -> DnsSolvers:
    return DnsSolvers(config.dns, config.environ, DnsMetrics(CollectorRegistry()))


async def test_other_variables_count_from_the_step_on_and_held_records_stay_held() -> None:
    shared = solvers()
    record = Record("rfc2136", "_acme-challenge.example.com", "value")
    shared.holds.take(record)
    lookup = shared.lookup
    other = {**VARIABLES, "RFC2136_POLLING_INTERVAL": "7"}
    async with shared.prepared(CONFIG, attrs.evolve(CONFIG, environ=other)) as step:
        assert shared.provider("rfc2136").timing.interval == 2
        step()
    assert shared.provider("rfc2136").timing.interval == 7
    assert shared.lookup is lookup
    async with shared.prepared(CONFIG, attrs.evolve(CONFIG, dns=DnsConfig(timeout=1.0))) as step:
        step()
    assert shared.lookup is not lookup
    assert shared.holds.held(record)


@pytest.mark.parametrize(
    ("config", "where"),
    [
        (attrs.evolve(CONFIG, environ={}), "RFC2136_NAMESERVER"),
        (attrs.evolve(CONFIG, environ={"RFC2136_NAMESERVER": "127.0.0.1:dns"}), "RFC2136_NAMESERVER"),
        (attrs.evolve(CONFIG, issuers={"le": attrs.evolve(CA, dns_challenge="nope")}), "issuer.le.dns_challenge"),
    ],
)
async def test_a_change_that_takes_a_provider_away_is_refused(config: Config, where: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        async with solvers().prepared(CONFIG, config):
            pytest.fail("it was taken to be ready")
    assert [one.where for one in caught.value.complaints] == [where]


async def test_a_provider_that_did_not_work_before_hinders_no_other_change() -> None:
    broken = attrs.evolve(CONFIG, environ={})
    async with solvers(broken).prepared(broken, attrs.evolve(broken, common=Common(cert_timeout=9.0))) as step:
        step()
