"""Wait until the world can see a record."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import attrs
import trio
from dns.rdatatype import TXT

from acme_manager.dns.answers import UNSEEN, Sight, see
from acme_manager.dns.lookup import Lookup
from acme_manager.dns.wire import NoReply, Server
from acme_manager.errors import DnsFailed
from acme_manager.structure import together

_FIRST_PAUSE = 0.05
_GROWTH = 1.6
_COMPLAINTS = 5

Sights = dict[tuple[str, Server], Sight]


@attrs.frozen(kw_only=True)
class Timing:
    """How long a provider's servers may take to show a record, and the longest pause between two looks, in seconds."""

    timeout: float = 60.0
    interval: float = 2.0


def next_pause(pause: float, longest: float) -> float:
    """The pause after `pause`: short at first, since most servers show a record at once."""
    return min(pause * _GROWTH, longest)


def explain(sights: Mapping[tuple[str, Server], Sight], timeout: float) -> DnsFailed:
    """The error for what was not seen in time: each server that did not show it, and what it showed instead."""
    missing = sorted((server, name, sight.words) for (name, server), sight in sights.items() if not sight.complete)
    if not missing:
        return DnsFailed(f"the name servers could not be found within {timeout:g} s")
    parts = [f"{server} does not show the TXT record of {name}: it {words}" for server, name, words in missing]
    if len(parts) > _COMPLAINTS:
        parts[_COMPLAINTS:] = [f"and {len(parts) - _COMPLAINTS} more like these"]
    return DnsFailed(f"not visible after {timeout:g} s: {'; '.join(parts)}", server=str(missing[0][0]))


Observer = Callable[[str, Server, Sight], None]
"""Told what a server showed for a name, at every look. It must neither block nor raise."""


def _nobody(_name: str, _server: Server, _sight: Sight) -> None:
    pass


@attrs.frozen
class Awaited:
    """The values that a name must show, and how patient its provider is."""

    values: Collection[str]
    timing: Timing


class Propagation:
    """Looks at TXT records until all who must show them do: who that is depends on the zone (`dns_zones`)."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    async def wait(self, records: Mapping[str, Awaited], observer: Observer = _nobody) -> None:
        """Return once every server shows all values of all names. Raises DnsFailed after the longest timeout.

        Where a wait is configured it replaces looking. Resolvers come last, so that they don't remember an absence.
        """
        sights: Sights = {}
        late: list[float] = []

        def note(name: str, server: Server, sight: Sight) -> None:
            sights[name, server] = sight
            observer(name, server, sight)

        async def one(name: str) -> None:
            timing = self._timing(name, records[name].timing)
            with trio.move_on_after(timing.timeout) as scope:
                await self._watch(name, records[name].values, timing.interval, note)
            if scope.cancelled_caught:
                self._lookup.forget(name)
                late.append(timing.timeout)

        await together(one, list(records), at_once=max(1, len(records)))
        if late:
            raise explain(sights, max(late))

    def _timing(self, name: str, provider: Timing) -> Timing:
        rules = self._lookup.rules(name)
        limit = rules.wait + 1 if rules.wait else rules.timeout or provider.timeout
        return Timing(timeout=limit, interval=rules.interval or provider.interval)

    async def _watch(self, name: str, values: Collection[str], interval: float, note: Observer) -> None:
        rules = self._lookup.rules(name)
        if rules.wait:
            await trio.sleep(rules.wait)
            return
        if rules.ask_authoritative:
            servers = await self._lookup.authoritative(name)
            await self._watch_all(name, servers, values, interval, note, recurse=False)
        if rules.ask_resolvers:
            await self._watch_all(name, self._lookup.resolvers(name), values, interval, note, recurse=True)

    async def _watch_all(
        self,
        name: str,
        servers: Sequence[Server],
        values: Collection[str],
        interval: float,
        note: Observer,
        *,
        recurse: bool,
    ) -> None:
        for server in servers:
            note(name, server, UNSEEN)

        async def watch(server: Server) -> None:
            pause = _FIRST_PAUSE
            while True:
                sight = await self._look(name, server, values, recurse=recurse)
                note(name, server, sight)
                if sight.complete:
                    return
                await trio.sleep(min(pause, interval))
                pause = next_pause(pause, interval)

        await together(watch, servers)

    async def _look(self, name: str, server: Server, values: Collection[str], *, recurse: bool) -> Sight:
        try:
            return see(await self._lookup.ask(server, name, TXT, recurse=recurse), values)
        except NoReply as error:
            return Sight(complete=False, words=str(error))
