"""Processes by their ids, on Linux."""

from __future__ import annotations

import os
from pathlib import Path

import trio


def alive(pid: int) -> bool:
    """Whether it runs; one that has ended and waits to be reaped does not."""
    try:
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False


def children(pid: int) -> list[int]:
    """Its children, whichever of its threads started them."""
    files = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in files for child in file.read_text().split()]


async def until_gone(*pids: int) -> None:
    """Wait until none of them runs."""
    with trio.fail_after(10):
        while any(map(alive, pids)):  # noqa: ASYNC110 nobody tells us
            await trio.sleep(0.02)
