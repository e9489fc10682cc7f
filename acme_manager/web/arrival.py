"""Pages of what has just been asked for: behind a balancer another node took the form, this one does not know yet."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import trio

from acme_manager.api.request import current_request, services
from acme_manager.errors import NotFound

_MOMENT = 3.0  # seconds; nodes tell each other within a fraction of one


async def arrival(there: Callable[[], object]) -> None:
    """After a form, wait a moment until `there` finds something; it may raise NotFound meanwhile.

    Where nothing comes the page says by itself that there is no such thing.
    """
    if "said" not in current_request().args:
        return
    signals = services().signals
    with trio.move_on_after(_MOMENT):
        while True:
            known = signals.count
            with suppress(NotFound):
                if there():
                    return
            await signals.wait(known, None, _MOMENT)
