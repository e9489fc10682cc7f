from __future__ import annotations

from typing import Any

import httpx
import pytest
import structlog.testing
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from acme_manager.domain.certificate import Certificate
from acme_manager.domain.digest import digest_of
from acme_manager.domain.token import Scope
from tests.unit.api.served import SOON, open_server
from tests.unit.api.world import Api, open_api
from tests.unit.services.world import ALICE, wish

EVENTS = "/api/v1/events"
NOTHING = digest_of([])


def keep(api: Api, fingerprint: str, owner: str = "alice") -> Certificate:
    one = Certificate(owner=owner, issuer="test", domain="a.example", fingerprint=fingerprint, updated_at=7)
    api.world.state.certificates.put(one.id.key, one)
    return one


async def test_without_a_digest_the_answer_comes_at_once_with_what_there_is() -> None:
    async with open_api() as api:
        kept = keep(api, "f")
        keep(api, "g", owner="bob")
        with trio.fail_after(SOON):
            answer = await api.client.get(EVENTS, headers=api.token(Scope.DELETE))
        assert await answer.get_json() == {
            "digest": digest_of([kept]),
            "changed": True,
            "certificates": [
                {"issuer": "test", "domain": "a.example", "name": "", "fingerprint": "f", "updated_at": 7}
            ],
        }


async def test_the_digest_is_that_of_the_metadata_list() -> None:
    async with open_api() as api:
        await api.world.certificates.request(ALICE, wish())
        told = await (await api.client.get(EVENTS, headers=api.token())).get_json()
        assert told["digest"] == digest_of(api.world.certificates.list("alice"))


async def test_the_answer_comes_with_the_change() -> None:
    async with open_api() as api:
        answers: list[Any] = []

        async def poll() -> None:
            answer = await api.client.get(f"{EVENTS}?digest={NOTHING}&wait=300", headers=api.token())
            answers.append(await answer.get_json())

        with trio.fail_after(SOON):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(poll)
                await wait_all_tasks_blocked(0.05)
                keep(api, "g", owner="bob")
                await wait_all_tasks_blocked(0.05)
                assert answers == []
                kept = keep(api, "f")
        assert (answers[0]["digest"], answers[0]["changed"]) == (digest_of([kept]), True)


async def test_when_nothing_happens_the_wait_is_over_in_time_and_counts_as_no_time_of_ours(
    autojump_clock: MockClock,
) -> None:
    async with open_api() as api:
        began = trio.current_time()
        with structlog.testing.capture_logs() as lines:
            for wait in ("", "&wait=0", "&wait=300"):
                answer = await api.client.get(f"{EVENTS}?digest={NOTHING}{wait}", headers=api.token())
                assert await answer.get_json() == {"digest": NOTHING, "changed": False, "certificates": []}
        assert trio.current_time() - began == pytest.approx(325, abs=1)
        assert [line["log_level"] for line in lines if line.get("waited")] == ["debug"] * 2
        name = "acme_manager_http_request_duration_seconds_sum"
        took = api.served(name, method="GET", path=EVENTS)
        assert took is not None
        assert took < 1


@pytest.mark.parametrize("wait", ["-1", "301", "soon", "nan", "inf"])
async def test_a_wait_that_can_not_be_names_the_parameter(wait: str) -> None:
    async with open_api() as api:
        answer = await api.client.get(f"{EVENTS}?wait={wait}", headers=api.token())
        assert answer.status_code == 400
        assert (await answer.get_json())["complaints"] == [
            {"field": "wait", "detail": f"'wait' must be a number of seconds from 0 to 300, not '{wait}'"}
        ]


async def test_a_token_that_is_revoked_ends_the_wait() -> None:
    async with open_api() as api:
        statuses: list[int] = []
        headers = api.token()

        async def poll() -> None:
            answer = await api.client.get(f"{EVENTS}?digest={NOTHING}&wait=300", headers=headers)
            statuses.append(answer.status_code)

        with trio.fail_after(SOON):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(poll)
                await wait_all_tasks_blocked(0.05)
                for token, _ in list(api.world.state.tokens.items()):
                    api.world.state.tokens.remove(token)
        assert statuses == [401]
        assert (await api.client.get(EVENTS)).status_code == 401


async def test_a_stop_is_not_held_up_by_those_who_wait() -> None:
    async with open_server() as server, trio.open_nursery() as nursery:
        headers, answers = server.api.token(), []
        nursery.start_soon(server.api.services.changes.close_when, server.stopping)
        limits = httpx.Limits(max_connections=None)
        async with server.client(limits=limits) as client, trio.open_nursery() as polls:

            async def poll() -> None:
                answer = await client.get(f"{EVENTS}?digest={NOTHING}&wait=300", headers=headers, timeout=60)
                answers.append(answer.json()["changed"])

            for _ in range(50):
                polls.start_soon(poll)
            with trio.fail_after(SOON):
                while server.api.served("acme_manager_http_requests_in_flight") != 50:  # noqa: ASYNC110 a metric
                    await trio.sleep(0.01)
            began = trio.current_time()
            server.stopping.set()
            with trio.fail_after(SOON):
                await server.stopped.wait()
            assert trio.current_time() - began < 1  # far from the 2 s that it drains; 0.1 s on a quiet machine
        assert answers == [False] * 50
