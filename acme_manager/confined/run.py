"""Run a foreign program with a session, a working folder, an environment, descriptors and resource limits of its own.

Linux only, like the rest of the server: it needs /proc, and `prlimit` of util-linux.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import attrs
import structlog
import trio

from acme_manager.confined import strays
from acme_manager.confined.program import Program, ProgramRefused, checked_copy
from acme_manager.errors import AcmeManagerError
from acme_manager.structure import lone_error

_log = structlog.get_logger(__name__)

STDERR_KEPT = 8192  # bytes, the last ones
_PIPE_PATIENCE = 1.0  # seconds for the pipes to close once everything that could hold them is dead
_TIDY_SECONDS = 10.0
# While a copy is open for writing no program may be started: it would inherit the descriptor for an instant, and the
# kernel refuses to execute a file that somebody has open for writing (ETXTBSY).
_starting = trio.Lock()
_files = trio.CapacityLimiter(4)


class OutputTooLarge(AcmeManagerError):
    """The program wrote more than we are willing to hold, and was ended."""


@attrs.frozen
class Completed:
    """How it ended. `returncode` is negative for the signal that ended it; `stderr` is the end of what it wrote."""

    returncode: int
    stdout: bytes = attrs.field(repr=False)
    stderr: bytes = attrs.field(repr=False)


def trouble() -> str:
    """Why this host can run no program in this way; empty where it can."""
    if shutil.which("prlimit") is None:
        return "the program prlimit is missing, which plugins are run with; it is in the package util-linux"
    return strays.trouble()


async def run_confined(
    program: Program,
    arguments: Sequence[str],
    *,
    env: Mapping[str, str],
    stdin: bytes = b"",
    output_limit: int = 1 << 20,
    grace: float = 2.0,
) -> Completed:
    """Run it to its end. Bound the time with a cancel scope around the call; ending it may take `grace` seconds more.

    `env` is all that it sees, save `PATH` and `LANG`. Raises ProgramRefused, and OutputTooLarge for a stdout above
    `output_limit` bytes. Of stderr the last STDERR_KEPT bytes are kept.
    """
    mark = strays.new_mark()
    with lone_error():
        async with _own_folder() as folder, _nothing_left(mark, program), trio.open_nursery() as nursery:
            async with _starting:
                copy, work = await trio.to_thread.run_sync(checked_copy, program, folder, limiter=_files)
                command = [
                    _prlimit(),
                    *_limit_options(program, mark),
                    "--",
                    *program.interpreter,
                    str(copy),
                    *arguments,
                ]
                process = await _start(nursery, program, command, stdin, env, work, grace)
            output = _Output(process, program, output_limit)
            nursery.start_soon(output.drain)
            returncode = await process.wait()
            _signal_group(process, signal.SIGKILL)
            await strays.end_strays(mark)
            with trio.move_on_after(_PIPE_PATIENCE):
                await output.drained.wait()
            nursery.cancel_scope.cancel(reason="the program has ended")
    return Completed(returncode, bytes(output.stdout), bytes(output.stderr))


@asynccontextmanager
async def _nothing_left(mark: int, program: Program) -> AsyncIterator[None]:
    try:
        yield
    finally:
        with trio.move_on_after(_TIDY_SECONDS, shield=True):
            left = await strays.end_strays(mark)
            if left:
                _log.error("processes of a program left behind", program=str(program.path), pids=left)


@asynccontextmanager
async def _own_folder() -> AsyncIterator[Path]:
    """A folder that only we can change, for the copy and the program's working folder."""
    folder = Path(await trio.to_thread.run_sync(partial(tempfile.mkdtemp, prefix="acme-manager-run-"), limiter=_files))
    try:
        yield folder
    finally:
        with trio.CancelScope(shield=True):  # bounded: nothing is left that could go on writing
            await trio.to_thread.run_sync(_remove, folder, limiter=_files)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        return
    for inner, names, _ in os.walk(folder):  # folders that the program has closed to itself, and so to us
        for name in names:
            with suppress(OSError):
                Path(inner, name).chmod(0o700, follow_symlinks=False)
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        _log.error("folder of a program left behind", folder=str(folder))


def _prlimit() -> str:
    found = shutil.which("prlimit")
    if found is None:
        raise ProgramRefused(trouble())
    return found


def _limit_options(program: Program, mark: int) -> list[str]:
    # A core file would hold the secrets of the environment.
    limits = {"core": 0, **program.limits, "msgqueue": mark}
    return [f"--{name}={value}:{value}" for name, value in limits.items()]


async def _start(
    nursery: trio.Nursery,
    program: Program,
    command: Sequence[str],
    stdin: bytes,
    env: Mapping[str, str],
    work: Path,
    grace: float,
) -> trio.Process:
    strays.become_subreaper()

    async def stop(process: trio.Process) -> None:
        _signal_group(process, signal.SIGTERM)
        await trio.sleep(grace)
        _signal_group(process, signal.SIGKILL)

    try:
        process: trio.Process = await nursery.start(
            partial(
                trio.run_process,
                list(command),
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                check=False,
                cwd=work,
                env={"PATH": os.environ.get("PATH", os.defpath), "LANG": os.environ.get("LANG", "C.UTF-8"), **env},
                start_new_session=True,
                umask=0o077,
                deliver_cancel=stop,
                **_identity(program),
            )
        )
    except (OSError, ValueError) as error:
        as_user = f" as user '{program.user}', which takes a server that runs as root" if program.user else ""
        raise ProgramRefused(f"{program.path} can't be run{as_user}: {error}") from error
    return process


def _identity(program: Program) -> dict[str, object]:
    """Who it runs as: all of that user's groups and none of ours."""
    account = program.account()
    if account is None:
        return {}
    groups = os.getgrouplist(account.pw_name, account.pw_gid)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": groups}


class _Output:
    """Reads what a program writes, for as long as anybody holds the other ends."""

    def __init__(self, process: trio.Process, program: Program, most: int) -> None:
        self.stdout, self.stderr, self.drained = bytearray(), bytearray(), trio.Event()
        self._process, self._program, self._most = process, program, most

    async def drain(self) -> None:
        """Read both until they are closed. Raises OutputTooLarge."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        async with self._process.stdout, self._process.stderr, trio.open_nursery() as nursery:
            nursery.start_soon(self._read_all, self._process.stdout)
            nursery.start_soon(self._read_end, self._process.stderr)
        self.drained.set()

    async def _read_all(self, pipe: trio.abc.ReceiveStream) -> None:
        async for chunk in pipe:
            self.stdout.extend(chunk)
            if len(self.stdout) > self._most:
                raise OutputTooLarge(f"{self._program.path} wrote more than {self._most} bytes to its standard output")

    async def _read_end(self, pipe: trio.abc.ReceiveStream) -> None:
        async for chunk in pipe:
            self.stderr.extend(chunk)
            del self.stderr[:-STDERR_KEPT]


def _signal_group(process: trio.Process, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # the latter: all that is left of it is a zombie
        os.killpg(process.pid, number)
