"""How often others are told that there is news."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from acme_manager.ring.announcements import Announcements


class Told:
    """What was announced, and when."""

    def __init__(self) -> None:
        self.at: list[tuple[float, bool]] = []

    def __call__(self, *, passed_on: bool) -> None:
        self.at.append((round(trio.current_time(), 3), passed_on))


async def test_news_is_announced_at_once_and_twice_again(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    told = Told()
    announcements = Announcements(told)
    nursery.start_soon(announcements.run)
    await trio.sleep(1)
    announcements.soon(own=True)
    announcements.soon(own=False)
    await trio.sleep(10)
    assert told.at == [(1.0, False), (1.2, False), (1.4, False)]
    announcements.soon(own=False)
    await trio.sleep(0.05)
    assert told.at[3:] == [(11.0, True)]


async def test_while_news_pours_in_announcements_get_rarer_and_then_quick_again(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    told = Told()
    announcements = Announcements(told)
    nursery.start_soon(announcements.run)
    for _ in range(500):
        announcements.soon(own=True)
        await trio.sleep(0.01)
    assert [at for at, _ in told.at] == [0.0, 0.2, 0.6, 1.4, 2.4, 3.4, 4.4]
    await trio.sleep(10)
    told.at.clear()
    announcements.soon(own=True)
    await trio.sleep(0.3)
    assert len(told.at) == 2
