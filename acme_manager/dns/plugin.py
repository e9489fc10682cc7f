"""The DnsProvider port over a program of its own (docs/plugin-protocol.md)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs

from acme_manager.config.model import Plugin
from acme_manager.dns.challenge import Record
from acme_manager.dns.propagation import Timing
from acme_manager.dns.protocol import CLEANUP, DESCRIBE, PRESENT, Change, Description, read_description, read_refusal
from acme_manager.errors import DnsFailed
from acme_manager.plugins import PluginFailed, PluginRunner

ZoneOf = Callable[[str], Awaitable[str]]
"""The zone that a name is in. Raises DnsFailed."""


@attrs.frozen(kw_only=True)
class PluginProvider:
    """Writes TXT records by running a plugin, once for each change."""

    plugin: Plugin
    runner: PluginRunner
    zone_of: ZoneOf
    timing: Timing = attrs.field(factory=Timing)
    made_from: Record | None = None

    def knowing(self, record: Record) -> PluginProvider:
        """The same for one record, whose making the plugin is told: lego's programs can't do without."""
        return attrs.evolve(self, made_from=record)

    async def put_txt(self, name: str, value: str) -> None:
        """Add a value. Raises DnsFailed."""
        await self._change(PRESENT, name, value)

    async def remove_txt(self, name: str, value: str) -> None:
        """Remove a value. Raises DnsFailed."""
        await self._change(CLEANUP, name, value)

    async def describe(self) -> Description | None:
        """What the plugin says about itself, None when it says nothing. Raises DnsFailed."""
        try:
            done = await self.runner.run(self.plugin, DESCRIBE, [DESCRIBE])
        except PluginFailed as error:
            raise DnsFailed(str(error)) from error
        return None if done.returncode else read_description(done.stdout)

    async def _change(self, action: str, name: str, value: str) -> None:
        change = Change(
            action=action,
            name=name,
            value=value,
            zone=await self._zone_hint(name),
            domain=self.made_from.domain if self.made_from else "",
            key_authorization=self.made_from.key_authorization if self.made_from else "",
        )
        try:
            done = await self.runner.run(self.plugin, action, change.arguments, change.document)
        except PluginFailed as error:
            raise DnsFailed(str(error)) from error
        if done.returncode == 0:
            return
        refusal = read_refusal(done.stdout)
        told = refusal.error if refusal else f"exit code {done.returncode}; the server's log has what it wrote"
        raise DnsFailed(
            f"plugin '{self.plugin.name}' failed to {action} the record of {name}: {told}",
            cause=refusal.cause if refusal else "",
        )

    async def _zone_hint(self, name: str) -> str:
        """A plugin may know better than DNS which zone it is: a hint that can't be had is no reason to fail."""
        try:
            return await self.zone_of(name)
        except DnsFailed:
            return ""
