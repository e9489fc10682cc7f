"""Find and end what a program left behind, be it in another session and without a parent.

Every descendant of a run inherits a mark: one resource limit has a value that is this run's alone. And since this
process is their subreaper, they become its children when their own parents die.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import trio

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_LIMIT = "Max msgqueue size"  # in /proc/<pid>/limits; POSIX message queues, which nothing here needs
_USUAL = 819_200  # bytes, the kernel's own value: marks are below it
_FEWEST = 256  # marks
_PATIENCE = 2.0  # seconds
_ROUNDS_AT_ONCE = 20
_PAUSE = 0.001


def _marks() -> range:
    """Values that no process has by itself. Who is not root can't have more than the limit that is there."""
    _, most = resource.getrlimit(resource.RLIMIT_MSGQUEUE)
    top = _USUAL if most == resource.RLIM_INFINITY else min(most, _USUAL)
    return range(top // 2, top)


_ALL = itertools.count()


def new_mark() -> int:
    """A value for `prlimit --msgqueue` that no other run of this time has."""
    marks = _marks()
    return marks[next(_ALL) % len(marks)]


def trouble() -> str:
    """What keeps strays from being found on this host; empty where nothing does."""
    if len(_marks()) < _FEWEST:
        return f"the limit RLIMIT_MSGQUEUE of this process must be at least {2 * _FEWEST} bytes (LimitMSGQUEUE=)"
    if not Path(f"/proc/self/task/{os.getpid()}/children").exists():
        return "/proc must be mounted, with the children of processes in it (CONFIG_PROC_CHILDREN)"
    return ""


def become_subreaper() -> None:
    """From now on orphans among our descendants are ours (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


async def end_strays(mark: int) -> list[int]:
    """Kill what has the mark. The process ids of what could not be ended in some seconds; most likely none.

    A process that dies hands its children to us, hence the rounds.
    """
    give_up, rounds = trio.current_time() + _PATIENCE, 0
    while found := [pid for pid in _children() if _has_mark(pid, mark)]:
        for pid in found:
            _end(pid)
        rounds += 1
        if rounds % _ROUNDS_AT_ONCE == 0:
            if trio.current_time() > give_up:
                return found
            await trio.sleep(_PAUSE)
    return []


def _end(pid: int) -> None:
    # Its whole group, in one step: a process that forks and dies again and again would be gone before it is hit.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(os.getpgid(pid), signal.SIGKILL)
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _children() -> Iterator[int]:
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            yield from map(int, (task / "children").read_text().split())


def _has_mark(pid: int, mark: int) -> bool:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
            if line.startswith(_LIMIT):
                return line.split()[3] == str(mark)
    return False
