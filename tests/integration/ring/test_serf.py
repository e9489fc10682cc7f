"""Our node in one ring with agents of serf, that is with HashiCorp's own memberlist."""

from __future__ import annotations

import base64
import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest
import trio

from acme_manager.ring.addresses import Place
from acme_manager.ring.cluster import Ring, open_ring
from acme_manager.ring.config import RingConfig
from acme_manager.ring.envelope import Envelope
from acme_manager.ring.fencing import MemoryFence
from acme_manager.ring.join import Lookup, Seed
from acme_manager.ring.keyring import Keyring
from acme_manager.ring.messages import Suspect, encode
from acme_manager.ring.settings import RingSettings
from acme_manager.ring.transport import UdpTcpTransport
from acme_manager.ring.types import Address
from tests.parts.program import LOOPBACK
from tests.parts.serf import Serf, serf

KEY = base64.b64encode(bytes(range(32))).decode()
SOON = 8.0
KEYS = pytest.mark.parametrize("key", ["", KEY], ids=["plain", "encrypted"])


class Fixed:
    """A clock that stands still: nothing here is about dates."""

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)


@attrs.frozen
class Ours:
    """Our node."""

    ring: Ring
    address: Address
    envelope: Envelope

    def status(self, name: str) -> str | None:
        return next((str(member["status"]) for member in self.ring.members() if member["name"] == name), None)

    async def shows(self, name: str, status: str, within: float = SOON) -> None:
        await until(lambda: self.status(name) == status, within)

    def counted(self, what: str) -> int:
        return int(self.ring.statistics()["membership"][what])


async def until(found: Callable[[], bool], within: float) -> None:
    with trio.fail_after(within):
        while not found():  # noqa: ASYNC110 what is looked for sets no event
            await trio.sleep(0.02)


@asynccontextmanager
async def ours(*seeds: Address, key: str = "", name: str = "ours") -> AsyncIterator[Ours]:
    envelope = Envelope(keyring=Keyring.from_base64(key) if key else None)
    with UdpTcpTransport.bind(LOOPBACK, 0) as transport:
        settings = RingSettings(
            name=name,
            place=Place(bind=transport.address, host=LOOPBACK),
            api_url="http://127.0.0.1:8989",
            seeds=tuple(Seed(Lookup.LITERAL, *seed) for seed in seeds),
            envelope=envelope,
            config=RingConfig(delegate_version=5, sealed=bool(key)),
        )
        async with open_ring(
            settings, transport=transport, fences=MemoryFence(), clock=Fixed(), rng=random.Random(7)
        ) as ring:
            yield Ours(ring, transport.address, envelope)


@asynccontextmanager
async def agents(folder: Path, key: str, count: int) -> AsyncIterator[list[Serf]]:
    async with AsyncExitStack() as stack:
        started: list[Serf] = []
        for number in range(count):
            join = [started[0].address] if started else []
            started.append(await stack.enter_async_context(serf(folder, f"serf{number}", key=key, join=join)))
        yield started


@KEYS
async def test_each_side_can_join_the_other(tmp_path: Path, key: str) -> None:
    async with agents(tmp_path, key, 2) as (first, second):
        async with ours(first.address, key=key) as node:
            await node.shows("serf0", "alive")
            await node.shows("serf1", "alive")
            await second.shows("ours", "alive", SOON)
        async with ours(key=key, name="joined") as node, serf(tmp_path, "serf9", key=key, join=[node.address]) as third:
            await third.shows("joined", "alive", SOON)
            await node.shows("serf9", "alive")


