"""Programs that have a say before each order: plugins of `type: hook`, which are the Go original's plugins."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from acme_manager.config.plugins import HOOK
from acme_manager.domain.names import Identifier
from acme_manager.errors import OrderRefused
from acme_manager.plugins import PluginFailed, PluginRunner
from acme_manager.services.settings import Settings


@attrs.frozen(kw_only=True)
class Hooks:
    """Runs them one after the other, in the order of the configuration."""

    settings: Settings
    runner: PluginRunner

    async def ask(self, identifiers: Iterable[Identifier], issuer: str, *, dns: bool) -> None:
        """Return when all have let an order for these names pass. Raises OrderRefused, which ends at the first.

        Each is told the names, the issuer and the kind of challenge. What it writes is for our log only.
        """
        arguments = [",".join(map(str, identifiers)), issuer, "dns" if dns else "http"]
        for plugin in self.settings.common.plugins:
            if plugin.type != HOOK:
                continue
            try:
                done = await self.runner.run(plugin, HOOK, arguments)
            except PluginFailed as error:
                raise OrderRefused(f"not ordered: {error}") from error
            if done.returncode:
                raise OrderRefused(
                    f"not ordered: plugin '{plugin.name}' refuses it with exit code {done.returncode}; "
                    "the server's log has what it wrote"
                )
