"""Which versions of a secret may go, and why.

A version that a newer one has replaced is destroyed once it has expired. Shortly before that it is revoked, and then
destroyed in the next cycle: so nobody who has stolen an old key has a certificate for it that is still good. What is
served is left alone, what can't be read is never brought back, and what is not ours is not touched.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta

import attrs

LONGEST_LIFE = timedelta(days=398)
"""What no public CA has exceeded since September 2020 (CA/Browser Forum, Baseline Requirements, section 6.3.2)."""

_LAST_PART = 4  # the window is never longer than this part of a life: old certificates are to be good for a while


class Action(enum.StrEnum):
    """What becomes of a version, or of a whole secret."""

    KEEP = "keep"
    REVOKE = "revoke"
    DESTROY = "destroy"
    PURGE = "purge"
    SKIP = "skip"  # kept too, for a reason that somebody may want to know


@attrs.frozen(kw_only=True)
class Content:
    """What a version of ours holds. Times are aware; all but `issuer` and `renewal` is the certificate's own word."""

    serial: str
    issuer: str  # who can revoke it
    not_before: datetime
    not_after: datetime
    renewal: datetime | None  # when it was to be renewed; None where that is not known


@attrs.frozen(kw_only=True)
class Version:
    """One version of a secret. Without `content` it can't be read, or is not ours for the reason in `foreign`."""

    number: int
    created: datetime
    deleted: bool = False
    destroyed: bool = False
    content: Content | None = None
    foreign: str = ""


@attrs.frozen(kw_only=True)
class Rules:
    """The flags `-cleanup.*`, and the issuers that there are."""

    window: timedelta  # before its expiry, in which a version is revoked
    last_version: bool  # whether the newest version is judged as well
    issuers: AbstractSet[str]


@attrs.frozen
class Decision:
    """What to do with a version and why; version 0 is the whole secret."""

    action: Action
    version: int
    reason: str
    serial: str = ""  # of what that version holds, where it can be read


def judge(
    history: Sequence[Version],
    rules: Rules,
    now: datetime,
    *,
    revoked: AbstractSet[str] = frozenset(),
    served: AbstractSet[str] = frozenset(),
) -> list[Decision]:
    """Decide about every version of a secret that is not destroyed yet, oldest first; none: there is nothing to decide.

    `history` is oldest first. `revoked` are the serials that earlier cycles have revoked, `served` those that are in
    use although the newest version of this secret is another one.
    """
    stranger = next((version for version in history if version.foreign), None)
    if stranger is not None:
        return [Decision(Action.SKIP, 0, f"not ours alone: version {stranger.number} {stranger.foreign}")]
    present = [version for version in history if not version.destroyed]
    if history and not present:
        return [Decision(Action.PURGE, 0, "all its versions are destroyed")]
    live = live_version(history)
    if live is not None and live.content is not None:
        served = served | {live.content.serial}
    decisions: list[Decision] = []
    for version in present:
        if version is live:
            decision = _live(version, rules, now, revoked)
        elif version.content is None:
            decision = _unread(version, _bound(present), now)
        else:
            decision = _replaced(version, version.content, rules, now, revoked, served)
        if version.content is not None:
            decision = attrs.evolve(decision, serial=version.content.serial)
        if decision.action is Action.REVOKE:
            # A change of labels makes another version of the same certificate: it is revoked once, and noted for both.
            served = served | {decision.serial}
        decisions.append(decision)
    return decisions


def live_version(history: Sequence[Version]) -> Version | None:
    """The version that is served: the newest, unless it is deleted or destroyed."""
    newest = history[-1] if history else None
    return None if newest is None or newest.deleted or newest.destroyed else newest


def _unread(version: Version, bound: timedelta, now: datetime) -> Decision:
    """A deleted version: when it was made is all that is known."""
    until = version.created + bound
    if until > now:
        return _keep(version, f"deleted; what it held can't be read, and is taken to be valid until {_text(until)}")
    return Decision(
        Action.DESTROY, version.number, f"deleted, and made on {_text(version.created)}: what it held has expired"
    )


def _bound(versions: Sequence[Version]) -> timedelta:
    """How long a certificate of this secret may live: what its readable versions live, if that is more than usual."""
    return max([LONGEST_LIFE, *(one.content.not_after - one.content.not_before for one in versions if one.content)])


def _live(version: Version, rules: Rules, now: datetime, revoked: AbstractSet[str]) -> Decision:
    content = version.content
    if content is None or not rules.last_version:
        return _keep(version, "it is the one that is served")
    overdue = content.renewal is not None and content.renewal <= now
    if content.not_after > now and not overdue:
        return _keep(version, "it is the one that is served, and not overdue for renewal")
    return _replaced(version, content, rules, now, revoked, frozenset())


def _replaced(
    version: Version,
    content: Content,
    rules: Rules,
    now: datetime,
    revoked: AbstractSet[str],
    served: AbstractSet[str],
) -> Decision:
    if content.not_after <= now:
        return Decision(Action.DESTROY, version.number, f"expired on {_text(content.not_after)}")
    if content.serial in served:
        return _keep(version, "its certificate is in use, or is revoked with another version")
    if content.serial in revoked:
        return Decision(Action.DESTROY, version.number, "revoked in an earlier cycle")
    life = content.not_after - content.not_before
    begin = content.not_after - min(rules.window, life / _LAST_PART)
    if begin > now:
        return _keep(version, f"valid until {_text(content.not_after)}, to be revoked from {_text(begin)} on")
    if content.issuer not in rules.issuers:
        why = f"there is no issuer '{content.issuer}' to revoke it; it goes when it expires, on "
        return Decision(Action.SKIP, version.number, why + _text(content.not_after))
    return Decision(Action.REVOKE, version.number, f"expires on {_text(content.not_after)}, and nobody needs it")


def _keep(version: Version, reason: str) -> Decision:
    return Decision(Action.KEEP, version.number, reason)


def _text(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
