"""Run a program that ends when its starter does, even when the starter is killed.

`python -I -S tether.py FD PROGRAM ARGUMENT…`, where FD is the reading end of a pipe whose other end the starter alone
holds open. The program takes over this process, so its id and its exit status are those the starter sees; a child
stays behind and watches the pipe. (PR_SET_PDEATHSIG is bound to the *thread* that started the process, which with Trio
is a short-lived worker, and exists on Linux only.)

A program of its own: it imports nothing of ours, so that it starts in a few milliseconds.
"""

from __future__ import annotations

import os
import signal
import sys
import time

_PATIENCE = 5.0  # seconds between asking the program to end and making it end
_LOOK = 0.05


def main(lifeline: int, program: list[str]) -> None:
    """Become the program, and leave a watcher."""
    us = os.getpid()
    if os.fork() == 0:
        _watch(lifeline, us)
        os._exit(0)
    os.close(lifeline)
    os.execv(program[0], program)  # noqa: S606 this is the point


def _watch(lifeline: int, program: int) -> None:
    os.read(lifeline, 1)  # nothing is ever written: it returns when the starter is gone or has let go
    for number in (signal.SIGTERM, signal.SIGKILL):
        # Once the program has ended we have another parent, and its id may belong to somebody else.
        if os.getppid() == program:
            os.kill(program, number)
        until = time.monotonic() + _PATIENCE
        while os.getppid() == program and time.monotonic() < until:
            time.sleep(_LOOK)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
