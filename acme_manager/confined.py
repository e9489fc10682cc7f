"""Run a foreign program so that exactly the file that was checked runs, and nothing of it outlives the call.

* The file is hashed while it is copied into a folder of the run's own, and the copy is started: whoever swaps the file
  meanwhile comes too late.
* It has a session, a working folder, an environment and descriptors of its own, and resource limits.
* On every way out its process group is killed. Descendants that left the group by `setsid` are found by a mark that
  they inherit: one resource limit has a value that is this run's alone. Since this process is their subreaper, they
  become its children when their own parents die.

Linux only, like the rest of the server: it needs /proc, and `prlimit` of util-linux.
"""

from __future__ import annotations

import ctypes
import hashlib
import itertools
import os
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import attrs
import structlog
import trio

from acme_manager.errors import AcmeManagerError
from acme_manager.structure import lone_error

_log = structlog.get_logger(__name__)

LIMITS = ("as", "core", "cpu", "data", "fsize", "memlock", "nofile", "nproc", "stack")
"""The resource limits that can be set, by the names of `prlimit` (setrlimit(2))."""

_STDERR_KEPT = 8192  # bytes, the last ones
_PIPE_PATIENCE = 1.0  # seconds for the pipes to close once everything that could hold them is dead
_ROUNDS = 100  # of killing what a program left behind
_CHUNK = 1 << 20
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_MARKS = itertools.cycle(range(300_000, 700_000))  # below the usual RLIMIT_MSGQUEUE, which nothing here needs
# While a copy is open for writing no program may be started: it would inherit the descriptor for an instant, and the
# kernel refuses to execute a file that somebody has open for writing (ETXTBSY).
_starting = trio.Lock()
_files = trio.CapacityLimiter(4)


class ProgramRefused(AcmeManagerError):
    """The program was not started: it is not the one that was checked, or it can't be executed."""


class OutputTooLarge(AcmeManagerError):
    """The program wrote more than we are willing to hold, and was ended."""


@attrs.frozen(kw_only=True)
class Program:
    """What to run, and within what bounds."""

    path: Path
    checksum: str | None = None  # SHA-256 in hex; None: whatever is there
    user: str = ""  # to run as; empty: as we do
    limits: Mapping[str, int] = attrs.field(factory=dict)  # of LIMITS, in the units of setrlimit(2)
    interpreter: tuple[str, ...] = ()  # what to start it with; empty: it starts by itself


@attrs.frozen
class Completed:
    """How it ended. `returncode` is negative for the signal that ended it; `stderr` is the end of what it wrote."""

    returncode: int
    stdout: bytes = attrs.field(repr=False)
    stderr: bytes = attrs.field(repr=False)


async def run_confined(
    program: Program,
    arguments: Sequence[str],
    *,
    env: Mapping[str, str],
    stdin: bytes = b"",
    output_limit: int = 64 * 1024,
    grace: float = 2.0,
) -> Completed:
    """Run it to its end. Bound the time with a cancel scope around the call; ending it may take `grace` seconds more.

    `env` is all that it sees, save `PATH` and `LANG`. Raises ProgramRefused, and OutputTooLarge for a stdout above
    `output_limit` bytes.
    """
    mark = next(_MARKS)
    with lone_error():
        async with _own_folder() as folder, _nothing_left(mark, program), trio.open_nursery() as nursery:
            async with _starting:
                copy = await trio.to_thread.run_sync(_checked_copy, program, folder, limiter=_files)
                command = [
                    _prlimit(),
                    *_limit_options(program, mark),
                    "--",
                    *program.interpreter,
                    str(copy),
                    *arguments,
                ]
                process = await _start(nursery, program, command, stdin, env, folder, grace)
            try:
                stdout, stderr = bytearray(), bytearray()
                drained = trio.Event()
                nursery.start_soon(_drain, process, program, stdout, stderr, output_limit, drained)
                returncode = await process.wait()
            finally:
                if process.returncode is not None:
                    _signal_group(process, signal.SIGKILL)
                    _kill_marked(mark, program)
            with trio.move_on_after(_PIPE_PATIENCE):
                await drained.wait()
            nursery.cancel_scope.cancel(reason="the program has ended")
    return Completed(returncode, bytes(stdout), bytes(stderr))


@asynccontextmanager
async def _nothing_left(mark: int, program: Program) -> AsyncIterator[None]:
    try:
        yield
    finally:
        _kill_marked(mark, program)