async def test_nobody_is_suspected_for_no_reason_in_20_seconds_of_probes(tmp_path: Path) -> None:
    async def watch(key: str) -> None:
        async with agents(tmp_path, key, 2) as (first, second), ours(first.address, key=key) as node:
            await second.shows("ours", "alive", SOON)
            await node.shows("serf1", "alive")
            await trio.sleep(20)
            assert node.counted("probes") >= 15
            for nothing in ("probes_failed", "probes_by_tcp", "suspicions", "refutations", "refused", "unreadable"):
                assert node.counted(nothing) == 0, nothing
            assert node.ring.statistics()["refusals"] == {"unauthenticated": 0, "bad": 0, "unknown": 0}
            for agent in (first, second):
                assert await agent.members() == {"serf0": "alive", "serf1": "alive", "ours": "alive"}
                complaints = [line for line in agent.program.log().splitlines() if "[ERR]" in line or "[WARN]" in line]
                assert [line for line in complaints if "Suspect" in line or "memberlist" in line] == []

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, "")
        nursery.start_soon(watch, KEY)


@KEYS
async def test_a_frozen_agent_is_probed_through_us_found_dead_and_alive_again(tmp_path: Path, key: str) -> None:
    async with agents(tmp_path, key, 2) as (first, second), ours(first.address, key=key) as node:
        await first.shows("ours", "alive", SOON)
        await node.shows("serf1", "alive")
        second.program.freeze()
        await node.shows("serf1", "suspect", 15.0)
        await node.shows("serf1", "dead", 20.0)
        await first.shows("serf1", "failed", 20.0)
        assert node.counted("relays") > 0
        assert node.counted("probes_failed") > 0
        second.program.thaw()
        await node.shows("serf1", "alive", 10.0)
        await first.shows("serf1", "alive", 10.0)
        assert node.status("serf0") == "alive"


@KEYS
async def test_a_suspicion_against_us_is_refuted(tmp_path: Path, key: str) -> None:
    async with agents(tmp_path, key, 1) as (agent,), ours(agent.address, key=key) as node:
        await agent.shows("ours", "alive", SOON)
        lie = encode(Suspect(incarnation=1, node="ours", by="serf0"))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as liar:
            liar.sendto(node.envelope.wrap_packet(lie), agent.address)
        await until(lambda: node.counted("refutations") == 1, SOON)
        await trio.sleep(6)  # longer than a suspicion lasts between two
        assert (await agent.members())["ours"] == "alive"
        assert node.counted("refutations") == 1


@KEYS
async def test_our_goodbye_is_shown_as_left_and_the_name_comes_back(tmp_path: Path, key: str) -> None:
    async with agents(tmp_path, key, 2) as (first, second):
        for _ in range(2):
            async with ours(first.address, key=key) as node:
                for agent in (first, second):
                    await agent.shows("ours", "alive", SOON)
                await node.shows("serf1", "alive")
            for agent in (first, second):
                await agent.shows("ours", "left", SOON)


@KEYS
async def test_an_agents_goodbye_is_understood(tmp_path: Path, key: str) -> None:
    async with agents(tmp_path, key, 2) as (first, second), ours(first.address, key=key) as node:
        await node.shows("serf1", "alive")
        await second.leave()
        await node.shows("serf1", "left")


async def test_an_agent_is_never_a_voter_and_its_messages_do_no_harm(tmp_path: Path) -> None:
    async with agents(tmp_path, "", 2) as (first, _), ours(first.address) as node:
        await node.shows("serf1", "alive")
        await until(node.ring.leads, SOON)
        node.ring.put("certificate/a", b"1")
        await trio.run_process(
            ["serf", "event", "-rpc-addr={}:{}".format(*first.rpc), "news", "payload"], capture_stdout=True
        )
        await until(
            lambda: node.ring.statistics()["refusals"]["unknown"] + node.ring.statistics()["map"]["invalid"] > 0, SOON
        )
        assert node.ring.statistics()["voters"] == ["ours"]
        assert node.ring.get("certificate/a") == b"1"
        assert node.ring.leads()


async def test_a_wrong_key_keeps_both_sides_out(tmp_path: Path) -> None:
    async with agents(tmp_path, KEY, 1) as (agent,):
        for key in ("", base64.b64encode(bytes(32)).decode()):
            async with ours(agent.address, key=key) as node:
                await trio.sleep(2)
                assert node.status("serf0") is None
                assert list(await agent.members()) == ["serf0"]
