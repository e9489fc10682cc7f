"""dns-01 as a whole: where records go, putting them there, waiting for the world to see them, taking them away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

import structlog
import trio

from acme_manager.config.dns import AUTO, DnsCredentials
from acme_manager.config.model import Config, DnsConfig
from acme_manager.dns.answers import Sight
from acme_manager.dns.challenge import CHALLENGE_TYPE, Record, challenge_name, challenge_value, record_of, split_method
from acme_manager.dns.credentials import Choice, Secrets, check_owner, choose
from acme_manager.dns.holds import Holds
from acme_manager.dns.lookup import Lookup
from acme_manager.dns.metrics import DnsMetrics
from acme_manager.dns.plugin import PluginProvider
from acme_manager.dns.propagation import Awaited, Propagation
from acme_manager.dns.providers import PatientProvider, ProviderInfo
from acme_manager.dns.registry import BUILT_IN, Registry
from acme_manager.dns.wire import Server
from acme_manager.errors import Complaint, ConfigInvalid, DnsFailed, Rejected
from acme_manager.ports import Challenge, Trace
from acme_manager.structure import together

log = structlog.get_logger(__name__)

CLEANUP_SECONDS = 10.0
_AT_ONCE = 16  # changes under way at one time for one order


class DnsObserver(Protocol):
    """Told what becomes of an order's records. Its methods must neither block nor raise."""

    def written(self, record: Record) -> None:
        """A record has been written."""
        ...

    def seen(self, name: str, server: Server, sight: Sight) -> None:
        """A server has been looked at."""
        ...


class _Nobody:
    def written(self, record: Record) -> None: ...

    def seen(self, name: str, server: Server, sight: Sight) -> None: ...


class DnsSolvers:
    """Makes a solver for each order. One for the whole program: its solvers share what is known about zones, and
    which records are in use. `registry`, `environ` and `credentials` are those of the configuration."""

    def __init__(
        self,
        config: DnsConfig,
        environ: Mapping[str, str],
        metrics: DnsMetrics,
        registry: Registry = BUILT_IN,
        credentials: Mapping[str, DnsCredentials] | None = None,
    ) -> None:
        self.metrics = metrics
        self.holds = Holds()
        self.secrets = Secrets()
        self._environ, self._registry, self._credentials = environ, registry, credentials or {}
        self._look_by(config)

    def _look_by(self, config: DnsConfig) -> None:
        self.lookup = Lookup(config)
        self.propagation = Propagation(self.lookup)

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
            self._credentials = new.dns_credentials
            if new.dns != old.dns:
                self._look_by(new.dns)

        yield step

    def _trouble(self, config: Config) -> list[Complaint]:
        found: dict[Complaint, None] = {}
        registry = self._registry.at(config)
        sets = config.dns_credentials
        for issuer in config.issuers.values():
            _, name = split_method(issuer.dns_challenge)
            try:
                if name and name != AUTO and not _has_sets(sets, name):
                    registry.check(name, config.environ, self.lookup)
            except ConfigInvalid as error:
                found.update(dict.fromkeys(error.complaints))
            except Rejected as error:
                found[Complaint(f"issuer.{issuer.name}.dns_challenge", str(error))] = None
        for one in sets.values():
            where = f"dns_credentials.{one.name}"
            try:
                registry.check(one.provider, one.env, self.lookup)
            except ConfigInvalid as error:
                if not (one.env_from or one.vault):  # what is elsewhere is read when it is used
                    found.update({Complaint(f"{where}.env", str(complaint)): None for complaint in error.complaints})
            except Rejected as error:
                found[Complaint(f"{where}.provider", str(error))] = None
        return list(found)

    def solver(self, name: str, owner: str = "") -> DnsSolver:
        """A solver for an owner's certificate, by a name in `dns_challenge`: of a set of credentials, of a provider, or
        `auto`.

        Providers are set up anew, so that a changed secret counts at once. Raises InvalidRequest for a name that does
        not exist or is not for that owner, and ConfigInvalid when the provider's variables are wrong.
        """
        check_owner(self._credentials, name, owner)
        ready = {}
        if name != AUTO and not _has_sets(self._credentials, name):
            ready[Choice(name)] = self.provider(name)
        return DnsSolver(self, name, owner, ready)

    def providers(self) -> Iterator[ProviderInfo]:
        """See Registry."""
        return self._registry.providers()

    def choose(self, wanted: str, name: str, owner: str) -> Choice:
        """Who writes the record of a name that no CNAME record leads away from. Raises DnsFailed."""
        return choose(self._credentials, wanted, name, owner)

    def provider(self, name: str) -> PatientProvider:
        """The bare provider with the variables of the environment; raises as `solver` does."""
        return self._registry.provider(name, self._environ, self.lookup)

    async def chosen_provider(self, choice: Choice) -> PatientProvider:
        """The provider with the variables that it is to have. Raises as `solver` does, and DnsFailed."""
        if not choice.credentials:
            return self.provider(choice.provider)
        credentials = self._credentials.get(choice.credentials)
        if credentials is None:
            raise DnsFailed(f"there are no DNS credentials '{choice.credentials}' any more", cause="credentials")
        variables = await self.secrets.variables(credentials)
        try:
            provider = self._registry.provider(choice.provider, variables, self.lookup)
        except ConfigInvalid as error:
            raise ConfigInvalid(f"DNS credentials '{credentials.name}'", error.complaints) from error
        return provider.seeing(variables) if isinstance(provider, PluginProvider) else provider


