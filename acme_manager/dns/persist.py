"""dns-persist-01: a TXT record that stays says which of a CA's accounts may have certificates for a name.

draft-ietf-acme-dns-persist. We only read: whoever owns the zone makes the record, once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import attrs
from dns.rdata import Rdata
from dns.rdatatype import TXT

from acme_manager.dns.challenge import PERSIST_TYPE
from acme_manager.dns.lookup import Lookup
from acme_manager.domain.names import Identifier, IdentifierType
from acme_manager.errors import DnsFailed
from acme_manager.ports import Challenge, Clock, Trace
from acme_manager.structure import together

_LABEL = "_validation-persist"
_AT_ONCE = 16


@attrs.frozen(kw_only=True)
class Grant:
    """What a record must say: one of the CA's names, our account there, and for a wildcard that they are meant too."""

    issuers: tuple[str, ...]
    account: str
    wildcard: bool = False

    def value(self) -> str:
        """The text of the record."""
        policy = "; policy=wildcard" if self.wildcard else ""
        return f"{self.issuers[0]}; accounturi={self.account}{policy}"

    def given(self, value: str, at: datetime) -> bool:
        """Whether a record says so at an instant: an issue-value of RFC 8659 section 4.2."""
        issuer, *parts = (part.strip() for part in value.split(";"))
        pairs = [
            (name.strip().lower(), text.strip()) for name, _, text in (part.partition("=") for part in parts if part)
        ]
        parameters = dict(pairs)
        if len(parameters) < len(pairs):
            return False  # a parameter that is there twice makes the record malformed
        until = parameters.get("persistuntil", "")
        if until and not (until.isascii() and until.isdecimal() and int(until) >= at.timestamp()):
            return False
        named = issuer.rstrip(".").lower() in {one.rstrip(".").lower() for one in self.issuers}
        covered = not self.wildcard or parameters.get("policy", "").lower() == "wildcard"
        return named and covered and parameters.get("accounturi") == self.account


def persist_name(identifier: Identifier) -> str:
    """Where the record is."""
    return f"{_LABEL}.{identifier.base}"


def record_line(identifier: Identifier, grant: Grant) -> str:
    """The record to create, as a line of a zone file."""
    return f'{persist_name(identifier)}. IN TXT "{grant.value()}"'


async def is_granted(lookup: Lookup, identifier: Identifier, grant: Grant, at: datetime) -> bool:
    """Whether the zone has such a record. Raises DnsFailed when it can't be found out."""
    found = await lookup.records(persist_name(identifier), TXT)
    return any(grant.given(value, at) for value in _texts(found.data))


@attrs.frozen
class PersistSolver:
    """The Solver port for dns-persist-01. It leaves nothing behind, since it writes nothing."""

    lookup: Callable[[], Lookup]
    clock: Clock

    @property
    def type(self) -> str:
        """Always `dns-persist-01`."""
        return PERSIST_TYPE

    async def plan(self, challenges: Sequence[Challenge]) -> Sequence[Trace]:
        """Look for the records. Raises DnsFailed with all those that are to be created."""

        async def missing(challenge: Challenge) -> str:
            if challenge.identifier.type is not IdentifierType.DNS or not challenge.issuers:
                return f"{challenge.identifier}: the CA does not say what a record would have to say"
            grant = Grant(issuers=challenge.issuers, account=challenge.account, wildcard=challenge.wildcard)
            there = await is_granted(self.lookup(), challenge.identifier, grant, self.clock.now())
            return "" if there else record_line(challenge.identifier, grant)

        lines = [line for line in await together(missing, challenges, at_once=_AT_ONCE) if line]
        if lines:
            raise DnsFailed(
                f"{PERSIST_TYPE} needs records that are not there; create: {', '.join(lines)}", cause="input"
            )
        return ()

    @asynccontextmanager
    async def presented(self, traces: Sequence[Trace]) -> AsyncIterator[None]:  # noqa: ARG002 the port has them
        """Nothing is to be done."""
        yield

    async def remove(self, traces: Sequence[Trace]) -> None:
        """Raises DnsFailed for what another kind of solver has left."""
        if traces:
            raise DnsFailed(f"the challenge was presented in another way, before {PERSIST_TYPE} was configured")


def _texts(data: Iterable[Rdata]) -> Collection[str]:
    return [b"".join(one.strings).decode(errors="replace") for one in data if hasattr(one, "strings")]
