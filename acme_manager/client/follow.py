"""Follow the server: be woken within a moment of a change, instead of at the next interval.

Nothing depends on it. Where it does not work (a server that has no events, one that is away) the interval is left.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable

import attrs
import httpx
import structlog
import trio

from acme_manager.client.manager import Event, ManagerRefused
from acme_manager.domain.certificate import Certificate
from acme_manager.domain.digest import digest_of
from acme_manager.errors import AcmeManagerError

_log = structlog.get_logger(__name__)

Ask = Callable[[str, float], Awaitable[Event]]
"""`Manager.events`, or what opens a manager for it: takes the digest of what is known, and seconds to wait."""


class Sight:
    """What the server's list looked like when the agent read it last."""

    def __init__(self) -> None:
        self.digest = ""  # of nothing that can be: the agent has not looked yet
        self.looked = trio.Event()  # set when it reads the list the next time

    def note(self, listed: Iterable[Certificate]) -> None:
        """The agent has read the list; all of it has to be in it."""
        self.digest = digest_of(listed)
        self.looked.set()
        self.looked = trio.Event()


@attrs.frozen(kw_only=True)
class Pace:
    """How often what is done, in seconds."""

    wait: float = 50.0  # for an answer; common proxies give up after 60
    least: float = 1.0  # between two requests without an event
    first: float = 1.0  # after something that went wrong, doubled each time
    most: float = 60.0
    spread: float = 0.5  # at most, so that the agents of an owner do not all ask for the list at once
    look: float = 300.0  # for the agent to look after it has been woken: it may be waiting for a CA
    missing: float = 3600.0  # until a server without events is asked again

    def pause(self, times: int) -> float:
        """How long to wait the next time, drawn at random."""
        return random.uniform(0.5, 1) * min(self.most, self.first * 2.0 ** min(times - 1, 16))  # noqa: S311


async def follow(ask: Ask, sight: Sight, wake: Callable[[], None], pace: Pace | None = None) -> None:
    """Call `wake` whenever the server has something else than the agent has seen. Never returns.

    The agent may read the list of another node than the one that told, which may not know of the change yet. So what
    counts is what it has seen: as long as that is not what the server says, it is woken again, less and less often.
    """
    pace, failures, repeats, last = pace or Pace(), 0, 0, ""
    while True:
        began = trio.current_time()
        try:
            event = await ask(sight.digest, pace.wait)
        except (AcmeManagerError, OSError) as error:
            failures += 1
            without_events = isinstance(error, ManagerRefused) and error.status == httpx.codes.NOT_FOUND
            pause = pace.missing if without_events else pace.pause(failures)
            _log.debug("no events, the interval counts", err=str(error), retry_in=round(pause, 1))
            await trio.sleep(pause)
            continue
        failures = 0
        if not event.changed:
            repeats, last = 0, ""
            await trio.sleep_until(began + pace.least)  # a node that stops ends the wait at once
            continue
        repeats, last = (repeats + 1 if event.digest == last else 0), event.digest
        await trio.sleep(pace.pause(repeats) if repeats else random.uniform(0, pace.spread))  # noqa: S311
        if sight.digest != event.digest:  # it may have looked by itself meanwhile
            looked = sight.looked
            wake()
            with trio.move_on_after(pace.look):
                await looked.wait()
