"""`acme-manager-server -dev` as a person runs it: a process, its output, the curl lines it prints, its end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from acme_manager.ports import Step
from tests.integration.dev.processes import children, until_gone

SERVER = Path(sys.executable).with_name("acme-manager-server")
READY = "Ctrl-C stops the server."


class DevServer:
    """A running one, with all that it has said so far."""

    def __init__(self, process: trio.Process) -> None:
        self.process, self.said = process, ""

    async def listen(self, *, until: str = "") -> None:
        """Take in what it says until it has said that, or until it has ended."""
        assert self.process.stdout is not None
        with trio.fail_after(30):
            while not until or until not in self.said:
                chunk = await self.process.stdout.receive_some()
                if not chunk:
                    assert not until, self.said
                    return
                self.said += chunk.decode()

    @property
    def openbao(self) -> int:
        """The process id of its OpenBao."""
        [pid] = children(self.process.pid)
        return pid

    @property
    def curl_lines(self) -> list[str]:
        """What it invites people to paste."""
        return re.findall(r"^ +(curl .+)$", self.said, re.MULTILINE)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        return await self.ended()

    async def ended(self) -> int:
        """Wait for the end and return its status."""
        await self.listen()
        with trio.fail_after(30):
            return await self.process.wait()


@asynccontextmanager
async def dev_server(tmp: Path, *options: str) -> AsyncIterator[DevServer]:
    """Temporary folders go to `tmp`; the environment is one that would lead a careless server astray."""
    await trio.Path(tmp).mkdir(exist_ok=True)
    astray = {"HTTP_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "VAULT_NAMESPACE": "elsewhere"}
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp), "TMPDIR": str(tmp)} | astray
    command = [str(SERVER), "-dev", *options]
    run = partial(
        trio.run_process, command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environ, cwd=tmp, check=False
    )
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(run)
        yield DevServer(process)
        if process.returncode is None:
            process.kill()


async def paste(line: str) -> dict[str, object]:
    done = await trio.run_process(["bash", "-c", line], capture_stdout=True, env={"PATH": os.environ["PATH"]})
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def left_in(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir()]


async def test_a_first_certificate_comes_about_and_the_printed_lines_work(tmp_path: Path) -> None:
    async with dev_server(tmp_path / "tmp") as server:
        await server.listen(until=READY)
        for name in ("HTTP_PROXY", "VAULT_NAMESPACE"):
            assert name not in server.said
        steps = re.findall(r"^demo\.example\.test: (.+?) [0-9.]+ s$", server.said, re.MULTILINE)
        assert steps == [step.value for step in Step if step is not Step.REVOKED]
        assert "names    demo.example.test" in server.said
        assert "issuer   ACME Manager development root" in server.said
        issue, read = server.curl_lines
        issued = await paste(issue)
        assert issued["domain"] == "www.example.test"
        assert (await paste(read))["cert"] == issued["cert"]
        openbao = server.openbao
        assert await server.stop() == 0
    await until_gone(openbao)
    assert left_in(tmp_path / "tmp") == []


async def test_kept_data_keeps_token_certificate_and_addresses(tmp_path: Path) -> None:
    options = ["-dev.data", str(tmp_path / "data")]
    async with dev_server(tmp_path / "tmp", *options) as first:
        await first.listen(until=READY)
        issued = await paste(first.curl_lines[0])
        assert await first.stop() == 0
    async with dev_server(tmp_path / "tmp", *options, "-dev.first-certificate=") as second:
        await second.listen(until=READY)
        assert (await paste(first.curl_lines[1]))["cert"] == issued["cert"]
        assert second.curl_lines == first.curl_lines
        assert "demo.example.test" not in second.said
        assert await second.stop(signal.SIGINT) == 0
    assert left_in(tmp_path / "tmp") == []


async def test_kept_data_survives_when_its_ports_are_taken(tmp_path: Path) -> None:
    options = ["-dev.data", str(tmp_path / "data")]
    async with dev_server(tmp_path / "tmp", *options) as first:
        await first.listen(until=READY)
        assert await first.stop() == 0
    ports = {int(port) for name, port in json.loads(state_of(tmp_path)).items() if name.endswith("_port")}
    async with trio.open_nursery() as nursery:
        for port in ports:
            await nursery.start(partial(trio.serve_tcp, hang_up, port, host="127.0.0.1"))
        async with dev_server(tmp_path / "tmp", *options, "-dev.first-certificate=late.example.test") as second:
            await second.listen(until=READY)
            assert "names    late.example.test" in second.said
            assert (await paste(second.curl_lines[1].replace("www.", "demo.")))["domain"] == "demo.example.test"
            assert await second.stop() == 0
        nursery.cancel_scope.cancel()


def state_of(tmp_path: Path) -> str:
    return (tmp_path / "data" / "state.json").read_text()


async def hang_up(stream: trio.SocketStream) -> None:
    await stream.aclose()


async def test_a_killed_server_leaves_no_openbao_running(tmp_path: Path) -> None:
    async with dev_server(tmp_path / "tmp", "-dev.data", str(tmp_path / "data")) as server:
        await server.listen(until=READY)
        openbao = server.openbao
        server.process.kill()
    await until_gone(openbao)


async def test_a_dead_openbao_ends_the_server_with_one_clear_line(tmp_path: Path) -> None:
    async with dev_server(tmp_path / "tmp", "-dev.first-certificate=") as server:
        await server.listen(until=READY)
        os.kill(server.openbao, signal.SIGKILL)
        assert await server.ended() == 1
        assert server.said.count("OpenBao ended by itself (killed by SIGKILL)") == 1
        assert "Traceback" not in server.said
    assert left_in(tmp_path / "tmp") == []


async def test_a_signal_during_the_start_cleans_up_too(tmp_path: Path) -> None:
    async with dev_server(tmp_path / "tmp") as server:
        with trio.fail_after(20):
            while not list((tmp_path / "tmp").glob("*/openbao.json")):  # noqa: ASYNC110 nobody tells us
                await trio.sleep(0.005)
        assert await server.stop() == 0
    assert left_in(tmp_path / "tmp") == []


@pytest.mark.parametrize("name", ["not..a.name", "*.*.example.test"])
async def test_a_first_certificate_that_can_not_be_had_is_no_reason_to_stop(tmp_path: Path, name: str) -> None:
    async with dev_server(tmp_path / "tmp", f"-dev.first-certificate={name}") as server:
        await server.listen(until=READY)
        assert "No first certificate: POST /api/v1/certificate answers 400" in server.said
        assert (await paste(server.curl_lines[0]))["domain"] == "www.example.test"
        assert await server.stop() == 0
