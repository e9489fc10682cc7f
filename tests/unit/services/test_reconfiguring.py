from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import attrs
import pytest
import trio

from acme_manager.config.model import Common, Config, VaultConfig
from acme_manager.services.reconfiguring import reconfigure

VAULT = VaultConfig(url="https://v", role_id="r", secret_id="s", secret_engine="kv", certificate_prefix="c")
OLD, NEW = (Config(common=Common(cert_timeout=limit), issuers={}, vault=VAULT) for limit in (1.0, 2.0))


@attrs.frozen
class Recorder:
    """Says what happens to a part."""

    name: str
    told: list[str]
    fails: bool = False

    @asynccontextmanager
    async def prepared(self, old: Config, new: Config) -> AsyncIterator[Callable[[], None]]:
        assert (old, new) == (OLD, NEW)
        await trio.lowlevel.checkpoint()
        if self.fails:
            raise ValueError(self.name)
        self.told.append(f"{self.name} ready")
        try:
            yield lambda: self.told.append(f"{self.name} goes")
        finally:
            self.told.append(f"{self.name} left")


async def test_all_are_ready_before_the_first_goes() -> None:
    told: list[str] = []
    await reconfigure([Recorder("a", told), Recorder("b", told)], OLD, NEW)
    assert told == ["a ready", "b ready", "a goes", "b goes", "b left", "a left"]


async def test_none_goes_when_one_is_not_ready() -> None:
    told: list[str] = []
    with pytest.raises(ValueError, match="b"):
        await reconfigure([Recorder("a", told), Recorder("b", told, fails=True), Recorder("c", told)], OLD, NEW)
    assert told == ["a ready", "a left"]
