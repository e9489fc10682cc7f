"""A new key, from before its certificate is asked for until it is installed.

Whatever ends the agent in between, the key of a certificate that was issued is never lost: the next run finds it here.
It blocks: call it in a thread.
"""

from __future__ import annotations

import os
from pathlib import Path

from acme_manager.client.install import InstallRefused
from acme_manager.client.layout import Paths


def read_pending(paths: Paths) -> str:
    """The key in PEM; empty when there is none."""
    try:
        return _file(paths).read_text()
    except OSError:
        return ""


def write_pending(paths: Paths, key: str, *, folder_mode: int) -> None:
    """Keep a key, on disk for sure when this returns. Raises InstallRefused."""
    file = _file(paths)
    try:
        paths.versions.mkdir(parents=True, exist_ok=True, mode=folder_mode)
        write_whole(file, key)
    except OSError as error:
        raise InstallRefused(f"{error.filename or file}: {error.strerror}") from error


def drop_pending(paths: Paths) -> None:
    """The key is installed, or no longer wanted."""
    _file(paths).unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Replace a file of ours, readable by nobody else, by one rename. Raises OSError."""
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _file(paths: Paths) -> Path:
    return paths.versions / "pending.key"
