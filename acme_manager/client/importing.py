"""`-import DIR`: certificates of other programs, installed where the configuration wants them, and told about."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import trio

from acme_manager.client.adopt import Adopted, adopt, find, suggestion
from acme_manager.client.plan import Unknown
from acme_manager.client.run import OK, UNREACHABLE, Runner


async def import_from(runner: Runner, folder: Path) -> tuple[int, str]:
    """Look through a folder and install what is configured; returns an exit code and what there is to say.

    Raises ImportRefused, ConfigInvalid. Without a server nothing is done: it may have what would be installed.
    """
    async with runner.view() as view:
        server = view.situation.server
        if isinstance(server, Unknown):
            return UNREACHABLE, f"nothing was imported, the server's certificates are not known: {server.why}"
        finding = await trio.to_thread.run_sync(find, folder)
        lines = [f"can't be read: {trouble}" for trouble in finding.troubles]
        work = partial(adopt, view.config, finding, runner.clock.now(), taken=server)
        for one in await trio.to_thread.run_sync(work):
            if one.entry is not None:
                await view.notebook.note(one.identity, one.entry)
            lines.append(_line(one))
        further = suggestion(view.config, finding)
        if further:
            lines += ["not in the configuration; with these entries another -import takes them over:", further]
        elif not finding.found:
            lines.append(f"there is no certificate with its key in {folder}")
    return OK, "\n".join(lines)


def _line(one: Adopted) -> str:
    if one.entry is None:
        return f"{one.identity} not imported from {one.source}: {one.why}"
    return f"{one.identity} imported from {one.source}"
