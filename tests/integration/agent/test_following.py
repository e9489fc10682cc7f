"""The agent's view of a real API: it is woken by a change, wherever it can still ask, and tells what it has."""

from __future__ import annotations

import pytest
import trio
from quart import Response
from trio.testing import wait_all_tasks_blocked

from acme_manager.client.follow import Pace, Sight, follow
from acme_manager.client.manager import Access, ManagerRefused, ManagerUnavailable, Retries, open_manager
from acme_manager.domain.certificate import CertificateId
from acme_manager.domain.digest import digest_of
from tests.unit.api.served import SOON, Recorder, Server, open_server, serving
from tests.unit.services.world import ALICE, wish

NOBODY = "http://127.0.0.1:1/api/v1"


def access(server: Server, *before: str) -> Access:
    bearer = server.api.token()["Authorization"].removeprefix("Bearer ")
    return Access(urls=(*before, f"{server.url}/api/v1"), token=bearer)


async def test_a_change_wakes_the_agent_within_a_moment_though_a_server_is_away() -> None:
    async with open_server() as server, open_manager(access(server, NOBODY), Retries()) as manager:
        sight, woken = Sight(), trio.Event()
        await server.api.world.certificates.request(ALICE, wish())
        sight.note(await manager.certificates())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow, manager.events, sight, woken.set)
            await wait_all_tasks_blocked(0.1)
            assert not woken.is_set()
            renewed = await server.api.world.certificates.renew(CertificateId("alice", "test", "example.com"), "due")
            began = trio.current_time()
            with trio.fail_after(SOON):
                await woken.wait()
            assert trio.current_time() - began < 1  # half a second of it are the spread
            listed = await manager.certificates()
            assert digest_of(listed) == server.api.services.changes.digest("alice")
            assert [one.fingerprint for one in listed] == [renewed.certificate.fingerprint]
            nursery.cancel_scope.cancel(reason="seen")


async def test_a_host_is_shown_as_it_reports_itself() -> None:
    async with open_server() as server, open_manager(access(server, NOBODY), Retries()) as manager:
        await manager.report({"host": "web1", "certificates": [{"name": "front", "fingerprint": "f"}]})
        assert [
            host.report.host for host, _ in server.api.services.reports.of(CertificateId("alice", name="front"))
        ] == ["web1"]
        with pytest.raises(ManagerRefused, match="'host' must be a name"):
            await manager.report({"host": ""})


async def test_who_may_not_ask_or_can_ask_nobody_is_told_so() -> None:
    async with open_server() as server:
        for urls, token, expected, message in (
            ((f"{server.url}/api/v1",), "x", ManagerRefused, "invalid token format"),
            ((NOBODY, NOBODY), "x", ManagerUnavailable, "no server tells of changes: ConnectError"),
        ):
            async with open_manager(Access(urls=urls, token=token), Retries()) as manager:
                with pytest.raises(expected, match=message):
                    await manager.events("", 1)


async def test_a_server_of_the_go_original_has_no_events_and_the_agent_lets_it_be() -> None:
    async def answer() -> Response:
        return Response("404 page not found\n", 404, content_type="text/plain; charset=utf-8")

    recorder = Recorder(answer)
    async with serving(recorder.app) as server:
        async with open_manager(Access(urls=(f"{server.url}/api/v1",), token="x"), Retries()) as manager:
            with trio.move_on_after(0.3):
                await follow(manager.events, Sight(), lambda: None, Pace(first=0.01, most=0.01))
        assert len(recorder.scopes) == 1
