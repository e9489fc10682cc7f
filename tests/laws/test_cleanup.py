"""What holds of clean-up whatever a secret's history: cycles are played on it, with time passing in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import attrs
from hypothesis import event, given
from hypothesis import strategies as st

from acme_manager.domain.cleanup import LONGEST_LIFE, Action, Content, Rules, Version, judge, live_version

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)

rules = st.builds(
    Rules,
    window=st.integers(0, 60).map(lambda days: days * DAY),
    last_version=st.booleans(),
    issuers=st.sampled_from([frozenset(), frozenset({"le"}), frozenset({"le", "zero"})]),
)


@attrs.frozen
class Truth:
    """A version, and what it holds, readable or not."""

    version: Version
    content: Content


@st.composite
def certificates(draw: st.DrawFn, serial: int) -> Content:
    end = NOW + draw(st.integers(-500, 400)) * DAY
    return Content(
        serial=f"s{serial}",
        issuer=draw(st.sampled_from(["le", "zero", "gone"])),
        not_before=end - draw(st.integers(6, LONGEST_LIFE.days)) * DAY,
        not_after=end,
        renewal=draw(st.none() | st.integers(0, 40).map(lambda days: end - days * DAY)),
    )


@st.composite
def histories(draw: st.DrawFn) -> list[Truth]:
    """Several versions may hold the same certificate, as after a change of labels."""
    held = [draw(certificates(serial)) for serial in range(3)]

    def truth(number: int) -> Truth:
        content, state = draw(st.sampled_from(held)), draw(st.sampled_from(["there", "there", "deleted", "destroyed"]))
        version = Version(
            number=number,
            created=content.not_before + draw(st.integers(0, 30)) * DAY,
            deleted=state == "deleted",
            destroyed=state == "destroyed",
            content=content if state == "there" else None,
        )
        return Truth(version, content)

    return [truth(number) for number in range(1, draw(st.integers(0, 6)) + 1)]


@given(histories(), rules)
def test_what_is_served_is_left_alone_without_the_flag(history: list[Truth], rules: Rules) -> None:
    versions = [one.version for one in history]
    live = live_version(versions)
    decided = judge(versions, attrs.evolve(rules, last_version=False), NOW)
    touched = [one for one in decided if one.action not in {Action.KEEP, Action.SKIP}]
    if live is not None and live.content is not None:
        assert not any(one.version in {0, live.number} for one in touched)
        assert not any(one.serial == live.content.serial for one in touched if one.action is Action.REVOKE)


@given(histories(), rules)
def test_with_the_flag_what_is_served_is_left_alone_until_it_is_overdue(history: list[Truth], rules: Rules) -> None:
    versions = [one.version for one in history]
    live = live_version(versions)
    if live is None or live.content is None or live.content.not_after <= NOW:
        return
    overdue = live.content.renewal is not None and live.content.renewal <= NOW
    verdict = next(one for one in judge(versions, rules, NOW) if one.version == live.number)
    event(f"overdue: {overdue}, {verdict.action}")
    if not overdue or live.content.not_after - NOW > rules.window:
        assert verdict.action is Action.KEEP


@given(histories(), rules, st.lists(st.integers(0, 40), min_size=4, max_size=8))
def test_nothing_that_is_still_good_is_destroyed_before_an_earlier_cycle_has_revoked_it(
    history: list[Truth], rules: Rules, pauses: list[int]
) -> None:
    truth = {one.version.number: one.content for one in history}
    versions, at, revoked = [one.version for one in history], NOW, frozenset[str]()
    for pause in pauses:
        decided = judge(versions, rules, at, revoked=revoked)
        destroyed = {one.version for one in decided if one.action is Action.DESTROY}
        for number in destroyed:
            assert truth[number].not_after <= at or truth[number].serial in revoked
        if any(one.action is Action.PURGE for one in decided):
            assert all(one.destroyed for one in versions)
        revoked |= {one.serial for one in decided if one.action is Action.REVOKE}
        versions = [
            attrs.evolve(one, destroyed=True, content=None) if one.number in destroyed else one for one in versions
        ]
        at += pause * DAY


@given(histories(), rules)
def test_at_any_instant_four_cycles_do_all_there_is_to_do(history: list[Truth], rules: Rules) -> None:
    versions, revoked, purged = [one.version for one in history], frozenset[str](), False
    for cycle in range(5):
        wanted = judge([] if purged else versions, rules, NOW, revoked=revoked)
        wanted = [one for one in wanted if one.action not in {Action.KEEP, Action.SKIP}]
        if cycle == 4:
            assert wanted == []
        gone = {one.version for one in wanted if one.action is Action.DESTROY}
        purged = purged or any(one.action is Action.PURGE for one in wanted)
        revoked |= {one.serial for one in wanted if one.action is Action.REVOKE}
        versions = [attrs.evolve(one, destroyed=True, content=None) if one.number in gone else one for one in versions]


@given(histories(), rules, st.data())
def test_versions_of_others_are_untouched_with_everything_beside_them(
    history: list[Truth], rules: Rules, data: st.DataObject
) -> None:
    stranger = Version(number=0, created=NOW, foreign="has no certificate")
    versions = [one.version for one in history]
    versions.insert(data.draw(st.integers(0, len(versions))), stranger)
    assert [(one.action, one.version) for one in judge(versions, rules, NOW)] == [(Action.SKIP, 0)]
