"""The record on disk: a file beside the certificates, that is replaced as a whole with every change."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import structlog
import trio

from acme_manager.client.layout import RECORD
from acme_manager.client.model import Common
from acme_manager.client.pending import write_whole
from acme_manager.client.record import Entry, Record, read_record, write_record

_log = structlog.get_logger(__name__)
_ASIDE = ".unreadable"


class Notebook:
    """What this agent remembers. Without a folder it remembers nothing, and so deletes nothing."""

    def __init__(self, file: Path | None, entries: dict[str, Entry]) -> None:
        self._file, self._entries = file, entries
        self._writing = trio.Lock()

    @property
    def record(self) -> Record:
        """The entries by identity, as they are now."""
        return dict(self._entries)

    async def note(self, identity: str, entry: Entry | None) -> None:
        """Remember an entry, or forget it. Raises OSError."""
        if self._entries.get(identity) == entry:
            return
        if entry is None:
            del self._entries[identity]
        else:
            self._entries[identity] = entry
        if self._file is None:
            return
        async with self._writing:
            await trio.to_thread.run_sync(_write, self._file, write_record(self._entries))


async def open_notebook(common: Common) -> Notebook:
    """Read the record. One that is unreadable is put aside, said, and counts as empty. Raises OSError."""
    if common.certificate_dir is None:
        return Notebook(None, {})
    file = common.certificate_dir / RECORD
    try:
        return Notebook(file, read_record(await trio.to_thread.run_sync(file.read_text)))
    except FileNotFoundError:
        return Notebook(file, {})
    except ValueError as error:
        aside = file.with_name(file.name + _ASIDE)
        _log.warning("record unreadable, nothing that it spoke of is ever deleted", moved_to=str(aside), err=str(error))
        await trio.to_thread.run_sync(partial(file.replace, aside))
        return Notebook(file, {})


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(file, text)
