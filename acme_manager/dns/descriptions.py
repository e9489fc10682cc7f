"""What the DNS plugins of the configuration say about themselves: each is asked once, and when it is changed."""

from __future__ import annotations

import attrs
import structlog

from acme_manager.config.model import Config, Plugin
from acme_manager.config.plugins import DNS
from acme_manager.dns.protocol import DESCRIBE, Description, read_description
from acme_manager.plugins import PluginFailed, PluginRunner
from acme_manager.structure import Bell, together

_log = structlog.get_logger(__name__)

_PATIENCE = 5.0  # seconds
_AT_ONCE = 4


class Descriptions:
    """Asks in the background: nobody waits for a plugin that has nothing to say."""

    def __init__(self, runner: PluginRunner) -> None:
        self._runner = runner
        self._plugins: tuple[Plugin, ...] = ()
        self._known: dict[str, tuple[Plugin, Description | None]] = {}
        self._changed = Bell()

    def of(self, plugin: Plugin) -> Description | None:
        """What it has said, None as long as it has not, or can't."""
        asked, description = self._known.get(plugin.name, (None, None))
        return description if asked == plugin else None

    def go_by(self, config: Config) -> None:
        """From now on these plugins are there."""
        self._plugins = tuple(plugin for plugin in config.common.plugins if plugin.type == DNS)
        self._changed.ring()

    async def run(self) -> None:
        """Ask, for as long as the node runs."""
        while True:
            await self._changed.wait()
            self._known = {plugin.name: self._known[plugin.name] for plugin in self._plugins if self._is_known(plugin)}
            new = [plugin for plugin in self._plugins if not self._is_known(plugin)]
            await together(self._ask, new, at_once=_AT_ONCE)

    def _is_known(self, plugin: Plugin) -> bool:
        return plugin.name in self._known and self._known[plugin.name][0] == plugin

    async def _ask(self, plugin: Plugin) -> None:
        description = None
        hurried = attrs.evolve(plugin, timeout=min(plugin.timeout, _PATIENCE))
        try:
            done = await self._runner.run(hurried, DESCRIBE, [DESCRIBE], optional=True)
            description = None if done.returncode else read_description(done.stdout)
        except PluginFailed as error:
            _log.warning("plugin can't be asked about itself", plugin=plugin.name, error=str(error))
        self._known[plugin.name] = plugin, description
