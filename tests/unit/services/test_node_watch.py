from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import attrs
import trio
from trio.testing import MockClock

from acme_manager.ring.alone import Alone
from acme_manager.services.node_watch import NodeWatch
from acme_manager.services.settings import Settings
from acme_manager.structure import background
from tests.unit.services.world import open_world


class Busy(Alone):
    """Thirty packets a second."""

    def statistics(self) -> Mapping[str, Any]:
        return {"traffic": {"packets_in": round(30 * trio.current_time())}}


async def test_rates_are_those_of_the_last_minute_and_configurations_are_told(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        settings = Settings(attrs.evolve(world.issuing.settings.config, digest="c" * 64))
    watch = NodeWatch(cluster := Busy("node-1"), cluster, settings)
    assert watch.rates() == {}
    async with background(partial(watch.run)):
        await trio.sleep(65)
        assert round(watch.rates()["packets_in"]) == 30
        assert watch.configuration_of("node-1") == watch.configuration == "c" * 12
        assert watch.configuration_of("node-2") == ""
        settings.go_by(attrs.evolve(settings.config, digest="d" * 64))
        await trio.sleep(10)
        assert watch.configuration_of("node-1") == "d" * 12
