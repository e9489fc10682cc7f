"""What `/ready` says of parts that work, fail, or never answer."""

from __future__ import annotations

import trio
import trio.testing

from acme_manager.services.health import in_time


async def test_a_part_that_never_answers_is_reported_as_such_and_holds_nobody_up(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def never() -> str | None:
        await trio.sleep_forever()
        raise AssertionError

    async def wrong() -> str | None:
        await trio.sleep(2.9)
        return "sealed"

    with trio.fail_after(3.5):
        assert await in_time(never) == "it does not answer within 3 s"
    assert await in_time(wrong) == "sealed"
