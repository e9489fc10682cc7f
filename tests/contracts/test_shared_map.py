"""What every adapter of ports.SharedMap and ports.Cluster keeps to, seen from the node that leads."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from acme_manager.errors import NotFound
from acme_manager.ring.addresses import Place
from acme_manager.ring.alone import Alone
from acme_manager.ring.cluster import Ring, open_ring
from acme_manager.ring.fencing import MemoryFence
from acme_manager.ring.memory import MemoryNetwork
from acme_manager.ring.settings import RingSettings
from tests.unit.services.world import FixedClock


@pytest.fixture(params=["alone", "ring"])
async def node(request: pytest.FixtureRequest, autojump_clock: trio.testing.MockClock) -> AsyncIterator[Alone | Ring]:
    if request.param == "alone":
        yield Alone("n1")
        return
    place = Place(bind=("10.0.0.1", 7946), host="10.0.0.1")
    with MemoryNetwork(random.Random(1)).transport(place.host) as transport:
        async with open_ring(
            RingSettings(name="n1", place=place),
            transport=transport,
            fences=MemoryFence(),
            clock=FixedClock(),
            rng=random.Random(1),
        ) as ring:
            with trio.fail_after(60):
                while not ring.leads():  # noqa: ASYNC110 nothing else happens in this world
                    await trio.sleep(0.1)
            yield ring


async def test_what_was_put_is_read_until_it_is_removed(node: Alone | Ring) -> None:
    node.put("certificate/a", b"1")
    node.put("certificate/b", b"2")
    node.put("token/a", b"3")
    node.put("certificate/a", b"4")
    assert node.get("certificate/a") == b"4"
    assert sorted(node.items("certificate/")) == [("certificate/a", b"4"), ("certificate/b", b"2")]
    node.remove("certificate/a")
    node.remove("certificate/a")
    assert node.get("certificate/a") is None
    assert list(node.items("certificate/")) == [("certificate/b", b"2")]


async def test_a_watcher_is_told_what_is_there_and_then_every_change_before_put_returns(node: Alone | Ring) -> None:
    told: list[tuple[str, bytes | None]] = []
    node.put("certificate/a", b"1")
    with node.watch("certificate/", lambda key, value: told.append((key, value))):
        assert told == [("certificate/a", b"1")]
        node.put("token/x", b"-")
        node.put("certificate/b", b"2")
        node.remove("certificate/a")
        assert told[1:] == [("certificate/b", b"2"), ("certificate/a", None)]
    node.put("certificate/c", b"3")
    assert len(told) == 3


async def test_the_leader_knows_that_it_leads_and_has_its_own_writes(node: Alone | Ring) -> None:
    assert node.leads()
    assert node.leader() == node.name == "n1"
    await node.confirm()
    node.put("certificate/a", b"1")
    with trio.fail_after(1):
        await node.wait_for(node.stamp())
    assert [(member["name"], member["state"]) for member in node.members()] == [("n1", "ACTIVE")]


async def test_nobody_can_give_up_a_member_that_does_not_exist(node: Alone | Ring) -> None:
    with pytest.raises(NotFound):
        node.forget("n9")
