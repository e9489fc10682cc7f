from __future__ import annotations

import trio
from trio.testing import MockClock

from acme_manager.dns.memo import Memo


async def test_entries_end_with_their_time(autojump_clock: MockClock) -> None:
    memo = Memo[str](10, 5)
    memo.put("a", "1")
    await trio.sleep(9.9)
    assert memo.get("a") == "1"
    await trio.sleep(0.2)
    assert memo.get("a") is None


async def test_the_oldest_go_when_it_is_full_and_a_renewed_entry_is_not_old(
    autojump_clock: MockClock,
) -> None:
    memo = Memo[str](10, 2)
    memo.put("a", "1")
    memo.put("b", "2")
    await trio.sleep(9)
    memo.put("a", "3")
    memo.put("c", "4")
    await trio.sleep(9)
    assert (memo.get("a"), memo.get("b"), memo.get("c")) == ("3", None, "4")


async def test_an_entry_that_was_wrong_can_be_forgotten(autojump_clock: MockClock) -> None:
    memo = Memo[str](10, 5)
    memo.put("a", "1")
    memo.put("b", "2")
    await trio.sleep(1)
    memo.forget("a")
    memo.forget("never known")
    assert (memo.get("a"), memo.get("b")) == (None, "2")
