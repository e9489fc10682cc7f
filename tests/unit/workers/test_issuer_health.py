from __future__ import annotations

import trio
import trio.testing

from acme_manager.errors import IssuerUnavailable
from acme_manager.workers.issuer_health import IssuerHealth
from tests.unit.services.world import open_world


async def test_each_issuer_has_its_own_finding_and_a_slow_one_holds_up_no_other(
    autojump_clock: trio.testing.MockClock,
) -> None:
    asked = 0

    async def before(_step: str) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise IssuerUnavailable("away")
        if asked == 2:
            await trio.sleep_forever()

    async with open_world(before=before) as world:
        health = IssuerHealth(world.issuing.issuers)
        assert health.report() == {}
        await health.check_all()
        assert sorted(map(str, health.report().values())) == ["away", "no answer within 60 s"]
        await health.check_all()
        assert set(health.report().values()) == {None}
