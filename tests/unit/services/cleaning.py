"""A world with clean-up in it, and secrets of every age."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import trio

from acme_manager.config.model import Flags
from acme_manager.domain.cleanup import Action, Decision
from acme_manager.domain.keys import describe
from acme_manager.services.cleanup import Cleanup
from acme_manager.services.cleanup_survey import Secret
from acme_manager.storage.memory import MemoryStorage
from tests.fakes import secrets
from tests.unit.services.world import NOW, MovableClock, World, open_world

WEB = "certificates/alice/test/www.example.com"

pem, secret = partial(secrets.pem, now=NOW), partial(secrets.secret, now=NOW)


async def put(storage: MemoryStorage, key: str, *values: dict[str, Any]) -> None:
    for value in values:
        await storage.put(key, value, expected=len(await storage.versions(key)))


@attrs.frozen
class Cleaning:
    world: World
    cleanup: Cleanup
    clock: MovableClock

    @property
    def storage(self) -> MemoryStorage:
        return self.world.storage

    @property
    def revoked(self) -> list[str]:
        """The serials that the CA has revoked, in order."""
        return [describe(cert).serial for cert, _ in self.world.ca.revoked]

    async def preview(self) -> list[tuple[str, int, Action]]:
        """What a round would do."""
        seen: list[tuple[str, int, Action]] = []

        async def found(secret: Secret, decisions: list[Decision]) -> None:
            await trio.lowlevel.checkpoint()
            seen.extend((secret.key, one.version, one.action) for one in decisions if one.action is not Action.KEEP)

        await self.cleanup.preview(found)
        return sorted(seen)

    async def destroyed(self, key: str = WEB) -> list[int]:
        """The versions that are destroyed."""
        return [one.version for one in await self.storage.versions(key) if one.destroyed]

    def counted(self, action: str) -> float:
        """The metric."""
        return self.world.registry.get_sample_value("acme_manager_cleanup_actions_total", {"action": action}) or 0


@asynccontextmanager
async def open_cleaning(
    storage: MemoryStorage | None = None, *, last_version: bool = False, **world: Any
) -> AsyncIterator[Cleaning]:
    clock = MovableClock()
    flags = Flags(cleanup=True, cleanup_cert_revoke_last_version=last_version)
    async with open_world(storage or MemoryStorage(clock), clock=clock, flags=flags, **world) as opened:
        yield Cleaning(opened, opened.services.cleanup, clock)
