"""Answers as files below the document root of a web server on this host, or on storage that it shares with us."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs
import trio

from acme_manager.errors import ChallengeFailed
from acme_manager.http01.store import WELL_KNOWN

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_MODE, _FOLDER_MODE = 0o644, 0o755  # whatever our umask is: the web server runs as somebody else
_THREADS = trio.CapacityLimiter(4)  # a network file system may hang: it is left behind then, and no other part waits


@attrs.frozen
class Webroot:
    """Files in every one of these document roots."""

    roots: tuple[Path, ...]

    @classmethod
    def at(cls, place: Mapping[str, str]) -> Webroot:
        """The store that `place` describes. Raises ChallengeFailed."""
        roots = tuple(map(Path, place.get("roots", "").split("\n")))
        if not all(root.is_absolute() for root in roots):
            raise ChallengeFailed("a stored trace of a webroot names no absolute path")
        return cls(roots)

    def place(self) -> Mapping[str, str]:
        """See Store."""
        return {"roots": "\n".join(map(str, self.roots))}

    async def put(self, token: str, answer: str) -> None:
        """See Store. All roots must take it: the CA may ask the server of any of them."""
        await self._each(lambda root: _write(root, token, answer.encode()))

    async def remove(self, token: str) -> None:
        """See Store. The folders stay, as somebody may have set them up."""
        await self._each(lambda root: _remove(root, token))

    async def _each(self, do: Callable[[Path], None]) -> None:
        failures = []
        for root in self.roots:
            try:
                await trio.to_thread.run_sync(do, root, limiter=_THREADS, abandon_on_cancel=True)
            except OSError as error:
                failures.append(f"{root}: {error.strerror}")
        if failures:
            raise ChallengeFailed(
                f"webroot {'; '.join(failures)}: {WELL_KNOWN} below it must be folders, no symbolic links, that this "
                "server's user can write into"
            )


def _write(root: Path, token: str, answer: bytes) -> None:
    with _challenges(root, make=True) as folder:
        new = f".{token}.{os.urandom(4).hex()}"
        file = os.open(new, _NEW_FILE, _FILE_MODE, dir_fd=folder)
        try:
            with os.fdopen(file, "wb") as stream:
                os.fchmod(file, _FILE_MODE)
                stream.write(answer)
            os.rename(new, token, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            os.unlink(new, dir_fd=folder)
            raise


def _remove(root: Path, token: str) -> None:
    with suppress(FileNotFoundError), _challenges(root, make=False) as folder:
        os.unlink(token, dir_fd=folder)


@contextmanager
def _challenges(root: Path, *, make: bool) -> Iterator[int]:
    """The folder of answers, as a descriptor.

    Below the root no symbolic link is followed: whoever may write there could point it at any folder of ours.
    """
    folder = os.open(root, _FOLDER)
    try:
        for part in WELL_KNOWN.split("/"):
            if make:
                _make(part, folder)
            inner = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def _make(name: str, parent: int) -> None:
    with suppress(FileExistsError):
        os.mkdir(name, _FOLDER_MODE, dir_fd=parent)
        os.chmod(name, _FOLDER_MODE, dir_fd=parent)
