"""serf: another implementation of memberlist's protocol (HashiCorp's own), as an agent and its command line."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio

from tests.parts.program import LOOPBACK, Address, Program, free_ports, new_folder, on_free_ports

_LOOK = 0.05  # seconds between two looks at what an agent says


@attrs.frozen(kw_only=True)
class Serf:
    """A running agent."""

    name: str
    address: Address
    rpc: Address
    program: Program

    async def members(self) -> dict[str, str]:
        """Its members with their status: alive, leaving, left, failed. A suspect is alive."""
        answer = json.loads(await self._command("members", "-format=json"))
        return {member["name"]: member["status"] for member in answer["members"]}

    async def join(self, address: Address) -> None:
        """Join a member at an address."""
        await self._command("join", "{}:{}".format(*address))

    async def leave(self) -> None:
        """Leave gracefully; the agent ends."""
        await self._command("leave")

    async def shows(self, name: str, status: str | None, within: float) -> None:
        """Wait until it shows a member so; None: not at all. Raises trio.TooSlowError."""
        with trio.fail_after(within):
            while (await self.members()).get(name) != status:  # noqa: ASYNC110 another program's status
                await trio.sleep(_LOOK)

    async def _command(self, command: str, *arguments: str) -> str:
        argv = ["serf", command, "-rpc-addr={}:{}".format(*self.rpc), *arguments]
        return (await trio.run_process(argv, capture_stdout=True, stderr=subprocess.STDOUT)).stdout.decode()


@asynccontextmanager
async def serf(folder: Path, name: str, *, key: str = "", join: Sequence[Address] = ()) -> AsyncIterator[Serf]:
    """Start an agent with memberlist's timing for a LAN. `key` is base64 of 32 bytes; empty: no encryption."""

    async def attempt() -> Serf:
        where = new_folder(folder, name)
        port, rpc = free_ports(2)
        config = {
            "node_name": name,
            "bind": f"{LOOPBACK}:{port}",
            "rpc_addr": f"{LOOPBACK}:{rpc}",
            "profile": "lan",
            "start_join": ["{}:{}".format(*address) for address in join],
            **({"encrypt_key": key} if key else {}),
        }
        (where / "serf.json").write_text(json.dumps(config))
        program = Program(
            argv=("serf", "agent", "-config-file", str(where / "serf.json")), folder=where, package="serf"
        )
        program.start()

        async def answers() -> None:
            (await trio.open_tcp_stream(LOOPBACK, rpc)).socket.close()

        await program.ready(answers)
        return Serf(name=name, address=(LOOPBACK, port), rpc=(LOOPBACK, rpc), program=program)

    agent = await on_free_ports(attempt)
    try:
        yield agent
    finally:
        agent.program.kill()
