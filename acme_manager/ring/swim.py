"""The driver of membership.py: packets, exchanges of state, its timer, and what is passed on to the layers above."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs
import structlog
import trio

from acme_manager.ring.alarm import Alarm
from acme_manager.ring.config import RingConfig
from acme_manager.ring.membership import Incompatible, Membership
from acme_manager.ring.messages import Ack, Ping, User, encode
from acme_manager.ring.serf import leave_intent
from acme_manager.ring.streams import PushPull as StateMessage
from acme_manager.ring.streams import StreamMessage
from acme_manager.ring.types import (
    Address,
    BadPacket,
    Delivered,
    Effect,
    Member,
    PingStream,
    PushPull,
    Refused,
    SendPacket,
    Status,
    StatusChanged,
)
from acme_manager.ring.wire import Reply, Wire

_log = structlog.get_logger(__name__)

_MAX_EXCHANGES = 32  # of state that we have begun and that are under way; more are dropped and counted
_ANSWER_PATIENCE = 10.0  # seconds for a question to come in and its answer to go out, as memberlist has it
_QUIET = 60.0  # seconds for which the same refusal is not logged again
_MAX_QUIET = 1000


@attrs.define(kw_only=True)
class Exchanges:
    """What has happened over connections, in all."""

    states_received: int = 0
    states_received_bytes: int = 0  # of the layers above; the members are counted elsewhere
    states_sent: int = 0
    states_sent_bytes: int = 0
    failed: int = 0
    dropped: int = 0


@attrs.frozen(kw_only=True)
class Above:
    """The layers above. The driver calls them at once, in the order of events."""

    changed: Callable[[Member], None]  # a member
    delivered: Callable[[bytes, Address], None]  # a user message of a packet
    state: Callable[[], bytes]  # asks for what is said in an exchange of state
    met: Callable[[bytes, Address], None]  # what the member at that address said in an exchange that we began
    tried: Callable[[Address], None]  # an exchange of state that we began is over, well or not
    question: Callable[[bytes], bytes | None]  # a user message over a connection; None: no answer


class Swim:
    """One node's part in membership. `run` has to be running."""

    def __init__(self, core: Membership, config: RingConfig, wire: Wire, above: Above, name: str) -> None:
        self.core = core
        self.exchanges = Exchanges()
        self._config, self._wire, self._above, self._name = config, wire, above, name
        self._alarm = Alarm(core.deadline, self._tick)
        self._nursery: trio.Nursery | None = None
        self._under_way = 0
        self._left = trio.Event()
        self._said: dict[tuple[str, str], float] = {}

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen, answer, and do what is due, for ever. An error out of here means that this node is deaf."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            self._nursery.start_soon(self._read)
            self._nursery.start_soon(self._wire.serve, self._answer, _ANSWER_PATIENCE)
            await self._alarm.run()

    # --- for the layers above

    def tell(self, to: Address, payload: bytes) -> None:
        """Send a user message straight to somebody. It may get lost."""
        self._wire.send(SendPacket(to, encode(User(payload))))

    def broadcast(self, key: str, payload: bytes) -> bool:
        """Have everybody told; see Membership.broadcast."""
        told = self.core.broadcast(key, payload, trio.current_time())
        self._alarm.moved()
        return told

    def set_seeds(self, seeds: Iterable[Address]) -> None:
        """Where to look for others."""
        self.perform(self.core.set_seeds(list(seeds), trio.current_time()))

    def update_meta(self, meta: bytes) -> None:
        """Change what this node says of itself."""
        self.perform(self.core.update_meta(meta, trio.current_time()))

    def forget(self, name: str) -> None:
        """Make a dead member one that has left."""
        self.perform(self.core.forget(name, trio.current_time()))

    def visit(self, member: Member) -> None:
        """Exchange state with a member now."""
        self.perform([PushPull(member.address, member.name)])

    async def leave(self) -> None:
        """Say goodbye, and return when that has been sent. The caller bounds the wait."""
        if self._config.delegate_version:
            own = self.core.member(self._name)
            assert own is not None
            self.broadcast("serf leave", leave_intent(self._name, own.incarnation * 1000))
            await trio.sleep(2 * self._config.gossip_interval)
        self.perform(self.core.leave(trio.current_time()))
        if not self.core.left():
            await self._left.wait()

    # --- what happens

    async def _read(self) -> None:
        while True:
            messages, source = await self._wire.receive()
            now = trio.current_time()
            for message in messages:
                self.perform(self.core.receive(message, source, now))

    def _tick(self) -> None:
        self.perform(self.core.tick(trio.current_time()))
        if self.core.left():
            self._left.set()

    def perform(self, effects: Iterable[Effect]) -> None:
        """Do what the core wants done."""
        for effect in effects:
            match effect:
                case SendPacket():
                    self._wire.send(effect)
                case Delivered():
                    self._above.delivered(effect.payload, effect.source)
                case StatusChanged():
                    self._changed(effect)
                case PushPull() | PingStream():
                    self._begin(effect)
                case Refused():
                    self._refused(effect)
        self._alarm.moved()

    def _changed(self, change: StatusChanged) -> None:
        member = change.member
        if member.status is not change.before:
            say = _log.warning if member.status in {Status.SUSPECT, Status.DEAD} else _log.info
            say(f"member {member.status.name.lower()}", member=member.name, address=member.address[0])
        self._above.changed(member)

    def _refused(self, refused: Refused) -> None:
        key, now = (refused.name, refused.reason), trio.current_time()
        if key in self._said and now < self._said[key] + _QUIET:
            return
        if len(self._said) >= _MAX_QUIET:
            self._said.clear()
        self._said[key] = now
        _log.warning("claim about a member refused", member=refused.name, reason=refused.reason)

    # --- exchanges

    def _begin(self, effect: PushPull | PingStream) -> None:
        assert self._nursery is not None
        if self._under_way >= _MAX_EXCHANGES:
            self.exchanges.dropped += 1
            return
        self._under_way += 1
        self._nursery.start_soon(self._exchange, effect)

    async def _exchange(self, effect: PushPull | PingStream) -> None:
        try:
            with trio.fail_after(self._config.stream_timeout):
                await (self._push_pull(effect) if isinstance(effect, PushPull) else self._ping(effect))
        except (OSError, BadPacket, trio.TooSlowError) as error:
            self.exchanges.failed += 1
            _log.debug("exchange failed", peer=effect.to[0], member=effect.name, error=str(error) or "too slow")
        finally:
            self._under_way -= 1
            if isinstance(effect, PushPull):
                self._above.tried(effect.to)

    async def _push_pull(self, effect: PushPull) -> None:
        reply = await self._wire.ask(effect.to, self._state(join=effect.join))
        if not isinstance(reply, StateMessage):
            raise BadPacket(f"a {type(reply).__name__} answers an exchange of state")
        self._merge(reply, effect.name, effect.to)
        self._above.met(reply.state, effect.to)

    async def _ping(self, effect: PingStream) -> None:
        with trio.CancelScope(deadline=effect.deadline):
            reply = await self._wire.ask(effect.to, Ping(sequence=effect.sequence, node=effect.name))
            if isinstance(reply, Ack) and reply.sequence == effect.sequence:
                self.perform(self.core.stream_pong(effect.sequence, trio.current_time()))

    async def _answer(self, question: StreamMessage, peer: Address, reply: Reply) -> None:
        match question:
            case StateMessage():
                await reply(self._state(join=question.join))
                self._merge(question, "", peer)
            case Ping() if question.node in {"", self._name}:
                await reply(Ack(sequence=question.sequence))
            case User():
                answer = self._above.question(question.payload)
                if answer is not None:
                    await reply(User(answer))

    def _state(self, *, join: bool) -> StateMessage:
        state = self._above.state()
        self.exchanges.states_sent += 1
        self.exchanges.states_sent_bytes += len(state)
        return StateMessage(self.core.local_state(), state, join)

    def _merge(self, theirs: StateMessage, name: str, peer: Address) -> None:
        self.exchanges.states_received += 1
        self.exchanges.states_received_bytes += len(theirs.state)
        try:
            self.perform(self.core.merge(theirs.nodes, trio.current_time(), join=theirs.join))
        except Incompatible as error:
            self._refused(Refused(name, str(error), peer))
