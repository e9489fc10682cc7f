"""What is known of the configuration's plugins, for people."""

from __future__ import annotations

import attrs

from acme_manager.config.model import Plugin
from acme_manager.dns.descriptions import Descriptions
from acme_manager.dns.protocol import Description
from acme_manager.plugins import LastRun, PluginRunner
from acme_manager.services.settings import Settings


@attrs.frozen(kw_only=True)
class PluginFacts:
    """One plugin: what the configuration says, what it says about itself, and how its latest run on this node went."""

    plugin: Plugin
    description: Description | None
    last_run: LastRun | None


@attrs.frozen(kw_only=True)
class Plugins:
    """Looks them up."""

    settings: Settings
    runner: PluginRunner
    descriptions: Descriptions

    def all(self) -> list[PluginFacts]:
        """In the order of the configuration."""
        return [
            PluginFacts(
                plugin=plugin,
                description=self.descriptions.of(plugin),
                last_run=self.runner.last_runs.get(plugin.name),
            )
            for plugin in self.settings.common.plugins
        ]
