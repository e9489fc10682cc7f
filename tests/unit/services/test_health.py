"""What `/ready` says of parts that work, fail, or never answer."""

from __future__ import annotations

import trio
import trio.testing

from acme_manager.services.health import Findings, Health, in_time


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


async def _fine() -> str | None:
    return None


async def test_a_look_is_kept_for_pages_and_says_whether_it_is_news() -> None:
    wrong: list[str | None] = [None, "sealed", "sealed"]

    async def storage() -> Findings:
        return {"storage": wrong.pop(0)}

    health = Health({"state": _fine}, [storage])
    assert health.latest == {}
    assert [await health.look() for _ in range(3)] == [True, True, False]
    assert health.latest == {"state": None, "storage": "sealed"}
