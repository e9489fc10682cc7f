from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import attrs

from acme_manager.domain.cleanup import Action, Content, Rules, Version, judge

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)
RULES = Rules(window=10 * DAY, last_version=False, issuers=frozenset({"le"}))
LAST_TOO = attrs.evolve(RULES, last_version=True)


def version(number: int, left: float, *, life: float = 90, serial: str = "", issuer: str = "le") -> Version:
    """With so many days left."""
    end = NOW + left * DAY
    content = Content(
        serial=serial or f"s{number}",
        issuer=issuer,
        not_before=end - life * DAY,
        not_after=end,
        renewal=end - min(20, life / 3) * DAY,
    )
    return Version(number=number, created=end - life * DAY, content=content)


def deleted(number: int, age: float) -> Version:
    return Version(number=number, created=NOW - age * DAY, deleted=True)


def destroyed(number: int) -> Version:
    return Version(number=number, created=NOW, destroyed=True)


def actions(
    *history: Version, rules: Rules = RULES, revoked: Sequence[str] = (), served: Sequence[str] = ()
) -> list[tuple[int, str]]:
    decisions = judge(history, rules, NOW, revoked=frozenset(revoked), served=frozenset(served))
    return [(one.version, one.action.value) for one in decisions]


def test_an_expired_version_that_was_replaced_is_destroyed() -> None:
    assert actions(version(1, -1), version(2, 60)) == [(1, "destroy"), (2, "keep")]


def test_one_that_is_about_to_expire_is_revoked_and_destroyed_in_the_next_cycle() -> None:
    assert actions(version(1, 9), version(2, 60)) == [(1, "revoke"), (2, "keep")]
    assert actions(version(1, 9), version(2, 60), revoked=["s1"]) == [(1, "destroy"), (2, "keep")]


def test_one_that_is_good_for_longer_is_kept() -> None:
    assert actions(version(1, 11), version(2, 60)) == [(1, "keep"), (2, "keep")]


def test_the_window_is_no_longer_than_a_quarter_of_a_life() -> None:
    hours = 160 / 24
    assert actions(version(1, hours * 0.26, life=hours), version(2, hours, life=hours)) == [(1, "keep"), (2, "keep")]
    assert actions(version(1, hours * 0.24, life=hours), version(2, hours, life=hours)) == [(1, "revoke"), (2, "keep")]


def test_the_newest_version_is_left_alone_even_when_it_has_expired() -> None:
    assert actions(version(1, -5)) == [(1, "keep")]
    assert actions(version(1, 3)) == [(1, "keep")]


def test_with_the_flag_the_newest_version_goes_when_nobody_has_renewed_it() -> None:
    assert actions(version(1, -5), rules=LAST_TOO) == [(1, "destroy")]
    assert actions(version(1, 3), rules=LAST_TOO) == [(1, "revoke")]
    assert actions(version(1, 3), rules=LAST_TOO, revoked=["s1"]) == [(1, "destroy")]
    assert actions(version(1, 15), rules=LAST_TOO) == [(1, "keep")]


def test_even_with_the_flag_a_certificate_that_is_not_overdue_is_left_alone() -> None:
    short = version(1, 1, life=160 / 24)
    assert short.content is not None
    for renewal in (NOW + timedelta(hours=1), None):
        waiting = attrs.evolve(short, content=attrs.evolve(short.content, renewal=renewal))
        assert actions(waiting, rules=LAST_TOO) == [(1, "keep")]


def test_the_certificate_that_is_served_is_never_revoked_for_an_older_version_of_the_secret() -> None:
    relabelled = (version(1, 5, serial="same"), version(2, 5, serial="same"))
    assert actions(*relabelled) == [(1, "keep"), (2, "keep")]
    assert actions(version(1, 5, serial="x"), deleted(2, 3), served=["x"]) == [(1, "keep"), (2, "keep")]


def test_a_certificate_in_several_versions_is_revoked_once_and_destroyed_in_all() -> None:
    history = (version(1, 5, serial="old"), version(2, 5, serial="old"), version(3, 60))
    assert actions(*history) == [(1, "revoke"), (2, "keep"), (3, "keep")]
    assert actions(*history, revoked=["old"]) == [(1, "destroy"), (2, "destroy"), (3, "keep")]


def test_a_version_of_an_unknown_issuer_waits_for_its_expiry() -> None:
    assert actions(version(1, 5, issuer="gone"), version(2, 60)) == [(1, "skip"), (2, "keep")]
    assert actions(version(1, -1, issuer="gone"), version(2, 60)) == [(1, "destroy"), (2, "keep")]


def test_a_deleted_version_goes_when_whatever_it_held_has_expired() -> None:
    assert actions(version(1, -200), deleted(2, 390)) == [(1, "destroy"), (2, "keep")]
    assert actions(deleted(1, 399)) == [(1, "destroy")]
    assert actions(deleted(1, 399), version(2, 60)) == [(1, "destroy"), (2, "keep")]


def test_a_deleted_version_among_long_lived_ones_is_taken_to_be_like_them() -> None:
    assert actions(deleted(1, 399), version(2, 60, life=730)) == [(1, "keep"), (2, "keep")]
    assert actions(deleted(1, 731), version(2, 60, life=730)) == [(1, "destroy"), (2, "keep")]


def test_what_precedes_a_deleted_version_is_judged_as_ever() -> None:
    assert actions(version(1, 40), version(2, 5), deleted(3, 1)) == [(1, "keep"), (2, "revoke"), (3, "keep")]


def test_a_secret_goes_once_all_its_versions_are_destroyed() -> None:
    assert actions(destroyed(1), destroyed(2)) == [(0, "purge")]
    assert actions(destroyed(1), version(2, 60)) == [(2, "keep")]


def test_nothing_is_decided_about_a_secret_that_has_no_versions() -> None:
    assert actions() == []


def test_one_version_of_somebody_else_makes_the_secret_theirs() -> None:
    theirs = Version(number=2, created=NOW, foreign="has members of others: key")
    decided = judge([version(1, -100), theirs, version(3, 60)], RULES, NOW)
    assert [(one.action, one.version) for one in decided] == [(Action.SKIP, 0)]
    assert decided[0].reason == "not ours alone: version 2 has members of others: key"
