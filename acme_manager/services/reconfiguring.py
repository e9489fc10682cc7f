"""One configuration in the place of another: as a whole, or not at all.

First every part of the node makes ready for the new one, while the old one counts: that may wait, and may fail. Then
all go over to it in one step, which can do neither.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Protocol

import attrs

from acme_manager.config.model import Config


class Part(Protocol):
    """Something that is made of the configuration and can be made anew while it is in use."""

    def prepared(self, old: Config, new: Config) -> AbstractAsyncContextManager[Callable[[], None]]:
        """Make ready for `new`. In the block, the step that goes over to it; left without that step, nothing remains.

        Raises an AcmeManagerError that says what is wrong, of ConfigInvalid with the path of the key.
        """
        ...


@attrs.frozen
class Follower:
    """A part with nothing to make ready: it is told of the new configuration when all go over to it."""

    go_by: Callable[[Config], None]

    @asynccontextmanager
    async def prepared(self, _old: Config, new: Config) -> AsyncIterator[Callable[[], None]]:
        """See Part."""
        yield partial(self.go_by, new)


async def reconfigure(parts: Sequence[Part], old: Config, new: Config) -> None:
    """Go over to another configuration. Raises what a part raises; then all is as it was."""
    async with AsyncExitStack() as stack:
        steps = [await stack.enter_async_context(part.prepared(old, new)) for part in parts]
        for step in steps:
            step()