def _has_sets(credentials: Mapping[str, DnsCredentials], name: str) -> bool:
    """Whether a name is one of a set, or of a provider that sets may be chosen for."""
    return name in credentials or any(one.provider == name and one.zones for one in credentials.values())


class DnsSolver:
    """The Solver port for dns-01."""

    def __init__(self, shared: DnsSolvers, name: str, owner: str, ready: Mapping[Choice, PatientProvider]) -> None:
        self._shared, self._name, self._owner = shared, name, owner
        self._ready = dict(ready)
        self.observer: DnsObserver = _Nobody()

    @property
    def type(self) -> str:
        """Always `dns-01`."""
        return CHALLENGE_TYPE

    async def plan(self, challenges: Sequence[Challenge]) -> Sequence[Trace]:
        """Follow CNAME records to where the TXT records belong. Raises DnsFailed."""

        async def one(challenge: Challenge) -> Trace:
            name = await self._shared.lookup.follow(challenge_name(challenge))
            choice = self._shared.choose(self._name, name, self._owner)
            return Record(
                choice.provider,
                name,
                challenge_value(challenge),
                credentials=choice.credentials,
                domain=challenge.identifier.base,
                key_authorization=challenge.key_authorization,
            ).trace()

        return await together(one, challenges)

    @asynccontextmanager
    async def presented(self, traces: Sequence[Trace]) -> AsyncIterator[None]:
        """Write all records at once, wait until they are visible, and remove them at the end, whatever happened.

        Raises DnsFailed on entry. The removal takes no longer than CLEANUP_SECONDS, cancelled or not.
        """
        records = list(dict.fromkeys(map(record_of, traces)))
        begun: list[Record] = []

        async def put(record: Record) -> None:
            provider = await self._provider_of(record)
            async with self._shared.holds.changing(record):
                begun.append(record)
                self._shared.holds.take(record)
                with self._shared.metrics.change(record.provider, "put"):
                    await provider.put_txt(record.name, record.value)
            self.observer.written(record)

        async with AsyncExitStack() as lasting:
            writers = {Choice(one.provider, one.credentials): one for one in records}
            for record in writers.values():  # nothing is written unless every secret can be read
                provider = await self._provider_of(record)
                if isinstance(provider, PluginProvider):
                    await lasting.enter_async_context(provider.lasting())
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
        awaited: dict[str, Awaited] = {}
        for record in records:
            before = awaited[record.name].values if record.name in awaited else ()
            timing = (await self._provider_of(record)).timing
            awaited[record.name] = Awaited({*before, record.value}, timing)
        began, outcome = trio.current_time(), "failed"
        try:
            await self._shared.propagation.wait(awaited, self.observer.seen)
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
        provider = await self._provider_of(record)
        async with self._shared.holds.changing(record):
            if self._shared.holds.held(record):
                return  # the last of its holders removes it
            with self._shared.metrics.change(record.provider, "remove"):
                await provider.remove_txt(record.name, record.value)

    async def _provider_of(self, record: Record) -> PatientProvider:
        """A record is removed by who wrote it, even after the configuration has come to choose another."""
        choice = Choice(record.provider, record.credentials)
        if choice not in self._ready:
            try:
                self._ready[choice] = await self._shared.chosen_provider(choice)
            except Rejected as error:
                raise DnsFailed(
                    f"the record of {record.name} can't be changed: {error}", cause="credentials"
                ) from error
        provider = self._ready[choice]
        return provider.knowing(record) if isinstance(provider, PluginProvider) else provider

    async def provider_at(self, name: str) -> PatientProvider:
        """Who would write the record of a name that no CNAME record leads away from. Raises DnsFailed."""
        choice = self._shared.choose(self._name, name, self._owner)
        return await self._provider_of(Record(choice.provider, name, "", credentials=choice.credentials))
