"""Wait until the world can see a record."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import attrs
import trio
from dns.rdatatype import TXT

from acme_manager.config.model import DnsConfig
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


class Propagation:
    """Looks at TXT records until all who must show them do."""

    def __init__(self, lookup: Lookup, config: DnsConfig) -> None:
        self._lookup, self._config = lookup, config

    async def wait(self, records: Mapping[str, Collection[str]], timing: Timing) -> None:
        """Return once every server shows all values of all names. Raises DnsFailed after `timing.timeout` seconds.

        `propagation_wait` replaces looking. Resolvers come last, so that they don't remember an absence.
        """
        if self._config.propagation_wait > 0:
            await trio.sleep(self._config.propagation_wait)
            return
        sights: Sights = {}
        with trio.move_on_after(timing.timeout) as scope:
            if self._config.ask_authoritative:
                found = await together(self._lookup.authoritative, list(records))
                await self._watch_all(dict(zip(records, found, strict=True)), records, timing, sights, recurse=False)
            if self._config.ask_resolvers:
                everywhere = dict.fromkeys(records, self._lookup.resolvers)
                await self._watch_all(everywhere, records, timing, sights, recurse=True)
        if scope.cancelled_caught:
            for name in records:
                self._lookup.forget(name)
            raise explain(sights, timing.timeout)

    async def _watch_all(
        self,
        servers: Mapping[str, Sequence[Server]],
        records: Mapping[str, Collection[str]],
        timing: Timing,
        sights: Sights,
        *,
        recurse: bool,
    ) -> None:
        pairs = [(name, server) for name in records for server in servers[name]]
        sights.update(dict.fromkeys(pairs, UNSEEN))

        async def watch(pair: tuple[str, Server]) -> None:
            pause = _FIRST_PAUSE
            while not (await self._look(pair, records[pair[0]], sights, recurse=recurse)).complete:
                await trio.sleep(min(pause, timing.interval))
                pause = next_pause(pause, timing.interval)

        await together(watch, pairs)

    async def _look(self, pair: tuple[str, Server], values: Collection[str], sights: Sights, *, recurse: bool) -> Sight:
        name, server = pair
        try:
            sight = see(await self._lookup.ask(server, name, TXT, recurse=recurse), values)
        except NoReply as error:
            sight = Sight(complete=False, words=str(error))
        sights[pair] = sight
        return sight
