"""CAs, how they are, and what is left of our budgets there."""

from __future__ import annotations

import attrs
import msgspec


@attrs.frozen(kw_only=True)
class IssuerHealthAnswer:
    """What the last look of this node at a CA has found."""

    ok: bool
    error: str = ""
    since: str
    checked_at: str


@attrs.frozen(kw_only=True)
class BudgetAnswer:
    """One bucket: `left` of `count`, and when there is room again if there is none. `about` is a domain, a name or a
    set of names; it is left out for the bucket of our account."""

    limit: str
    about: str = ""
    count: int
    left: int
    next_free: str = ""


@attrs.frozen(kw_only=True)
class PauseAnswer:
    """Until when a CA has told us to wait, with all orders or with what is named."""

    about: str = ""
    until: str


@attrs.frozen(kw_only=True)
class IssuerAnswer:
    """A CA. Members that say nothing are left out: `health` before the first look, `account` where it is not known.

    `limits`: each limit as in the configuration. `budget`: our account's bucket, and others of which little is left.
    Times are in RFC 3339.
    """

    name: str
    ca_dir_url: str
    account: str = ""
    fallback: list[str] = attrs.field(factory=list)
    health: IssuerHealthAnswer | msgspec.UnsetType = msgspec.UNSET
    limits: dict[str, str]
    budget: list[BudgetAnswer]
    paused: list[PauseAnswer]


IssuersAnswer = list[IssuerAnswer]
