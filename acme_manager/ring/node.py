"""One node of the ring: its parts, what they have to do with each other, and the rounds that belong to none of them."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import structlog
import trio

from acme_manager import __version__
from acme_manager.errors import NoQuorum, NotLeader, RingNotReady, StorageUnavailable, Unavailable
from acme_manager.ports import Clock
from acme_manager.ring import records
from acme_manager.ring.directory import Directory
from acme_manager.ring.fence import Fence, fence_from_json, fence_to_json
from acme_manager.ring.fencing import FenceStorage
from acme_manager.ring.join import Seed
from acme_manager.ring.leadership import Leadership
from acme_manager.ring.leading import Around, Leading
from acme_manager.ring.leases import majority
from acme_manager.ring.membership import Membership
from acme_manager.ring.messages import User
from acme_manager.ring.meta import encode_meta
from acme_manager.ring.replica import Below, Replica
from acme_manager.ring.settings import RingSettings
from acme_manager.ring.swim import Above, Swim
from acme_manager.ring.transport import Transport
from acme_manager.ring.types import Address, BadPacket, Kind, Member, Status
from acme_manager.ring.wire import Wire

_log = structlog.get_logger(__name__)

_LOOK_AGAIN = 60.0  # seconds between two look-ups of the members to join
_LOOK_SOON = 5.0  # while nobody has been found
_EXPIRE_EVERY = 60.0
_ANNOUNCE_TO = 8  # members at random; each that has learnt something goes on: that reaches 2,999 of 3,000
_FENCE_KEY = "ring/fence"

Resolve = Callable[[Iterable[Seed]], Awaitable[Sequence[Address]]]


class Node:
    """The parts. `start` has to be called in the nursery that they live in."""

    def __init__(
        self,
        settings: RingSettings,
        *,
        transport: Transport,
        fences: FenceStorage,
        clock: Clock,
        rng: random.Random,
        resolve: Resolve,
    ) -> None:
        now, config = trio.current_time(), settings.config
        self.settings, self.name = settings, settings.name
        self.address = settings.place.advertised(transport.address)
        self.transport, self.clock = transport, clock
        self.ready = trio.Event()  # the others' state is here, or there are no others
        self.heartbeats = 0
        self.tombstones_removed = Counter[str]()  # by kind of key
        self.unknown_messages = 0
        self._rng, self._resolve = rng, resolve
        self._meta = encode_meta(settings.api_url)
        self._seeds: Sequence[Address] | None = None  # None: not looked up yet
        self._tried: set[Address] = set()  # whom we have asked for their state, with whatever outcome
        self._reconciled: int | None = None
        self.wire = Wire(transport, settings.envelope)
        above = Above(
            changed=self._member_changed,
            delivered=self._delivered,
            state=self._state,
            met=self._met,
            tried=self._tried.add,
            question=self._asked,
        )
        membership = Membership(config, self.name, self.address, self._meta, rng, now)
        self.swim = Swim(membership, config, self.wire, above, self.name)
        self.directory = Directory(self.name, membership, self._value, now)
        core = Leadership(settings.lease, self.name, rng, now)
        if settings.force_new_cluster:
            _log.warning(
                "FORCING A NEW CLUSTER: this node is going to be the only voter; the others must be gone for good",
                name=self.name,
                remedy="start it without -ring.force-new-cluster from now on",
            )
            core.force_new_cluster()
        around = Around(
            send=self._send_ballot,
            why_not=self.why_not,
            leader_changed=self._leader_changed,
            fence_changed=self._publish_fence,
        )
        self.leading = Leading(core, self.name, fences, clock, config.lease, around)
        below = Below(
            broadcast=self.swim.broadcast,
            announce=self._announce,
            ask=self._ask,
            term=self.leading.term,
            leader=self._other_leader,
            why_not=self.why_not,
        )
        starts = int(clock.now().timestamp())
        self.replica = Replica(self.name, starts, config.max_message, config.handoff_queue, below)

    async def start(self, nursery: trio.Nursery) -> None:
        """Begin. Whoever listens to the network starts last, so that nothing comes too early."""
        await nursery.start(self.leading.run)
        await nursery.start(self.replica.run)
        await nursery.start(self.swim.run)
        self._members_changed()
        self._say_record()
        nursery.start_soon(self._find_others)
        nursery.start_soon(self._wait_until_ready)
        nursery.start_soon(self._beat)
        nursery.start_soon(self._compare)
        nursery.start_soon(self._forget_deletions)

    async def hand_over(self) -> None:
        """Give leadership up, and wait until another has it, if there is another. The caller bounds the wait."""
        heir = any(peer.name in self.voters for peer in self.directory.peers())
        if self.leading.resign() and heir:
            await self.leading.handed_over()

    async def leave(self) -> None:
        """Say goodbye. The caller bounds the wait."""
        if not self.settings.keep_on_shutdown:
            self.replica.remove_facts()
        await self.swim.leave()

    # --- what is known

    @property
    def voters(self) -> tuple[str, ...]:
        """Those whose majority counts, as far as is known."""
        fence = self.fence
        return fence.voters if fence is not None else ()

    @property
    def fence(self) -> Fence | None:
        """The record of the newest term that is known."""
        # In one term the list changes, and only its leader reads storage each time: of two, what it published is newer.
        known = [fence for fence in (self._published_fence(), self.leading.fence) if fence is not None]
        return max(known, key=lambda fence: fence.term, default=None)

    def _published_fence(self) -> Fence | None:
        value = self.replica.copy.get(_FENCE_KEY)
        if value is None or self.leading.term() is not None:
            return None
        with suppress(ValueError):
            return fence_from_json(json.loads(value))
        return None

    def heard(self, member: Member) -> datetime | None:
        """When a member last gave a sign of life that this node has seen: a packet, or that others hold it alive."""
        now, signs = trio.current_time(), [self.swim.heard(member.address)]
        if member.name == self.name:
            signs.append(now)
        elif member.status is Status.ALIVE:
            signs.append(member.since)
        at = max((sign for sign in signs if sign is not None), default=None)
        return None if at is None else self.clock.now() - timedelta(seconds=now - at)

    def _value(self, key: str) -> bytes | None:
        return self.replica.copy.get(key)

    @property
    def is_open(self) -> bool:
        """Whether others than our own may take part: no key, and an address that other hosts reach."""
        return self.wire.envelope.keyring is None and not self.settings.place.on_loopback

    def why_not(self) -> Unavailable:
        """Why this node can't write, from the most to the least particular."""
        leader = self.leading.leader()
        if leader is not None and leader != self.name:
            return NotLeader(f"'{leader}' leads, and not this node", leader)
        if not self.ready.is_set():
            return RingNotReady("this node has just started, and does not have the state of the others yet", 1.0)
        voters = self.voters
        here = [name for name in voters if (member := self.directory.get(name)) and member.status is Status.ALIVE]
        if voters and len(here) < majority(len(voters)):
            gone = ", ".join(name for name in voters if name not in here)
            return NoQuorum(f"only {len(here)} of {len(voters)} nodes can be reached; these can't: {gone}")
        if self.leading.trouble is not None:
            return StorageUnavailable(f"no node leads, and none can while storage is away: {self.leading.trouble}")
        return NotLeader("no node leads just now; one will within seconds")

    # --- what happens below

    def _member_changed(self, member: Member) -> None:
        self.directory.noted(member, trio.current_time())
        if not self.replica.synced.is_set() and self.directory.is_peer(member):
            self.replica.sync_soon(member)
        self._members_changed()

    def _members_changed(self) -> None:
        self.leading.members_changed(self.directory.electorate())

    def _delivered(self, payload: bytes, source: Address) -> None:
        kind, body = payload[:1], payload[1:]
        try:
            if kind == bytes([Kind.LEADERSHIP]):
                self.leading.receive_untrusted(body)
            elif kind == bytes([Kind.ENTRIES]):
                self.replica.receive(body)
            elif kind == bytes([Kind.DIGEST]):
                self._met(payload, source)
            else:
                self.unknown_messages += 1
        except BadPacket:
            self.unknown_messages += 1

    def _state(self) -> bytes:
        # serf reads the user state as its own, and complains about any other in its log
        return b"" if self.settings.config.delegate_version else self._digest()

    def _digest(self) -> bytes:
        return bytes([Kind.DIGEST]) + self.replica.summary()

    def _met(self, state: bytes, address: Address) -> None:
        peer = self.directory.peer_at(address)
        if peer is not None and state[:1] == bytes([Kind.DIGEST]):
            self.replica.met(peer, state[1:])

    def _asked(self, payload: bytes) -> bytes | None:
        if payload[:1] != bytes([Kind.SYNC_REQUEST]):
            self.unknown_messages += 1
            return None
        return bytes([Kind.SYNC_REPLY]) + self.replica.answer_untrusted(payload[1:])

    def _announce(self, *, passed_on: bool) -> None:
        """Tell some members what this copy looks like, so that they fetch what they lack.

        A few are all told by whoever was first; only where there are more is it worth passing on.
        """
        peers = self.directory.peers()
        if passed_on and len(peers) <= _ANNOUNCE_TO:
            return
        digest = self._digest()
        for peer in self._rng.sample(peers, min(len(peers), _ANNOUNCE_TO)):
            self.swim.tell(peer.address, digest)

    async def _ask(self, peer: Member, question: bytes) -> bytes:
        reply = await self.wire.ask(peer.address, User(question))
        if not isinstance(reply, User):
            raise BadPacket(f"a {type(reply).__name__} answers a question of ours")
        return reply.payload

    # --- what happens above

    def _send_ballot(self, name: str, body: bytes) -> None:
        member = self.directory.get(name)
        if member is not None:
            self.swim.tell(member.address, bytes([Kind.LEADERSHIP]) + body)

    def _other_leader(self) -> Member | None:
        name = self.leading.leader()
        return None if name == self.name else self.directory.get(name)

    def _leader_changed(self, name: str | None) -> None:
        leader = self._other_leader() if name else None
        if leader is not None:
            self.replica.sync_soon(leader)

    def _publish_fence(self) -> None:
        """Show everybody who holds token 0, and who votes: they have no reason to read the record in storage."""
        if self.leading.fence is not None and self.leading.term() is not None:
            with suppress(Unavailable):
                self.replica.write(_FENCE_KEY, json.dumps(fence_to_json(self.leading.fence)).encode())

    def reconciled(self, term: int) -> None:
        """This node's copy agrees with storage in that term of its own; see ReplicatedMap.expire."""
        self._reconciled = term

    # --- rounds

    async def _find_others(self) -> None:
        while True:
            found = [at for at in await self._resolve(self.settings.all_seeds(self.voters)) if at != self.address]
            self._tried &= set(found)
            self.swim.set_seeds(found)
            self._seeds = found
            await trio.sleep(_LOOK_AGAIN if self.directory.peers() else _LOOK_SOON)

    async def _wait_until_ready(self) -> None:
        with trio.move_on_after(self.settings.start_patience) as scope:
            while not self.replica.synced.is_set() and not self._is_alone():
                with trio.move_on_after(0.05):
                    await self.replica.synced.wait()
        if scope.cancelled_caught:
            _log.warning("no member has given its state; going on without", seconds=self.settings.start_patience)
        self.directory.we_joined(trio.current_time())
        self.ready.set()
        self._say_record()
        self._members_changed()

    def _is_alone(self) -> bool:
        """Whether there is nobody whose state could be waited for: no seed is one of us, no other voter is known."""
        looked = self.leading.looked and self._seeds is not None and self._tried >= set(self._seeds)
        return looked and not self.directory.peers() and set(self.voters) <= {self.name}

    async def _beat(self) -> None:
        while True:
            await trio.sleep(self.settings.heartbeat_period)
            self.heartbeats += 1
            self._say_record()
            self._members_changed()

    async def _forget_deletions(self) -> None:
        while True:
            await trio.sleep(_EXPIRE_EVERY)
            self._expire()

    def _expire(self) -> None:
        copy = self.replica.copy
        before = Counter(copy.deleted)
        reconciled = self._reconciled is not None and self._reconciled == self.leading.term()
        if self.replica.expire(reconciled=reconciled):
            self.tombstones_removed.update(before - copy.deleted)

    def _say_record(self) -> None:
        record = records.Record(
            version=__version__,
            token=records.token_of(self.name),
            health=self.swim.core.health_score,
            joining=not self.ready.is_set(),
        )
        self.replica.put_fact(records.FACT, records.encode_record(record))

    async def _compare(self) -> None:
        """Tell a random member what this copy looks like; one that sees a difference begins a sync."""
        while True:
            await trio.sleep(self._rng.uniform(*self.settings.compare_period))
            if peers := self.directory.peers():
                self.swim.tell(self._rng.choice(peers).address, self._digest())
