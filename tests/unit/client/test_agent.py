"""The service: what wakes it, how long it waits, how it ends."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from functools import partial

import httpx
import pytest
import trio

from acme_manager.client.agent import Agent
from acme_manager.client.flags import ClientFlags
from acme_manager.client.listener import serve_metrics
from acme_manager.client.run import OK
from tests.parts.program import free_port
from tests.unit.client.world import Host, host

__all__ = ["host"]

WWW = {"domain": "www.example.com", "issuer": "ca"}


def agent_of(host: Host, **flags: object) -> Agent:
    runner = host.runner(**flags)
    return Agent(runner=runner, flags=runner.flags)


async def signals(*numbers: int) -> AsyncIterator[int]:
    for number in numbers:
        await trio.lowlevel.checkpoint()
        yield number


@pytest.mark.parametrize(
    ("failures", "longest"), [(0, 300.0), (1, 5.0), (2, 10.0), (4, 40.0), (9, 300.0), (1000, 300.0)]
)
def test_after_failures_it_comes_again_sooner_and_by_chance(host: Host, failures: int, longest: float) -> None:
    agent = agent_of(host)
    pauses = {agent.pause(failures) for _ in range(50)}
    assert all(longest / 2 <= one <= longest for one in pauses)
    assert (len(pauses) == 1) == (failures == 0)


async def until_a_run_was_good(host: Host) -> None:
    with trio.fail_after(20):
        while not host.counted("client_last_run_timestamp_seconds"):  # noqa: ASYNC110 a metric has no event
            await trio.sleep(0.01)


async def test_a_signal_makes_a_run_and_another_ends_it(host: Host) -> None:
    host.configure()
    agent = agent_of(host)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(agent.make_runs)  # ends by itself once it is told to
            await until_a_run_was_good(host)
            host.configure(WWW)
            await agent.obey(signals(signal.SIGUSR1))
            while not host.server.kept:  # noqa: ASYNC110 the server has none
                await trio.sleep(0.01)
            await agent.obey(signals(signal.SIGTERM))
    assert host.server.calls == ["create"]


async def test_a_changed_configuration_rings(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acme_manager.client.agent._LOOK", 0.01)
    host.configure()
    agent = agent_of(host)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(agent.watch_configuration)
            number = 0
            while not agent.bell.rings:  # the first look may come after a change
                number += 1
                host.configure({**WWW, "labels": f"n={number}"})
                await trio.sleep(0.05)
            nursery.cancel_scope.cancel()


async def test_a_wrong_configuration_changes_nothing_but_a_metric(host: Host) -> None:
    host.configure(WWW)
    assert (await host.run()).code == OK
    (host.folder / "client-config.yml").write_text("common: 1")
    agent = agent_of(host, check_config_interval=0.001)
    with trio.move_on_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(agent.make_runs)
            while not host.counted("certificate_config_error"):  # noqa: ASYNC110 a metric has no event
                await trio.sleep(0.01)
            agent.stopping.set()
    assert host.counted("certificate_config_error") == 1
    assert (host.certificates / "ca/www.example.com.crt").exists()


async def test_an_address_that_is_taken_does_not_end_it(host: Host) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    flags = ClientFlags(listen_address=f"127.0.0.1:{port}")
    with trio.fail_after(10):
        await serve_metrics(flags, host.registry, trio.Event())
    await listeners[0].aclose()


async def test_metrics_are_all_that_it_serves(host: Host) -> None:
    port, stopping = free_port(), trio.Event()
    flags = ClientFlags(listen_address=f"127.0.0.1:{port}")
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(serve_metrics, flags, host.registry, stopping))
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", verify=False, trust_env=False) as client:
                while True:
                    try:
                        answer = await client.get("/metrics")
                        break
                    except httpx.TransportError:
                        await trio.sleep(0.01)
                assert "acme_manager_client_role" in answer.text
                assert (await client.get("/")).status_code == 404
            stopping.set()