@asynccontextmanager
async def _own_folder() -> AsyncIterator[Path]:
    """A folder that only we can change, for the copy, with an empty one in it for the program."""
    folder = Path(await trio.to_thread.run_sync(partial(tempfile.mkdtemp, prefix="acme-manager-run-"), limiter=_files))
    try:
        yield folder
    finally:
        with trio.CancelScope(shield=True):  # bounded: nothing is left that could go on writing
            await trio.to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True), limiter=_files)


def _checked_copy(program: Program, folder: Path) -> Path:
    copy, digest = folder / program.path.name, hashlib.sha256()
    try:
        with program.path.open("rb") as source:
            mode = os.fstat(source.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise ProgramRefused(f"{program.path} is no regular file")
            if not mode & 0o111:
                raise ProgramRefused(f"{program.path} is not executable; chmod +x makes it so")
            with copy.open("xb") as target:
                while chunk := source.read(_CHUNK):
                    digest.update(chunk)
                    target.write(chunk)
        if program.checksum is not None and digest.hexdigest() != program.checksum.lower():
            raise ProgramRefused(
                f"{program.path} is not the file that was checked: its SHA-256 is {digest.hexdigest()}, "
                f"the configuration has {program.checksum.lower()}"
            )
        copy.chmod(0o555)
        folder.chmod(0o711)
        work = folder / "work"
        work.mkdir(0o700)
        if program.user:
            shutil.chown(work, program.user)
    except LookupError as error:
        raise ProgramRefused(f"there is no user '{program.user}' to run {program.path} as") from error
    except OSError as error:
        raise ProgramRefused(f"{program.path} can't be run: {error.strerror or error}") from error
    return copy


def _prlimit() -> str:
    found = shutil.which("prlimit")
    if found is None:
        raise ProgramRefused("prlimit is missing, which plugins are run with; it is in the package util-linux")
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
    folder: Path,
    grace: float,
) -> trio.Process:
    _become_subreaper()

    async def stop(process: trio.Process) -> None:
        _signal_group(process, signal.SIGTERM)
        await trio.sleep(grace)
        _signal_group(process, signal.SIGKILL)

    options: dict[str, object] = {"user": program.user, "extra_groups": []} if program.user else {}
    try:
        process: trio.Process = await nursery.start(
            partial(
                trio.run_process,
                list(command),
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                check=False,
                cwd=folder / "work",
                env={"PATH": os.environ.get("PATH", os.defpath), "LANG": os.environ.get("LANG", "C.UTF-8"), **env},
                start_new_session=True,
                deliver_cancel=stop,
                **options,
            )
        )
    except (OSError, ValueError) as error:
        raise ProgramRefused(f"{program.path} can't be run: {error}") from error
    return process


async def _drain(
    process: trio.Process,
    program: Program,
    stdout: bytearray,
    stderr: bytearray,
    output_limit: int,
    drained: trio.Event,
) -> None:
    async def keep_all(pipe: trio.abc.ReceiveStream) -> None:
        async for chunk in pipe:
            stdout.extend(chunk)
            if len(stdout) > output_limit:
                raise OutputTooLarge(f"{program.path} wrote more than {output_limit} bytes to its standard output")

    async def keep_end(pipe: trio.abc.ReceiveStream) -> None:
        async for chunk in pipe:
            stderr.extend(chunk)
            del stderr[:-_STDERR_KEPT]

    assert process.stdout is not None
    assert process.stderr is not None
    async with trio.open_nursery() as pipes:
        pipes.start_soon(keep_all, process.stdout)
        pipes.start_soon(keep_end, process.stderr)
    drained.set()


def _signal_group(process: trio.Process, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # the latter: all that is left of it is a zombie
        os.killpg(process.pid, number)


def _become_subreaper() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _kill_marked(mark: int, program: Program) -> None:
    """Kill what left the group. A process that dies hands its children to us, hence the rounds."""
    for _ in range(_ROUNDS):
        found = [pid for pid in _children() if _has_mark(pid, mark)]
        if not found:
            return
        _end(found)
    _log.error("processes of a program left behind", program=str(program.path), pids=found)


def _end(pids: Collection[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for pid in pids:
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)  # at once: it has been killed


def _children() -> Iterator[int]:
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            yield from map(int, (task / "children").read_text().split())


def _has_mark(pid: int, mark: int) -> bool:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
            if line.startswith("Max msgqueue size"):
                return line.split()[3] == str(mark)
    return False
