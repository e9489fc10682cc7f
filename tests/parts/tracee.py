"""A function in a process of its own that stops at every system call, so that a test can kill it at any of them."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_TRACEME, _SYSCALL, _SETOPTIONS = 0, 24, 0x4200  # requests of ptrace(2)
_SYSGOOD, _EXITKILL = 0x1, 0x100000  # system calls stop as SIGTRAP | 0x80; the tracee dies with us
_STOPPED = signal.SIGTRAP | 0x80

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


class Tracee:
    """Stands still between two calls of `step`."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.status: int | None = None  # its exit code

    def step(self) -> bool:
        """Go on to where the next system call begins or ends; false when it has come to its end."""
        _ptrace(_SYSCALL, self._pid)
        _, status = os.waitpid(self._pid, 0)
        if os.WIFSTOPPED(status):
            assert os.WSTOPSIG(status) == _STOPPED, f"stopped by {signal.Signals(os.WSTOPSIG(status)).name}"
            return True
        self.status = os.waitstatus_to_exitcode(status)
        return False

    def kill(self) -> None:
        """Kill -9, where it stands."""
        if self.status is None:
            os.kill(self._pid, signal.SIGKILL)
            _, status = os.waitpid(self._pid, 0)
            self.status = os.waitstatus_to_exitcode(status)


@contextmanager
def tracee(work: Callable[[], object]) -> Iterator[Tracee]:
    """Run `work` in a copy of this process; it is killed at the end of the block, if it has not ended."""
    pid = os.fork()
    if pid == 0:
        _be_traced(work)
    one = Tracee(pid)
    try:
        _, status = os.waitpid(pid, 0)
        assert os.WIFSTOPPED(status), f"it can't be traced: {os.waitstatus_to_exitcode(status)}"
        _ptrace(_SETOPTIONS, pid, _SYSGOOD | _EXITKILL)
        yield one
    finally:
        one.kill()


def _be_traced(work: Callable[[], object]) -> None:
    """Never returns."""
    code = 1
    try:
        gc.disable()
        _ptrace(_TRACEME, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        work()
        code = 0
    finally:
        os._exit(code)


def _ptrace(request: int, pid: int, data: int = 0) -> None:
    if _libc.ptrace(request, pid, None, data) == -1:
        raise OSError(ctypes.get_errno(), f"ptrace: {os.strerror(ctypes.get_errno())}")
