"""Programs to run, and looks at what is left of them."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from acme_manager.confined.program import Program

PYTHON = "#!/usr/bin/python3"


def script(path: Path, body: str, first: str = "#!/bin/sh") -> Program:
    """An executable with this body, as a program that is checked."""
    path.write_text(f"{first}\n{body}\n")
    path.chmod(0o755)
    return Program(path=path, checksum=hashlib.sha256(path.read_bytes()).hexdigest())


@attrs.frozen
class Left:
    """What belongs to this process and could be left behind."""

    descriptors: frozenset[str]
    folders: frozenset[str]
    children: frozenset[str]

    @classmethod
    def now(cls) -> Left:
        children = [word for task in Path("/proc/self/task").iterdir() for word in _words(task / "children")]
        return cls(
            frozenset(os.listdir("/proc/self/fd")),  # noqa: PTH208 names are wanted
            frozenset(str(one) for one in Path(tempfile.gettempdir()).glob("acme-manager-run-*")),
            frozenset(children),
        )


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:  # a thread that has just ended
        return []


@contextmanager
def nothing_left() -> Iterator[None]:
    """No descriptor, no folder, no process that was not there before."""
    before = Left.now()
    yield
    after = Left.now()
    assert after.folders <= before.folders
    assert after.children <= before.children
    assert len(after.descriptors) <= len(before.descriptors)


def runs(mark: str) -> list[int]:
    """The processes that have a word in their command line or their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if mark.encode() in (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
    return found
