"""The driver of store.py and sync.py: this node's copy of the shared map, and how it is kept equal to the others'."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractContextManager

import attrs
import structlog
import trio

from acme_manager.errors import InvalidRequest, Unavailable
from acme_manager.ring import sync_messages
from acme_manager.ring.entries import Entry, Stamp, encode_entries, is_fact, parse_untrusted
from acme_manager.ring.seen import Seen
from acme_manager.ring.store import ReplicatedMap
from acme_manager.ring.sync import Sync, answer, summary
from acme_manager.ring.types import BadPacket, Kind, Member
from acme_manager.ring.watchers import Changed, Watchers

_log = structlog.get_logger(__name__)

_SYNC_PATIENCE = 5.0  # seconds for one request and its reply: 256 KiB of either, over a slow line
_GOSSIP_PATIENCE = 0.1  # seconds to wait for gossip before the leader is asked
_ASK_AGAIN = 0.5


@attrs.define(kw_only=True)
class Tally:
    """What has happened to the map, in all."""

    writes_tried: int = 0
    writes_done: int = 0
    received: int = 0  # packets of entries
    received_bytes: int = 0
    invalid: int = 0
    dropped: int = 0  # more came than could be taken in
    syncs: int = 0  # begun by us and ended well
    syncs_failed: int = 0
    syncs_answered: int = 0  # requests of others
    entries_synced: int = 0  # news that came by sync, in syncs of ours and others'


@attrs.frozen(kw_only=True)
class Below:
    """What a copy needs from the layers below."""

    broadcast: Callable[[str, bytes], bool]  # gossip a payload under a key
    ask: Callable[[Member, bytes], Awaitable[bytes]]  # put a question over a connection; OSError or BadPacket
    term: Callable[[], int | None]  # that this node leads at this instant
    leader: Callable[[], Member | None]  # another node that leads
    why_not: Callable[[], Unavailable]


class Replica:
    """A copy. `run` has to be running.

    `starts` is a number that grows with every start of this node, such as the time: its own facts are stamped with it.
    """

    def __init__(self, name: str, starts: int, max_message: int, queue: int, below: Below) -> None:
        self.copy = ReplicatedMap()
        self.tally = Tally()
        self.synced = trio.Event()  # with somebody, at least once
        self._facts = f"member/{name}/"
        self._own: dict[str, bytes] = {}
        self._starts, self._budget, self._below = starts, max_message - 1, below
        self._seen = Seen()
        self._watchers = Watchers()
        self._changed = trio.Event()
        self._arrived, self._waiting = trio.open_memory_channel[bytes](queue)
        self._due: dict[str, Member] = {}
        self._asked = trio.Event()
        self._asking_leader = trio.Lock()

    # --- for everybody

    def watch(self, prefix: str, changed: Changed) -> AbstractContextManager[None]:
        """See ports.SharedMap."""
        return self._watchers.watch(prefix, changed, self.copy.items(prefix))

    def write(self, key: str, value: bytes | None) -> None:
        """Put, or remove with None, as the leader. Raises NotLeader, NoQuorum and their like, or InvalidRequest."""
        self.tally.writes_tried += 1
        term = self._below.term()
        if term is None:
            raise self._below.why_not()
        if is_fact(key):
            raise InvalidRequest(f"'{key}' belongs to a member, and not to the leader")
        self._write(key, value, self.copy.next_stamp(term))
        self.tally.writes_done += 1

    def put_fact(self, name: str, value: bytes) -> None:
        """Say something about this node: `member/<its name>/<name>`, which others can only read."""
        key = self._facts + name
        self._own[key] = value
        if self.copy.get(key) != value:
            self._write(key, value, self.copy.next_fact_stamp(key, self._starts))

    def remove_facts(self) -> None:
        """Take back everything said about this node."""
        for key in tuple(self._own):
            del self._own[key]
            self._write(key, None, self.copy.next_fact_stamp(key, self._starts))

    def expire(self, *, reconciled: bool) -> int:
        """Forget tombstones that are old enough; see ReplicatedMap.expire."""
        return self.copy.expire(trio.current_time(), leading=reconciled and self._below.term() is not None)

    @property
    def stamp(self) -> Stamp:
        """Of the newest write of a leader that is here."""
        return self.copy.highest

    async def wait_for(self, stamp: Stamp) -> None:
        """Return once this copy has everything up to a stamp. Gossip brings it, or else the leader is asked."""
        with trio.move_on_after(_GOSSIP_PATIENCE):
            while not self._has(stamp):
                await self._changed.wait()
        while not self._has(stamp):
            async with self._asking_leader:  # who waited here may find that the other has got it for both
                if not self._has(stamp) and not await self._ask_leader(stamp):
                    await trio.sleep(_ASK_AGAIN)

    async def _ask_leader(self, stamp: Stamp) -> bool:
        leader = self._below.leader()
        found = leader is not None and await self._sync(leader) and self.copy.highest >= stamp
        if found:
            self._seen.complete(stamp)
        return found

    def _has(self, stamp: Stamp) -> bool:
        return self._seen.until >= stamp or (self._below.term() is not None and self.copy.highest >= stamp)

    # --- what happens

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Take in what has arrived, and sync with whom it is due to, for ever."""
        async with trio.open_nursery() as nursery:
            task_status.started()
            nursery.start_soon(self._take_in)
            nursery.start_soon(self._sync_when_due)

    def receive(self, body: bytes) -> None:
        """A packet of entries. It waits its turn, or is dropped when too many do."""
        self.tally.received += 1
        self.tally.received_bytes += len(body)
        try:
            self._arrived.send_nowait(body)
        except trio.WouldBlock:
            self.tally.dropped += 1

    @property
    def waiting(self) -> int:
        """Packets that wait their turn."""
        return self._arrived.statistics().current_buffer_used

    def summary(self) -> bytes:
        """What to tell a peer, so that it can tell whether its copy is equal."""
        return sync_messages.encode(summary(self.copy))

    def met(self, peer: Member, body: bytes) -> None:
        """What a peer has told of its copy. Raises BadPacket."""
        if sync_messages.parse_untrusted_summary(body).root != self.copy.root():
            self.sync_soon(peer)
        else:
            self.synced.set()

    def sync_soon(self, peer: Member) -> None:
        """Make this copy and a peer's equal, as soon as no other sync is under way."""
        self._due[peer.name] = peer
        self._asked.set()

    def answer_untrusted(self, body: bytes) -> bytes:
        """A request of a peer's sync. Raises BadPacket."""
        self.tally.syncs_answered += 1
        reply, changes = answer(self.copy, sync_messages.parse_untrusted_request(body), trio.current_time())
        self._synced(changes)
        return sync_messages.encode(reply)

    # --- doing it

    def _write(self, key: str, value: bytes | None, stamp: Stamp) -> None:
        now = trio.current_time()
        try:
            entry = self.copy.remove(key, stamp, now) if value is None else self.copy.put(key, value, stamp, now)
        except ValueError as error:
            raise InvalidRequest(str(error)) from error
        self._news([entry])
        self._spread([entry])

    def _news(self, entries: Iterable[Entry]) -> None:
        entries = list(entries)
        if not entries:
            return
        for entry in entries:
            if not is_fact(entry.key):
                self._seen.add(entry.stamp)
        self._watchers.tell(entries)
        self._changed.set()
        self._changed = trio.Event()
        for entry in entries:
            if entry.key in self._own and entry.value != self._own[entry.key]:  # an earlier life's, come back
                self.put_fact(entry.key.removeprefix(self._facts), self._own[entry.key])

    def _spread(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            for body in encode_entries([entry], self._budget):
                self._below.broadcast(entry.key, bytes([Kind.ENTRIES]) + body)

    async def _take_in(self) -> None:
        async for body in self._waiting:
            try:
                news = self.copy.merge(parse_untrusted(body), trio.current_time())
            except BadPacket:
                self.tally.invalid += 1
            else:
                self._news(news)
                self._spread(news)

    def _synced(self, changes: list[Entry]) -> None:
        self.tally.entries_synced += len(changes)
        self._news(changes)

    async def _sync_when_due(self) -> None:
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            while self._due:
                _, peer = self._due.popitem()
                await self._sync(peer)

    async def _sync(self, peer: Member) -> bool:
        """Whether it ended well; then this copy has all that the peer had when it began."""
        sync, before = Sync(), self.copy.highest
        request: sync_messages.Request | None = sync.start(self.copy)
        try:
            while request is not None:
                question = bytes([Kind.SYNC_REQUEST]) + sync_messages.encode(request)
                with trio.fail_after(_SYNC_PATIENCE):
                    reply = await self._below.ask(peer, question)
                if reply[:1] != bytes([Kind.SYNC_REPLY]):
                    raise BadPacket("this is no answer to a request of delta sync")
                parsed = sync_messages.parse_untrusted_reply(reply[1:])
                request, changes = sync.receive(self.copy, parsed, trio.current_time())
                self._synced(changes)
        except (OSError, BadPacket, trio.TooSlowError) as error:
            self.tally.syncs_failed += 1
            _log.info("sync failed", peer=peer.name, error=str(error) or "too slow")
            return False
        self.tally.syncs += 1
        self.synced.set()
        leader = self._below.leader()
        if leader is not None and leader.name == peer.name:
            self._seen.complete(before)
        return True
