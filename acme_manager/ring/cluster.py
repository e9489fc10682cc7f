"""The ring as the rest of the program sees it: a shared map, who leads, and who is there."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

import attrs
import structlog
import trio
from prometheus_client import CollectorRegistry

from acme_manager.errors import Conflict, InvalidRequest, NotFound, Unavailable
from acme_manager.ports import Clock
from acme_manager.ring.entries import Stamp
from acme_manager.ring.fencing import FenceStorage
from acme_manager.ring.join import Resolver
from acme_manager.ring.keyring import Keyring
from acme_manager.ring.meta import parse_untrusted as parse_meta
from acme_manager.ring.metrics import RingCollector
from acme_manager.ring.node import Node, Resolve
from acme_manager.ring.records import View
from acme_manager.ring.settings import RingSettings
from acme_manager.ring.statistics import statistics_of
from acme_manager.ring.transport import Transport
from acme_manager.ring.types import Status
from acme_manager.ring.watchers import Changed
from acme_manager.structure import lone_error

_log = structlog.get_logger(__name__)

_HAND_OVER = 1.0  # seconds that a stop waits for a successor
_GOODBYE = 2.0  # and for its goodbye to be sent


class Ring:
    """SharedMap and Cluster of ports.py, for a node among others. Made by `open_ring`."""

    def __init__(self, node: Node) -> None:
        self._node = node

    # --- the shared map

    def get(self, key: str) -> bytes | None:
        """See ports.SharedMap."""
        return self._node.replica.copy.get(key)

    def items(self, prefix: str) -> Iterable[tuple[str, bytes]]:
        """See ports.SharedMap."""
        return self._node.replica.copy.items(prefix)

    def put(self, key: str, value: bytes) -> None:
        """See ports.SharedMap. Raises InvalidRequest for a key above 512 bytes or a value above 64 KiB."""
        self._node.replica.write(key, value)

    def remove(self, key: str) -> None:
        """See ports.SharedMap."""
        self._node.replica.write(key, None)

    def watch(self, prefix: str, changed: Changed) -> AbstractContextManager[None]:
        """See ports.SharedMap."""
        return self._node.replica.watch(prefix, changed)

    def put_fact(self, name: str, value: bytes) -> None:
        """See ports.Cluster."""
        self._node.replica.put_fact(name, value)

    def stamp(self) -> str:
        """See ports.Cluster."""
        stamp = self._node.replica.stamp
        return f"{stamp.term}.{stamp.sequence}"

    async def wait_for(self, stamp: str) -> None:
        """See ports.Cluster. Raises InvalidRequest for what is no stamp."""
        term, _, sequence = stamp.partition(".")
        if not (term.isascii() and term.isdigit() and sequence.isascii() and sequence.isdigit()):
            raise InvalidRequest(f"'{stamp}' is no stamp of the shared map")
        await self._node.replica.wait_for(Stamp(int(term), int(sequence)))

    async def wait_synced(self) -> None:
        """Return once this node has the state of the others, or there are none, or none gives it in time."""
        await self._node.ready.wait()

    def reconciled(self, term: int) -> None:
        """Say that this node's copy agrees with storage in a term that it leads: old deletions may be forgotten."""
        self._node.reconciled(term)

    # --- who leads

    @property
    def name(self) -> str:
        """See ports.Cluster."""
        return self._node.name

    def leads(self) -> bool:
        """See ports.Cluster."""
        return self._node.leading.term() is not None

    def term(self) -> int | None:
        """The term that this node leads at this instant, by its own clock."""
        return self._node.leading.term()

    def leading(self) -> AbstractContextManager[int]:
        """A block that only a leader may run, cancelled the moment it leads no more; see Leading.leading."""
        return self._node.leading.leading()

    async def whenever_leading(self, work: Callable[[int], Awaitable[object]]) -> None:
        """Run `work(term)` once in each term of this node's, cancelled when that ends. Never returns."""
        await self._node.leading.whenever_leading(work)

    async def confirm(self) -> None:
        """See ports.Cluster."""
        await self._node.leading.confirm()

    def leader(self) -> str | None:
        """See ports.Cluster."""
        return self._node.leading.leader()

    def leader_url(self) -> str | None:
        """See ports.Cluster."""
        return self._node.directory.api_url(self.leader())

    def why_not(self) -> Unavailable:
        """See ports.Cluster."""
        return self._node.why_not()

    # --- who is there

    def members(self) -> Sequence[Mapping[str, Any]]:
        """See ports.Cluster."""
        node = self._node
        view = View(leader=self.leader(), voters=node.voters)
        shown = []
        for member in sorted(node.directory.members(), key=lambda member: member.name):
            record = node.directory.record(member.name)
            if member.status is Status.LEFT and record is None and parse_meta(member.meta) is not None:
                continue  # it has taken its record back: it does not want to be kept
            shown.append(view.show(member, record, node.heard(member)))
        return shown

    def forget(self, name: str) -> None:
        """See ports.Cluster. Raises why this node can't write unless it leads: what the leader sees counts."""
        node = self._node
        if not self.leads():
            raise self.why_not()
        member = node.directory.get(name)
        if member is not None and member.status in {Status.ALIVE, Status.SUSPECT}:
            raise Conflict(f"the member '{name}' is alive; stop it first, then give it up")
        if member is None and name not in node.voters:
            raise NotFound(f"there is no member '{name}' to forget")
        _log.warning("member given up", member=name)
        node.leading.forget(name)
        node.swim.forget(name)

    def statistics(self) -> Mapping[str, Any]:
        """See ports.Cluster."""
        return statistics_of(self._node)

    def set_keyring(self, keyring: Keyring | None) -> None:
        """Use other keys from the next message on. Add a key everywhere before making it the primary one anywhere."""
        self._node.wire.envelope = attrs.evolve(self._node.wire.envelope, keyring=keyring)
        _warn_if_open(self._node)


