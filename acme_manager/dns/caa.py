"""The CAA records that count for a name: the nearest ones on the way up the tree (RFC 8659 section 3)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import dns.rdtypes.ANY.CAA
import trio
from dns.rdatatype import CAA

from acme_manager.dns.challenge import enclosing
from acme_manager.dns.lookup import Lookup, Records
from acme_manager.domain.caa import CaaRecord, CaaSet
from acme_manager.errors import DnsFailed
from acme_manager.structure import together

_PATIENCE = 5.0  # seconds for all names together
_AT_ONCE = 32


async def find_caa(
    lookup: Lookup, names: Collection[str], patience: float = _PATIENCE
) -> Mapping[str, CaaSet | DnsFailed]:
    """The set that counts for each name, or why it can't be known. Names are without a leading wildcard.

    An alias is followed to the records of its target; what is above the target does not count. A CA that can't look
    the records up does not issue either (RFC 8659 section 3 and the Baseline Requirements, 3.2.2.8).
    """
    late = DnsFailed(f"the name servers did not answer all questions about CAA records within {patience:g} s")
    found: dict[str, CaaSet | DnsFailed] = dict.fromkeys(names, late)
    climb = _Climb(lookup)

    async def one(name: str) -> None:
        try:
            found[name] = await climb.nearest(name)
        except DnsFailed as error:
            found[name] = error

    with trio.move_on_after(patience):
        await together(one, list(found), at_once=_AT_ONCE)
    return found


class _Climb:
    """Climbs from many names at once. They have parents in common, which are asked about once."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._answers: dict[str, Records | DnsFailed] = {}
        self._asked: dict[str, trio.Event] = {}

    async def nearest(self, name: str) -> CaaSet:
        for at in enclosing(name):
            answer = await self._ask(at)
            if isinstance(answer, DnsFailed):
                raise DnsFailed(str(answer), server=answer.server)
            if answer.data:
                return CaaSet(at=answer.name, records=tuple(map(_record, answer.data)))
        return CaaSet()

    async def _ask(self, name: str) -> Records | DnsFailed:
        if name in self._asked:
            await self._asked[name].wait()
            return self._answers[name]
        self._asked[name] = trio.Event()
        try:
            self._answers[name] = await self._lookup.records(name, CAA)
        except DnsFailed as error:
            self._answers[name] = error
        self._asked[name].set()
        return self._answers[name]


def _record(data: object) -> CaaRecord:
    assert isinstance(data, dns.rdtypes.ANY.CAA.CAA)
    return CaaRecord(flags=data.flags, tag=data.tag.decode("ascii"), value=data.value.decode("latin-1"))
