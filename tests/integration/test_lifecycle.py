"""How a node starts and stops, as systemd and a person at a terminal see it."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import httpx
import pytest
import trio

from tests.integration.site import eventually, nothing_left, open_site
from tests.parts.faults import Hold
from tests.parts.node import Node
from tests.parts.program import LOOPBACK, Program, new_folder

WISH = {"issuer": "pebble", "domain": "www.example.test"}


async def test_sigterm_answers_what_is_in_flight_and_exits_0(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site, site.node.client() as client:
        hold = Hold()
        site.to_ca.plan(hold, on="POST /finalize-order/")
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                created = await client.post("/api/v1/certificate", json=WISH)
                assert created.status_code == 201, created.text

            nursery.start_soon(ask)
            await hold.reached.wait()
            site.node.program.send(signal.SIGTERM)
            await eventually(lambda: refuses_connections(site.node))
            assert site.node.program.alive
            hold.release.set()
        await eventually(lambda: has_ended(site.node.program))
        assert site.node.program.returncode == 0
        await nothing_left(site, "www.example.test")


async def test_a_second_signal_exits_at_once(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        hold = Hold()
        site.to_ca.plan(hold, on="POST /finalize-order/")
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                async with site.node.client() as client:
                    with pytest.raises(httpx.TransportError):
                        await client.post("/api/v1/certificate", json=WISH)

            nursery.start_soon(ask)
            await hold.reached.wait()
            site.node.program.send(signal.SIGTERM)
            await eventually(lambda: refuses_connections(site.node))
            site.node.program.send(signal.SIGTERM)
            await eventually(lambda: has_ended(site.node.program), within=5)
        assert site.node.program.returncode == 128 + signal.SIGTERM
        hold.release.set()


async def test_an_idle_node_stops_at_once(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site, site.node.client() as client:
        assert (await client.get("/health")).text == "Server is healthy"  # and keeps the connection
        began = trio.current_time()
        await site.node.program.stop(within=20)
        assert site.node.program.returncode == 0
        assert trio.current_time() - began < 3


@pytest.mark.parametrize(
    ("taken", "free", "named"),
    [
        ("-ring.instance-port={}", "-server.listen-address=127.0.0.1:0", "-ring.instance-port"),
        ("-server.listen-address=127.0.0.1:{}", "-ring.instance-port=0", "-server.listen-address"),
    ],
)
async def test_a_port_that_is_taken_ends_the_start_with_one_clear_line(
    tmp_path: Path, taken: str, free: str, named: str
) -> None:
    async with open_site(tmp_path) as site:
        first = site.node.program
        with socket.create_server((LOOPBACK, 0)) as other:
            flag = taken.format(other.getsockname()[1])
            second = Program(
                argv=(*first.argv, flag, free), folder=new_folder(tmp_path, "second"), package="", env=first.env
            )
            for name in ("config.yml", ".env"):
                (second.folder / name).write_text((site.node.folder / name).read_text())
            second.start()
            await eventually(lambda: has_ended(second))
        assert second.returncode == 1
        errors = [line for line in second.log().splitlines() if "level=error" in line]
        assert len(errors) == 1
        assert named in errors[0]
        assert "Traceback" not in second.log()


async def test_a_node_that_starts_before_its_store_serves_when_it_comes(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        await site.node.program.stop()
        await site.bao.stop()
        await site.node.start(ready=False)
        async with site.node.client() as client:
            assert (await client.get("/api/v1/certificate/metadata")).status_code == 503
            assert (await client.get("/ready")).status_code == 503
            await site.bao.start()

            async def serves() -> bool:
                return (await client.get("/api/v1/certificate/metadata")).status_code == 200

            await eventually(serves)


async def refuses_connections(node: Node) -> bool:
    try:
        async with httpx.AsyncClient(base_url=node.url, verify=False, trust_env=False) as client:
            await client.get("/health")
    except httpx.ConnectError:
        return True
    return False


async def has_ended(program: Program) -> bool:
    await trio.lowlevel.checkpoint()
    return not program.alive