@asynccontextmanager
async def open_ring(
    settings: RingSettings,
    *,
    transport: Transport,
    fences: FenceStorage,
    clock: Clock,
    rng: random.Random,
    registry: CollectorRegistry | None = None,
    resolve: Resolve | None = None,
) -> AsyncIterator[Ring]:
    """Be a node of the ring for the length of a block. It does not wait for others: see `Ring.wait_synced`.

    At the end leadership is handed over and goodbye is said, in 3 s at most. A socket that is lost ends the block with
    that error: a member that no longer listens is worse than a dead one.
    """
    node = Node(
        settings,
        transport=transport,
        fences=fences,
        clock=clock,
        rng=rng,
        resolve=resolve or Resolver(settings.place.host).addresses,
    )
    ring = Ring(node)
    if registry is not None:
        registry.register(RingCollector(ring))
    _log.info("ring opened", name=node.name, address="{}:{}".format(*node.address), seeds=len(settings.seeds))
    _warn_if_open(node)
    with lone_error():
        async with trio.open_nursery() as nursery:
            await node.start(nursery)
            try:
                yield ring
            finally:
                dying = trio.current_effective_deadline() == -math.inf
                with trio.move_on_after(0 if dying else _HAND_OVER + _GOODBYE, shield=True):
                    with trio.move_on_after(_HAND_OVER):
                        await node.hand_over()
                    await node.leave()
                nursery.cancel_scope.cancel(reason="the ring has been left")


def _warn_if_open(node: Node) -> None:
    if node.settings.place.on_loopback:
        _log.warning("the ring listens on loopback only: no other host can join", address=node.address[0])
    elif node.is_open:
        _log.warning(
            "THE RING IS NOT ENCRYPTED: whoever reaches its port can read, change and stop everything in it",
            address="{}:{}".format(*node.address),
            remedy="configure a key for the ring, the same on every node",
        )
