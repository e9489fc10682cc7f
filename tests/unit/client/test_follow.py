from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from acme_manager.client.follow import Pace, Sight, follow
from acme_manager.client.manager import Event, ManagerRefused, ManagerUnavailable
from acme_manager.domain.certificate import Certificate
from acme_manager.domain.digest import digest_of

OLD, NEW = ([Certificate(owner="alice", issuer="le", domain="a.example", fingerprint=one)] for one in ("old", "new"))


@attrs.define
class Scene:
    """A server that answers as it is told, and an agent that looks when it is woken."""

    answers: list[Any]  # events, or errors to raise
    seen: list[list[Certificate]]  # what the agent sees at each look; the last is seen for ever
    asked: list[tuple[float, str]] = attrs.field(factory=list)
    woken: list[float] = attrs.field(factory=list)
    sight: Sight = attrs.field(factory=Sight)

    async def ask(self, known: str, wait: float) -> Event:
        self.asked.append((trio.current_time() - self.began, known))
        if not self.answers:
            await trio.sleep_forever()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        await trio.sleep(0 if answer.changed else wait)
        assert isinstance(answer, Event)
        return answer

    def wake(self) -> None:
        self.woken.append(trio.current_time() - self.began)
        self.sight.note(self.seen.pop(0) if len(self.seen) > 1 else self.seen[0])

    began: float = attrs.field(factory=trio.current_time)

    async def play(self, seconds: float, wake: Callable[[], None] | None = None) -> None:
        with trio.move_on_after(seconds):
            await follow(self.ask, self.sight, wake or self.wake)


def told(certificates: list[Certificate], *, changed: bool = True) -> Event:
    return Event(digest_of(certificates), changed)


async def test_a_change_wakes_the_agent_at_once_and_what_it_saw_is_known_from_then_on(
    autojump_clock: MockClock,
) -> None:
    scene = Scene([told(OLD, changed=False), told(NEW)], [NEW])
    scene.sight.note(OLD)
    await scene.play(100)
    assert [known for _, known in scene.asked] == [digest_of(OLD), digest_of(OLD), digest_of(NEW)]
    (at,) = scene.woken
    assert 50 <= at <= 50.5  # after one wait in vain


async def test_a_node_that_lags_is_looked_at_again_until_it_has_the_change(autojump_clock: MockClock) -> None:
    scene = Scene([told(NEW), told(NEW), told(NEW)], [OLD, OLD, NEW])
    scene.sight.note(OLD)
    await scene.play(60)
    assert len(scene.woken) == 3
    assert scene.woken[-1] < 5
    assert scene.asked[-1][1] == digest_of(NEW)


async def test_a_server_that_reckons_otherwise_wakes_the_agent_less_and_less_often(autojump_clock: MockClock) -> None:
    scene = Scene([Event("of another version", True)] * 10_000, [OLD])
    await scene.play(3600)
    assert len(scene.woken) < 150
    assert scene.woken[-1] - scene.woken[-2] >= 30


async def test_an_agent_that_looked_by_itself_is_not_woken(autojump_clock: MockClock) -> None:
    scene = Scene([told(NEW)], [NEW])

    async def looks() -> None:
        scene.sight.note(NEW)

    scene.sight.note(OLD)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(looks)
        await scene.play(30)
    assert scene.woken == []


async def test_an_agent_that_waits_for_a_ca_is_left_alone_meanwhile(autojump_clock: MockClock) -> None:
    scene = Scene([told(NEW)] * 5, [NEW])
    scene.sight.note(OLD)
    woken: list[float] = []
    await scene.play(299, lambda: woken.append(trio.current_time()))
    assert len(woken) == 1


async def test_a_server_without_events_is_asked_again_after_an_hour_and_nothing_is_said(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = Scene([ManagerRefused("404 page not found", 404)] * 2, [OLD])
    await scene.play(7300)
    assert [at for at, _ in scene.asked] == pytest.approx([0, 3600, 7200])
    assert scene.woken == []


async def test_a_server_that_is_away_is_asked_less_and_less_often_and_then_followed_again(
    autojump_clock: MockClock,
) -> None:
    trouble = [ManagerUnavailable("away"), ManagerRefused("revoked", 401), OSError("no such file")] * 4
    scene = Scene([*trouble, told(NEW)], [NEW])
    scene.sight.note(OLD)
    await scene.play(1000)
    pauses = [later - earlier for (earlier, _), (later, _) in zip(scene.asked, scene.asked[1:], strict=False)]
    assert all(0.5 * min(60, 2**n) <= pause <= min(60, 2**n) for n, pause in enumerate(pauses[:12]))
    assert len(scene.woken) == 1


async def test_a_node_that_ends_the_wait_early_is_not_asked_in_a_hurry(autojump_clock: MockClock) -> None:
    asked: list[float] = []

    async def ask(_known: str, _wait: float) -> Event:
        asked.append(trio.current_time())
        return Event("d", changed=False)

    with trio.move_on_after(10.5):
        await follow(ask, Sight(), lambda: None, Pace(least=1))
    assert len(asked) == 11
