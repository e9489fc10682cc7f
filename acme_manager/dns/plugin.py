"""The DnsProvider port over a program of its own (docs/plugin-protocol.md)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial

import attrs

from acme_manager.config.model import Config, Plugin
from acme_manager.config.plugins import DNS
from acme_manager.dns.challenge import Record
from acme_manager.dns.descriptions import Descriptions
from acme_manager.dns.held import Holder
from acme_manager.dns.lookup import Lookup
from acme_manager.dns.propagation import Timing
from acme_manager.dns.protocol import CLEANUP, HOLD, PRESENT, Change, read_refusal
from acme_manager.dns.providers import PatientProvider, ProviderInfo, Source, Tier
from acme_manager.dns.turns import Turns
from acme_manager.errors import DnsFailed
from acme_manager.plugins import PluginFailed, PluginRunner, masked

_LONGEST_HOLD = 7200.0  # seconds; longer than any server takes to show a record

_SECRET = re.compile("TOKEN|SECRET|PASS|KEY|CREDENTIAL|AUTH", re.IGNORECASE)
"""Variables whose values no error shows, though a provider's own words may have them."""

ZoneOf = Callable[[str], Awaitable[str]]
"""The zone that a name is in. Raises DnsFailed."""


@attrs.frozen(kw_only=True)
class PluginProvider:
    """Writes TXT records by running a plugin, once for each change."""

    plugin: Plugin
    runner: PluginRunner
    zone_of: ZoneOf
    timing: Timing = attrs.field(factory=Timing)
    interpreter: tuple[str, ...] = ()  # what the plugin is started with where that is not its own first line's
    made_from: Record | None = None
    turns: Turns | None = None  # for a plugin that must not change a zone twice at a time
    holder: Holder | None = None  # for a plugin that can remove a record only in the process that wrote it

    def knowing(self, record: Record) -> PluginProvider:
        """The same for one record, whose making the plugin is told: lego's programs can't do without."""
        return attrs.evolve(self, made_from=record)

    def lasting(self) -> AbstractAsyncContextManager[None]:
        """The block in which records are written and removed again."""
        return self.holder.lasting() if self.holder else nullcontext()

    def seeing(self, variables: Mapping[str, str]) -> PluginProvider:
        """The same with these variables besides its own."""
        return attrs.evolve(self, plugin=attrs.evolve(self.plugin, env={**self.plugin.env, **variables}))

    async def put_txt(self, name: str, value: str) -> None:
        """Add a value. Raises DnsFailed."""
        held = self.holder if self.holder and self.holder.open else None
        change = await self._asked(HOLD if held else PRESENT, name, value)
        async with self._turn(change):
            if held:
                await held.put((name, value), partial(self._hold, change), self.plugin.timeout)
            else:
                await self._run(self.plugin, change)

    async def remove_txt(self, name: str, value: str) -> None:
        """Remove a value. Raises DnsFailed."""
        change = await self._asked(CLEANUP, name, value)
        async with self._turn(change):
            if not (self.holder and await self.holder.remove((name, value), self.plugin.timeout)):
                await self._run(self.plugin, change)

    def _turn(self, change: Change) -> AbstractAsyncContextManager[None]:
        return self.turns.turn(change.zone or change.name) if self.turns else nullcontext()

    async def _hold(self, change: Change, socket: str) -> None:
        await self._run(attrs.evolve(self.plugin, timeout=_LONGEST_HOLD), attrs.evolve(change, socket=socket))

    async def _asked(self, action: str, name: str, value: str) -> Change:
        return Change(
            action=action,
            name=name,
            value=value,
            zone=await self._zone_hint(name),
            domain=self.made_from.domain if self.made_from else "",
            key_authorization=self.made_from.key_authorization if self.made_from else "",
        )

    async def _run(self, plugin: Plugin, change: Change) -> None:
        try:
            done = await self.runner.run(
                plugin, change.action, change.arguments, change.document, interpreter=self.interpreter
            )
        except PluginFailed as error:
            raise DnsFailed(str(error)) from error
        if done.returncode == 0:
            return
        refusal = read_refusal(done.stdout)
        secret = {name: value for name, value in plugin.env.items() if _SECRET.search(name)}
        told = (
            masked(refusal.error, secret)
            if refusal
            else f"exit code {done.returncode}; the server's log has what it wrote"
        )
        raise DnsFailed(
            f"plugin '{self.plugin.name}' failed to {change.action} the record of {change.name}: {told}",
            cause=refusal.cause if refusal else "",
            retry_after=refusal.retry_after if refusal else None,
        )

    async def _zone_hint(self, name: str) -> str:
        """A plugin may know better than DNS which zone it is: a hint that can't be had is no reason to fail."""
        try:
            return await self.zone_of(name)
        except DnsFailed:
            return ""


@attrs.frozen
class PluginSource(Source):
    """The plugins of the configuration that are of `type: dns`."""

    runner: PluginRunner
    descriptions: Descriptions
    plugins: Mapping[str, Plugin] = attrs.field(factory=dict)
    name: str = "plugin"

    def at(self, config: Config) -> PluginSource:
        """With the plugins of that configuration."""
        own = {plugin.name: plugin for plugin in config.common.plugins if plugin.type == DNS}
        return attrs.evolve(self, plugins=own)

    def provider(self, name: str, _environ: Mapping[str, str], lookup: Lookup) -> PatientProvider | None:
        """See Source. Of the variables a plugin sees none: its own are in its `env`."""
        plugin = self.plugins.get(name)
        if plugin is None:
            return None
        timing, said = Timing(), self.descriptions.of(plugin)
        if said:
            timing = Timing(timeout=said.timeout or timing.timeout, interval=said.interval or timing.interval)
        return PluginProvider(plugin=plugin, runner=self.runner, zone_of=lookup.zone_of, timing=timing)

    def providers(self) -> Iterable[ProviderInfo]:
        """See Source."""
        for name, plugin in sorted(self.plugins.items()):
            said = self.descriptions.of(plugin)
            summary = said.summary if said and said.summary else str(plugin.path)
            yield ProviderInfo(name=name, tier=Tier.OWN, source=self.name, summary=summary)
