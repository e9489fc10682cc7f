"""The small parts around a node: what it has seen, what members say of themselves, what the command line asks for."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgpack
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from acme_manager.config.flags import Flags
from acme_manager.config.memberlist import MEMBERLIST_FLAGS, PREFIX
from acme_manager.errors import ConfigInvalid, StorageUnavailable
from acme_manager.ring import meta, records
from acme_manager.ring.alarm import Alarm
from acme_manager.ring.effects import Written
from acme_manager.ring.entries import Stamp
from acme_manager.ring.envelope import Envelope
from acme_manager.ring.fence import Fence
from acme_manager.ring.fencing import MemoryFence, StoredFence
from acme_manager.ring.keyring import Keyring
from acme_manager.ring.memory import MemoryNetwork
from acme_manager.ring.messages import Ack, Err, Ping, User, encode
from acme_manager.ring.records import Record, View
from acme_manager.ring.seen import Seen
from acme_manager.ring.serf import leave_intent
from acme_manager.ring.settings import RingSettings
from acme_manager.ring.streams import StreamMessage
from acme_manager.ring.types import Address, BadPacket, Member, SendPacket, Status
from acme_manager.ring.wire import Reply, Wire
from acme_manager.storage.memory import MemoryStorage

AT = datetime(2026, 1, 1, tzinfo=UTC)


class Still:
    """A clock that stands still."""

    def now(self) -> datetime:
        return AT


# --- what a copy has seen ----------------------------------------------------------------------------------------


@given(st.permutations(range(1, 12)), st.integers(0, 10))
def test_a_gap_shows_whatever_the_order_and_closes_with_the_last_of_it(order: Sequence[int], missing: int) -> None:
    seen = Seen()
    seen.complete(Stamp(3, 0))
    for number in order:
        if number != missing:
            seen.add(Stamp(3, number))
    assert seen.until == Stamp(3, missing - 1 if missing else 11)
    seen.add(Stamp(3, missing))
    assert seen.until == Stamp(3, 11)


def test_nothing_of_a_term_counts_as_complete_before_a_sync_in_it() -> None:
    seen = Seen()
    seen.complete(Stamp(1, 5))
    seen.add(Stamp(2, 6))
    seen.add(Stamp(2, 7))
    assert seen.until == Stamp(1, 5)
    seen.complete(Stamp(2, 6))
    assert seen.until == Stamp(2, 7)
    seen.complete(Stamp(1, 9))
    assert seen.until == Stamp(2, 7)


# --- what members say of themselves ------------------------------------------------------------------------------


def test_a_members_record_in_membership_is_marked_as_ours() -> None:
    written = meta.encode_meta("https://[2001:db8::1]:8989")
    assert written[0] == 0xAC
    assert meta.parse_untrusted(written) == meta.Meta(v=1, api="https://[2001:db8::1]:8989")
    with pytest.raises(ValueError, match="too long"):
        meta.encode_meta("https://" + "x" * 510)


@given(st.binary(max_size=512))
def test_no_bytes_make_reading_a_record_fail(junk: bytes) -> None:
    for value in (junk, b"\xac" + junk):
        assert meta.parse_untrusted(value) is None or value[0] == 0xAC
    records.parse_untrusted(junk)


@pytest.mark.parametrize("foreign", [b"", b"\xff\x81\xa4role\xa3web", b"\x01\x01\x00", b"role=web"])
def test_other_programs_nodes_are_none_of_ours(foreign: bytes) -> None:
    assert meta.parse_untrusted(foreign) is None


def test_a_later_versions_record_is_read_as_far_as_we_know_it() -> None:
    later = b"\xac" + bytes(msgpack.packb({"v": 2, "api": "http://x", "more": [1, 2]}))
    assert meta.parse_untrusted(later) == meta.Meta(v=2, api="http://x")


@pytest.mark.parametrize(
    ("status", "record", "state"),
    [
        (Status.ALIVE, Record(heartbeat=AT.timestamp() - 59), "ACTIVE"),
        (Status.ALIVE, Record(heartbeat=AT.timestamp() - 61), "Unhealthy"),
        (Status.ALIVE, Record(heartbeat=AT.timestamp(), joining=True), "JOINING"),
        (Status.ALIVE, None, "JOINING"),
        (Status.SUSPECT, Record(heartbeat=AT.timestamp()), "Unhealthy"),
        (Status.DEAD, Record(heartbeat=AT.timestamp()), "Unhealthy"),
        (Status.LEFT, Record(heartbeat=AT.timestamp()), "LEAVING"),
    ],
)
def test_the_state_of_a_member_follows_from_what_is_known(status: Status, record: Record | None, state: str) -> None:
    view = View(leader="n1", voters=("n1",), at=AT, heartbeat_timeout=60)
    member = Member(name="n1", address=("10.0.0.1", 7946), meta=meta.encode_meta("http://x"), status=status)
    shown = view.show(member, record)
    assert shown["state"] == state
    assert shown["tokens"][0] == 0
    assert (shown["address"], shown["url"], shown["voter"]) == ("10.0.0.1:7946", "http://x", True)


def test_a_node_of_another_program_is_shown_with_what_is_known() -> None:
    view = View(leader=None, voters=(), at=AT, heartbeat_timeout=60)
    shown = view.show(Member(name="serf", address=("2001:db8::1", 7946)), None)
    assert shown["address"] == "[2001:db8::1]:7946"
    assert (shown["state"], shown["tokens"], shown["voter"]) == ("ACTIVE", [], False)
    assert not {"url", "version", "heartbeat", "health"} & set(shown)


def test_a_nodes_token_is_its_own_and_never_the_leaders() -> None:
    tokens = {records.token_of(f"node{number}") for number in range(100)}
    assert len(tokens) == 100
    assert 0 not in tokens
    assert records.token_of("node1") == records.token_of("node1")


def test_the_goodbye_for_serf_is_in_its_own_dialect() -> None:
    assert leave_intent("py", 32) == b"\x00\x83\xa5LTime\x20\xa4Node\xa2py\xa5Prune\xc2"


# --- what the command line asks for ------------------------------------------------------------------------------


def flags(memberlist: dict[str, Any] | None = None, **given: Any) -> Flags:
    defaults = {flag.name.removeprefix(PREFIX): flag.default for flag in MEMBERLIST_FLAGS}
    return Flags(ring_memberlist={**defaults, **(memberlist or {})}, **{"ring_instance_addr": "127.0.0.1", **given})


def test_flags_become_settings() -> None:
    keyring = Keyring(bytes(32))
    settings = RingSettings.from_flags(
        flags(
            {"cluster-label": "prod", "join": ("10.0.0.2",)},
            ring_instance_id="node1",
            ring_join_members="10.0.0.3",
            ring_heartbeat_timeout=10.0,
            ring_keep_instance_in_ring_on_shutdown=False,
        ),
        api_url="http://127.0.0.1:8989",
        keyring=keyring,
    )
    assert settings.name == "node1"
    assert settings.envelope == Envelope(label=b"prod", keyring=keyring)
    assert settings.config.sealed
    assert settings.lease.forget_after == 30.0
    assert not settings.keep_on_shutdown
    assert list(map(str, settings.all_seeds(("node1", "node2")))) == [
        "10.0.0.3:7946",
        "10.0.0.2:7946",
        "dns+node2:7946",
    ]


def test_a_name_is_stable_and_may_come_from_three_places() -> None:
    assert RingSettings.from_flags(flags({"nodename": "a"}, ring_instance_id="b"), api_url="").name == "a"
    assert RingSettings.from_flags(flags(ring_instance_id="b"), api_url="").name == "b"
    assert RingSettings.from_flags(flags(), api_url="").name == RingSettings.from_flags(flags(), api_url="").name != ""


def test_a_wrong_seed_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigInvalid, match=r"-ring.join-members"):
        RingSettings.from_flags(flags(ring_join_members="a:b:c"), api_url="")


# --- the fence record in storage ---------------------------------------------------------------------------------


async def test_the_fence_record_is_kept_with_check_and_set() -> None:
    for fences in (StoredFence(MemoryStorage(Still()), "fence"), MemoryFence()):
        assert await fences.read() == (None, 0)
        first = Fence(term=1, holder="a", voters=("a",), since="now")
        assert await fences.write(first, 0) is Written.OK
        assert await fences.write(Fence(term=1, holder="b", voters=("b",)), 0) is Written.STALE
        assert await fences.read() == (first, 1)


async def test_a_fence_record_that_is_none_is_an_error_that_names_the_field() -> None:
    storage = MemoryStorage(Still())
    await storage.put("fence", {"term": "x"}, expected=0)
    with pytest.raises(ValueError, match="'term'"):
        await StoredFence(storage, "fence").read()


async def test_a_fence_record_out_of_reach_says_so() -> None:
    fences = MemoryFence()
    fences.away = True
    with pytest.raises(StorageUnavailable):
        await fences.read()


# --- the alarm ---------------------------------------------------------------------------------------------------


def test_an_alarm_rings_when_its_core_says_also_after_that_has_changed() -> None:
    async def body() -> None:
        rung: list[float] = []
        due = [100.0]
        began = trio.current_time()

        def tick() -> None:
            rung.append(trio.current_time() - began)
            due[0] = began + 1e9

        due[0] += began
        alarm = Alarm(lambda: due[0], tick)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(alarm.run)
            await trio.sleep(1)
            for after in (50.0, 3.0):
                due[0] = began + after
                alarm.moved()
            await trio.sleep(10)
            assert rung == [3.0]
            due[0] = began + 5  # in the past by now
            alarm.moved()
            await trio.sleep(1)
            assert rung == [3.0, 11.0]
            nursery.cancel_scope.cancel()

    trio.run(body, clock=MockClock(autojump_threshold=0))


# --- the wire ----------------------------------------------------------------------------------------------------


async def _answer(question: StreamMessage, peer: Address, reply: Reply) -> None:
    match question:
        case Ping():
            await reply(Ack(sequence=question.sequence))
        case User():
            await reply(User(question.payload[::-1]))


def wires(*envelopes: Envelope) -> list[Wire]:
    network = MemoryNetwork(random.Random(1))
    return [Wire(network.transport(f"10.0.0.{n}"), envelope) for n, envelope in enumerate(envelopes, 1)]


@pytest.mark.parametrize(
    "envelope",
    [Envelope(), Envelope(label=b"prod"), Envelope(keyring=Keyring(bytes(16)), label=b"prod")],
    ids=["plain", "label", "sealed"],
)
async def test_questions_are_answered_over_connections_in_the_same_envelope(
    envelope: Envelope, autojump_clock: MockClock
) -> None:
    here, there = wires(envelope, envelope)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(there.serve, _answer, 5.0)
        address = ("10.0.0.2", 7946)
        assert await here.ask(address, Ping(sequence=7, node="x")) == Ack(sequence=7)
        assert await here.ask(address, User(b"abc" * 100_000)) == User(b"cba" * 100_000)
        nursery.cancel_scope.cancel()


async def test_who_has_another_key_is_told_why_and_counted(autojump_clock: MockClock) -> None:
    here, there = wires(Envelope(), Envelope(keyring=Keyring(bytes(16))))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(there.serve, _answer, 5.0)
        with pytest.raises(BadPacket):
            await here.ask(("10.0.0.2", 7946), Ping(sequence=7))
        assert there.refusals.bad == 1
        nursery.cancel_scope.cancel()


async def test_an_error_of_the_peer_is_passed_on_in_its_words(autojump_clock: MockClock) -> None:
    async def refuse(question: StreamMessage, peer: Address, reply: Reply) -> None:
        await reply(Err(error="not today"))

    here, there = wires(Envelope(), Envelope())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(there.serve, refuse, 5.0)
        with pytest.raises(BadPacket, match="not today"):
            await here.ask(("10.0.0.2", 7946), Ping(sequence=7))
        nursery.cancel_scope.cancel()


async def test_a_peer_that_hangs_up_without_an_answer_is_an_error(autojump_clock: MockClock) -> None:
    async def hang_up(question: StreamMessage, peer: Address, reply: Reply) -> None:
        pass

    here, there = wires(Envelope(), Envelope())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(there.serve, hang_up, 5.0)
        with pytest.raises(BadPacket, match="ended before"):
            await here.ask(("10.0.0.2", 7946), Ping(sequence=7))
        nursery.cancel_scope.cancel()


async def test_packets_that_cannot_be_read_are_counted_by_why_and_skipped(autojump_clock: MockClock) -> None:
    sealed = Envelope(keyring=Keyring(bytes(16)))
    here, there = wires(sealed, sealed)
    to = ("10.0.0.2", 7946)
    good = encode(Ack(sequence=9))
    stranger = Wire(here._transport, Envelope())
    stranger.send(SendPacket(to, good))
    here.send(SendPacket(to, b"\xee nonsense"))
    here.send(SendPacket(to, good, crc=True))
    assert await there.receive() == ([Ack(sequence=9)], ("10.0.0.1", 7946))
    assert (there.refusals.unauthenticated, there.refusals.bad) == (1, 1)
