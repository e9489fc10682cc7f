from __future__ import annotations

import trio
import trio.testing
from prometheus_client import CollectorRegistry

from acme_manager.errors import DirectoryUnavailable, IssuanceFailed
from acme_manager.services.issuer_findings import IssuerFindings
from acme_manager.workers.issuer_health import IssuerHealth
from tests.unit.services.world import FixedClock, open_world


async def test_each_issuer_has_its_own_finding_and_a_slow_one_holds_up_no_other(
    autojump_clock: trio.testing.MockClock,
) -> None:
    asked = 0

    async def before(_step: str) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise IssuanceFailed("the account is revoked")
        if asked == 2:
            await trio.sleep_forever()

    async with open_world(before=before) as world:
        findings = IssuerFindings(FixedClock(), CollectorRegistry())
        health = IssuerHealth(world.issuing.issuers, findings)
        await health.check_all()
        found = {one.error: one.directory for one in findings.all().values()}
        assert found == {"the account is revoked": True, "no answer within 60 s": False}
        await health.check_all()
        assert [one.ok for one in findings.all().values()] == [True, True]


async def test_nothing_is_said_of_an_issuer_that_was_replaced_while_it_was_asked() -> None:
    async def before(_step: str) -> None:
        world.issuing.issuers.replace({})
        raise DirectoryUnavailable("away")

    async with open_world(before=before) as world:
        findings = IssuerFindings(FixedClock(), CollectorRegistry())
        await IssuerHealth(world.issuing.issuers, findings).check_all()
        assert findings.all() == {}
