"""Commands before and after a change: argument lists, a shell only where the configuration asks for one."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

import attrs
import structlog
import trio

_log = structlog.get_logger(__name__)

CHANGED = "ACME_MANAGER_CHANGED"
"""The variable that tells a command the identities of what has changed, a line each."""

_OURS = frozenset({"ACME_MANAGER_TOKEN", "CREDENTIALS_DIRECTORY"})
_OUTPUT_SHOWN = 2000  # characters, the last ones
_GRACE = 2.0  # seconds between asking a command to end and ending it
_LAST = 3.0  # and until it is given up: in the kernel it may wait for a disk that does not answer


@attrs.frozen(kw_only=True)
class Command:
    """What to run, and for how many seconds at most."""

    text: str
    timeout: float
    shell: bool = False

    @property
    def arguments(self) -> list[str]:
        """Raises ValueError for quotes that are not closed."""
        return ["/bin/sh", "-c", self.text] if self.shell else shlex.split(self.text)

    @property
    def program(self) -> str:
        """What metrics know it by: the first word."""
        return self.text.split(maxsplit=1)[0]


async def run_command(command: Command, changed: Sequence[str], environ: Mapping[str, str]) -> str:
    """Run it to its end; returns what went wrong, empty for nothing.

    Our token is not for it. When its time is over it is ended, together with all that it has started.
    """
    env = {name: value for name, value in environ.items() if name not in _OURS} | {CHANGED: "\n".join(changed)}
    with tempfile.TemporaryFile() as output:  # no pipe: what it leaves running would hold that open
        try:
            process = await trio.lowlevel.open_process(
                command.arguments,
                stdin=subprocess.DEVNULL,
                stdout=output.fileno(),
                stderr=subprocess.STDOUT,
                env=env,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return f"'{command.program}' can't be run: {error}"
        code: int | None = None
        try:
            with trio.move_on_after(command.timeout):
                code = await process.wait()
        finally:
            if code is None:
                with trio.move_on_after(_GRACE + _LAST, shield=True):
                    await _end(process)
        if code is None:
            return f"'{command.program}' was ended after {command.timeout:g} s{_said(output)}"
        if code:
            return f"'{command.program}' ended with code {code}{_said(output)}"
        _log.info("command run", command=command.program)
        return ""


async def _end(process: trio.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with trio.move_on_after(_GRACE):
        await process.wait()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _said(output: IO[bytes]) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _OUTPUT_SHOWN))
    text = output.read().decode(errors="replace").strip()
    return f": {text}" if text else ""
