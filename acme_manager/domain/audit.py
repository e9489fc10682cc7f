"""Who did what: entries of the audit log, what is looked for in them, and how a flood of refusals is kept out.

No secret is ever in an entry: it has no bodies and no credentials, and what looks like a key in a text is cut out.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from typing import Any

import attrs

SYSTEM = "system"  # the actor of what nobody has asked for
LONGEST = 256  # characters of each text

_KEY = re.compile(r"-----BEGIN .*", re.DOTALL)  # PEM, to the end of the text
_CUT_OUT = "[cut out]"


def safe_text(text: object) -> str:
    """A text as an entry may have it: of bounded length, in one line, without PEM."""
    found = _KEY.sub(_CUT_OUT, str(text)[: 4 * LONGEST])
    found = "".join(c if c.isprintable() else " " for c in found)
    return found if len(found) <= LONGEST else found[: LONGEST - 1] + "…"


def _text() -> Any:
    return attrs.field(default="", converter=safe_text)


@attrs.frozen(kw_only=True)
class Entry:
    """Somebody has done something, or has tried to. `at` is in Unix milliseconds.

    `number` is its place in the log, the first is 1; 0 while it has none. `count` is how many there were of the kind
    within a minute, all alike but for their object.
    """

    number: int = 0
    at: int
    actor: str = _text()  # `token <id>`, `API key`, `oidc <subject>`, `system`; empty: somebody unknown
    owner: str = _text()  # whose certificates it is about; empty where it is nobody's
    action: str = _text()  # `certificate.renew`; these names do not change
    object: str = _text()  # a certificate's key, the id of a token or an operation, a node's name
    status: int = 0  # of HTTP; 0: nobody was answered
    error: str = _text()  # why it was refused, or failed; of what the system did, more about it
    count: int = 1
    source: str = _text()  # the address that the request came from
    forwarded_for: str = _text()  # where it says to have come from before: anybody can write that
    request_id: str = _text()
    node: str = _text()

    @property
    def refused(self) -> bool:
        """Whether it was tried in vain."""
        return self.status >= 400


def entry_to_json(entry: Entry) -> dict[str, Any]:
    """What is kept and shown of it: values that say nothing are left out."""
    record = attrs.asdict(entry)
    return {name: value for name, value in record.items() if value and (name, value) != ("count", 1)}


def entry_from_json(record: Mapping[str, Any]) -> Entry:
    """Read one back; what is not known is left out. Raises ValueError."""
    known: dict[str, Any] = {}
    for field in attrs.fields(Entry):
        if field.name in record:
            wanted = int if isinstance(field.default, int) or field.default is attrs.NOTHING else str
            value = record[field.name]
            if type(value) is not wanted:
                raise ValueError(f"'{field.name}' is no {wanted.__name__}")
            known[field.name] = value
    if "at" not in known:
        raise ValueError("no 'at'")
    return Entry(**known)


_SEARCHED = ("actor", "owner", "action", "object", "error", "source", "forwarded_for", "request_id", "node")


@attrs.frozen(kw_only=True)
class Query:
    """What is looked for; what is empty, 0 or None does not matter. Times are in Unix milliseconds."""

    q: str = ""  # part of any text, without regard to case; so are `actor` and `object` of theirs
    action: str = ""  # whole, or the part before a dot: `certificate` finds `certificate.renew`
    actor: str = ""
    object: str = ""
    owner: str | None = None
    since: int = 0
    until: int = 0  # itself included

    def matches(self, entry: Entry) -> bool:
        """Whether an entry is one of those."""
        return (
            (self.owner is None or entry.owner == self.owner)
            and self.since <= entry.at
            and (not self.until or entry.at <= self.until)
            and (not self.action or entry.action == self.action or entry.action.startswith(self.action + "."))
            and self.actor.casefold() in entry.actor.casefold()
            and self.object.casefold() in entry.object.casefold()
            and (not self.q or self._found_in(entry))
        )

    def _found_in(self, entry: Entry) -> bool:
        wanted = self.q.casefold()
        return any(wanted in getattr(entry, name).casefold() for name in _SEARCHED)


_MINUTE = 60_000  # milliseconds
_MOST_KINDS = 500  # that are told apart at a time


@attrs.define
class _Kind:
    since: int
    last: Entry | None = None  # of those that were only counted
    count: int = 0


class Refusals:
    """Lets the first of a kind through, and of those that follow within a minute one that says how many there were.

    Of callers that nobody knows all that come from one address are one kind. What was done is never held back.
    """

    def __init__(self) -> None:
        self._kinds: dict[Hashable, _Kind] = {}

    def admits(self, entry: Entry) -> bool:
        """Whether it is to be noted now; else it has been counted."""
        if not entry.refused:
            return True
        key: Hashable = (entry.source, entry.actor, entry.action, entry.status) if entry.actor else entry.source
        if key not in self._kinds and len(self._kinds) >= _MOST_KINDS:
            key, entry = None, attrs.evolve(entry, source="many others", forwarded_for="")
        kind = self._kinds.get(key)
        if kind is None:
            self._kinds[key] = _Kind(entry.at)
            return True
        kind.last, kind.count = entry, kind.count + 1
        return False

    def due(self, now: int) -> list[Entry]:
        """Those whose minute is over, each standing for all of its kind."""
        found = []
        for key, kind in tuple(self._kinds.items()):
            if not kind.since <= now < kind.since + _MINUTE:
                if kind.last is None:
                    del self._kinds[key]
                else:
                    found.append(attrs.evolve(kind.last, count=kind.count))
                    self._kinds[key] = _Kind(now)
        return found
