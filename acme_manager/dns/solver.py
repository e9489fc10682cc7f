"""dns-01 as a whole: where records go, putting them there, waiting for the world to see them, taking them away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext

import structlog
import trio

from acme_manager.config.model import Config, DnsConfig
from acme_manager.dns.challenge import CHALLENGE_TYPE, Record, challenge_name, challenge_value, record_of
from acme_manager.dns.holds import Holds
from acme_manager.dns.lookup import Lookup
from acme_manager.dns.metrics import DnsMetrics
from acme_manager.dns.plugin import PluginProvider
from acme_manager.dns.propagation import Propagation
from acme_manager.dns.providers import PatientProvider
from acme_manager.dns.registry import BUILT_IN, Registry
from acme_manager.errors import Complaint, ConfigInvalid, DnsFailed, Rejected
from acme_manager.ports import Challenge, Trace
from acme_manager.structure import together

log = structlog.get_logger(__name__)

CLEANUP_SECONDS = 10.0
_AT_ONCE = 16  # changes under way at one time for one order


class DnsSolvers:
    """Makes a solver for each order. One for the whole program: its solvers share what is known about zones, and
    which records are in use. `registry` and `environ` are those of the configuration."""

    def __init__(
        self,
        config: DnsConfig,
        environ: Mapping[str, str],
        metrics: DnsMetrics,
        registry: Registry = BUILT_IN,
    ) -> None:
        self.metrics = metrics
        self.holds = Holds()
        self._environ, self._registry = environ, registry
        self._look_by(config)

    def _look_by(self, config: DnsConfig) -> None:
        self.lookup = Lookup(config)
        self.propagation = Propagation(self.lookup, config)

    @asynccontextmanager
    async def prepared(self, old: Config, new: Config) -> AsyncIterator[Callable[[], None]]:
        """Check the providers that issuers name; in the block, the step that goes over to the variables of `new`.

        Records that are in use stay so. Raises ConfigInvalid for a provider that would cease to work.
        """
        before = self._trouble(old)
        complaints = [one for one in self._trouble(new) if one not in before]
        if complaints:
            raise ConfigInvalid("config", complaints)

        def step() -> None:
            self._environ, self._registry = new.environ, self._registry.at(new)
            if new.dns != old.dns:
                self._look_by(new.dns)

        yield step

    def _trouble(self, config: Config) -> list[Complaint]:
        found: dict[Complaint, None] = {}
        registry = self._registry.at(config)
        for issuer in config.issuers.values():
            try:
                if issuer.dns_challenge:
                    registry.check(issuer.dns_challenge, config.environ, self.lookup)
            except ConfigInvalid as error:
                found.update(dict.fromkeys(error.complaints))
            except Rejected as error:
                found[Complaint(f"issuer.{issuer.name}.dns_challenge", str(error))] = None
        return list(found)

    def solver(self, name: str) -> DnsSolver:
        """A solver that writes with a provider, by its name in `dns_challenge`.

        The provider is set up anew, so that a changed secret in a file counts at once. Raises InvalidRequest for a
        name that does not exist and ConfigInvalid when the provider's variables are wrong.
        """
        return DnsSolver(self, name, self.provider(name))

    def provider(self, name: str) -> PatientProvider:
        """The bare provider; raises as `solver` does."""
        return self._registry.provider(name, self._environ, self.lookup)


class DnsSolver:
    """The Solver port for dns-01."""

    def __init__(self, shared: DnsSolvers, name: str, provider: PatientProvider) -> None:
        self._shared, self._name, self._provider = shared, name, provider

    @property
    def type(self) -> str:
        """Always `dns-01`."""
        return CHALLENGE_TYPE

    async def plan(self, challenges: Sequence[Challenge]) -> Sequence[Trace]:
        """Follow CNAME records to where the TXT records belong. Raises DnsFailed."""

        async def one(challenge: Challenge) -> Trace:
            name = await self._shared.lookup.follow(challenge_name(challenge))
            made_from = (challenge.identifier.base, challenge.key_authorization)
            return Record(self._name, name, challenge_value(challenge), *made_from).trace()

        return await together(one, challenges)

    @asynccontextmanager
    async def presented(self, traces: Sequence[Trace]) -> AsyncIterator[None]:
        """Write all records at once, wait until they are visible, and remove them at the end, whatever happened.

        Raises DnsFailed on entry. The removal takes no longer than CLEANUP_SECONDS, cancelled or not.
        """
        records = list(dict.fromkeys(map(record_of, traces)))
        begun: list[Record] = []

        async def put(record: Record) -> None:
            provider = self._provider_of(record)
            async with self._shared.holds.changing(record):
                begun.append(record)
                self._shared.holds.take(record)
                with self._shared.metrics.change(record.provider, "put"):
                    await provider.put_txt(record.name, record.value)

        async with self._provider.lasting() if isinstance(self._provider, PluginProvider) else nullcontext():
            try:
                await together(put, records, at_once=_AT_ONCE)
                await self._visible(records)
                yield
            finally:
                with trio.move_on_after(CLEANUP_SECONDS, shield=True):
                    await self._withdraw(begun)

    async def remove(self, traces: Sequence[Trace]) -> None:
        """Remove what an earlier process left; what is in use in this one stays. Tries all, then raises DnsFailed."""
        failures: list[DnsFailed] = []

        async def one(record: Record) -> None:
            try:
                await self._remove(record)
            except DnsFailed as error:
                failures.append(error)

        await together(one, list(dict.fromkeys(map(record_of, traces))), at_once=_AT_ONCE)
        if failures:
            first, said = failures[0], "; ".join(dict.fromkeys(map(str, failures)))
            raise DnsFailed(said, server=first.server, cause=first.cause)

    async def _visible(self, records: Sequence[Record]) -> None:
        values: dict[str, set[str]] = {}
        for record in records:
            values.setdefault(record.name, set()).add(record.value)
        began, outcome = trio.current_time(), "failed"
        try:
            await self._shared.propagation.wait(values, self._provider.timing)
            outcome = "ok"
        finally:
            seconds = trio.current_time() - began
            self._shared.metrics.propagation_seconds.labels(self._name, outcome).observe(seconds)

    async def _withdraw(self, records: Sequence[Record]) -> None:
        for record in records:
            self._shared.holds.drop(record)
        left = dict.fromkeys(records, "there was no time left")

        async def one(record: Record) -> None:
            try:
                await self._remove(record)
                del left[record]
            except DnsFailed as error:
                left[record] = str(error)
            except Exception as error:  # a defect in a provider must not hide how the validation ended
                left[record] = type(error).__name__
                log.exception("provider failed", provider=record.provider)

        try:
            await together(one, records, at_once=_AT_ONCE)
        finally:
            for record, reason in left.items():
                log.warning("TXT record left behind", name=record.name, provider=record.provider, reason=reason)
                self._shared.metrics.left_behind.labels(record.provider).inc()

    async def _remove(self, record: Record) -> None:
        provider = self._provider_of(record)
        async with self._shared.holds.changing(record):
            if self._shared.holds.held(record):
                return  # the last of its holders removes it
            with self._shared.metrics.change(record.provider, "remove"):
                await provider.remove_txt(record.name, record.value)

    def _provider_of(self, record: Record) -> PatientProvider:
        """A record is removed by the provider that wrote it, even after the configuration has come to name another."""
        provider = self._provider
        if record.provider != self._name:
            try:
                provider = self._shared.provider(record.provider)
            except Rejected as error:
                raise DnsFailed(f"the record of {record.name} was written by another provider: {error}") from error
        return provider.knowing(record) if isinstance(provider, PluginProvider) else provider
