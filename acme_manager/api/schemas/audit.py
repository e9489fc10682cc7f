"""The audit log: what is looked for, and what was found."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class AuditQuery:
    """Which entries; times are in RFC 3339, `limit` is from 1 to 1000 and `cursor` that of the page before.

    `q`, `actor` and `object` are any part of a text; `action` is a whole name, or what is before a dot.
    """

    q: str = ""
    action: str = ""
    actor: str = ""
    object: str = ""
    since: str = ""
    until: str = ""
    limit: int = 100
    cursor: str = ""


@attrs.frozen(kw_only=True)
class AuditEntry:
    """Somebody has done something, or has tried to. Members that say nothing are left out. `at` is in RFC 3339.

    `source` is the address that it came from; anybody can write `forwarded_for`. `count`: so many of the kind were
    refused, or failed, within a minute. `number` is its place in the log.
    """

    number: int
    at: str
    action: str
    actor: str = ""
    owner: str = ""
    object: str = ""
    status: int = 0
    error: str = ""
    count: int = 1
    source: str = ""
    forwarded_for: str = ""
    request_id: str = ""
    node: str = ""


@attrs.frozen(kw_only=True)
class AuditAnswer:
    """A page of the audit log, the newest first. `cursor` leads to the next page, unless this one is the last.

    A page may be short, or empty, and not the last: each search looks back a bounded way, to `back_to`. `trouble` says
    why storage, with all that is older, could not be read.
    """

    entries: list[AuditEntry]
    complete: bool
    cursor: str = ""
    back_to: str = ""
    trouble: str = ""


@attrs.frozen(kw_only=True)
class AuditVerifyQuery:
    """The segment to begin with; without it the oldest."""

    begin: int = 1


@attrs.frozen(kw_only=True)
class AuditBreak:
    """Where the chain is not as it was written, and how it shows."""

    segment: int
    words: str


@attrs.frozen(kw_only=True)
class AuditVerdict:
    """Whether the segments looked at are as they were written. `first` and `last` are the numbers of those there are.

    `next` is the segment to go on with, 0 when this was all.
    """

    ok: bool
    first: int
    last: int
    segments: int
    entries: int
    next: int
    breaks: list[AuditBreak]
