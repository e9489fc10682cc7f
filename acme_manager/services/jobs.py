"""Work that belongs to the node and not to the request that asked for it: it lasts as long as the node leads.

There is one flight per key: whoever asks for the same thing while it is under way waits for that result, whoever asks
for something else about the same key is refused. A caller that goes away does not end the flight.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

import attrs
import structlog
import trio

from acme_manager.errors import AcmeManagerError, NotLeader, OperationInProgress, OutcomeUnknown, StorageUnavailable
from acme_manager.structure import lone_error

T = TypeVar("T")
_log = structlog.get_logger(__name__)

_PATIENCE = 5.0  # seconds to wait for `admit`


@attrs.define(eq=False)
class Flight(Generic[T]):
    """One piece of work under way, and its result once `answered` is set."""

    key: str
    signature: Hashable
    quiet: bool = False  # whoever waits says what went wrong
    answered: trio.Event = attrs.field(factory=trio.Event)
    value: T | None = None
    error: Exception | None = None

    def give_up_waiting(self, error: Exception) -> None:
        """Answer those who wait with an error while the work goes on, since it may take long from here."""
        if not self.answered.is_set():
            self.error = error
            self.answered.set()


class Jobs:
    """The flights of this node. There are none while `open` is not entered, and before `admit` only those resumed."""

    def __init__(self) -> None:
        self._nursery: trio.Nursery | None = None
        self._admitted = trio.Event()
        self._flights: dict[str, Flight[object]] = {}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Own the flights for the length of a block; what still flies at its end is cancelled."""
        with lone_error():
            async with trio.open_nursery() as nursery:
                self._nursery, self._admitted = nursery, trio.Event()
                try:
                    yield
                finally:
                    self._nursery = None
                    self._admitted.set()  # who waits learns that this node does not lead
                    nursery.cancel_scope.cancel(reason="this node stops leading")

    def admit(self) -> None:
        """Take requests: it is known what an earlier leader left unfinished, and nobody orders it a second time."""
        self._admitted.set()

    async def admitted(self) -> None:
        """Wait until requests are taken. Raises StorageUnavailable when it is not known yet what is unfinished."""
        if self._nursery is not None and not self._admitted.is_set():
            with trio.move_on_after(_PATIENCE) as scope:
                await self._admitted.wait()
            if scope.cancelled_caught:
                raise StorageUnavailable(
                    "this node has just begun to lead, and can't read the orders under way yet", 2.0
                )

    def busy(self, key: str) -> bool:
        """Whether something is under way for that key."""
        return key in self._flights

    def running(self) -> list[str]:
        """The keys that are busy, sorted."""
        return sorted(self._flights)

    async def run(
        self, key: str, signature: Hashable, work: Callable[[Flight[T]], Awaitable[T]], *, quiet: bool = False
    ) -> T:
        """Do `work`, or join the flight that does the same already, and return its result or raise its error.

        `quiet` leaves it to the caller to log an error that was to be expected.

        Raises OperationInProgress when a flight of another signature has the key, NotLeader when the node does not
        lead, OutcomeUnknown when it stops to, StorageUnavailable when it has not got to know yet what is unfinished.
        """
        await self.admitted()
        flight = self.start(key, signature, work, quiet=quiet)
        await flight.answered.wait()
        if flight.error is not None:
            raise flight.error.with_traceback(None)
        value: T = flight.value  # type: ignore[assignment]  # T may itself be optional
        return value

    def start(
        self, key: str, signature: Hashable, work: Callable[[Flight[T]], Awaitable[T]], *, quiet: bool = False
    ) -> Flight[T]:
        """Start the flight, or find the one that does the same, without waiting."""
        if self._nursery is None:
            raise NotLeader("this node does not lead")
        known: Flight[T] | None = self._flights.get(key)  # type: ignore[assignment]  # one key has one kind of result
        if known is not None:
            if known.signature != signature:
                raise OperationInProgress(key)
            return known
        flight: Flight[T] = Flight(key, signature, quiet)
        self._flights[key] = flight  # type: ignore[assignment]
        self._nursery.start_soon(self._fly, flight, work)
        return flight

    async def _fly(self, flight: Flight[T], work: Callable[[Flight[T]], Awaitable[T]]) -> None:
        # The task has inherited the context of the request that started it, and outlives it.
        structlog.contextvars.clear_contextvars()
        try:
            flight.value = await work(flight)
        except trio.Cancelled:
            flight.error = OutcomeUnknown(
                "this node stopped leading before the work was done; an order that has been placed is taken up by the "
                "next leader: ask again",
                1.0,
            )
            raise
        except AcmeManagerError as error:
            level = logging.DEBUG if flight.quiet else logging.WARNING
            _log.log(level, "job failed", key=flight.key, error=str(error), kind=type(error).__name__)
            flight.error = error
        except Exception as error:  # noqa: BLE001 a bug in one job must not take the node down; the API answers 500
            _log.exception("job failed unexpectedly", key=flight.key)
            flight.error = error
        finally:
            del self._flights[flight.key]
            flight.answered.set()
