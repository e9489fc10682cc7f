"""The Storage port on Vault's (or OpenBao's) KV version 2 engine, in requests that hvac puts together."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from datetime import datetime
from typing import Any

import structlog
import trio
from hvac.api.secrets_engines import KvV2
from prometheus_client import CollectorRegistry

from acme_manager.config.model import Config, VaultConfig
from acme_manager.errors import StaleVersion, StorageDenied, StorageUnavailable
from acme_manager.ports import Versioned, VersionInfo
from acme_manager.storage.errors import Need, Refusal, Unreachable, in_our_words, may_pass, wait_after
from acme_manager.storage.keys import certificate_id_from_key, check_key, clean_prefix, token_id_from_key
from acme_manager.storage.login import Login
from acme_manager.storage.metrics import StorageMetrics
from acme_manager.storage.transport import Draft, Transport
from acme_manager.storage.walk import walk
from acme_manager.structure import background

_log = structlog.get_logger(__name__)

Answer = Mapping[str, Any]


@asynccontextmanager
async def open_vault(
    config: VaultConfig, counted: CollectorRegistry | StorageMetrics, *, io_timeout: float = 5.0, connections: int = 4
) -> AsyncIterator[VaultStorage]:
    """The store, kept logged in for the length of the block; its token is revoked at the end.

    Vault may be away or refuse the login: the block starts all the same, and operations say what is wrong until it
    is right. `io_timeout` bounds connecting, and then each silence, in seconds: keep it shorter than callers' scopes.
    Who opens it again and again brings the counters, which can be registered once only.
    """
    transport = Transport(config, io_timeout=io_timeout, connections=connections)
    metrics = counted if isinstance(counted, StorageMetrics) else StorageMetrics.register(counted)
    login = Login(config, transport, metrics)
    try:
        async with background(login.keep_logged_in):
            yield VaultStorage(config, transport, login, metrics)
    finally:
        with trio.move_on_after(2, shield=True):
            await login.log_out()
            await transport.close()


class VaultStorage:
    """See ports.Storage for the operations.

    Passing failures are repeated `retry_max` times with pauses that double from `retry_wait_min` to `retry_wait_max`.
    Once that was in vain, operations try once only and fail at once, until one succeeds.
    """

    def __init__(self, config: VaultConfig, transport: Transport, login: Login, metrics: StorageMetrics) -> None:
        self._config, self._transport, self._login, self._metrics = config, transport, login, metrics
        self._engine = clean_prefix(config.secret_engine)
        self._kv = KvV2(transport.adapter)
        self._away = False

    @asynccontextmanager
    async def prepared(self, _old: Config, new: Config) -> AsyncIterator[Callable[[], None]]:
        """Log in as `new` says; in the block, the step that goes over to that login and to the new pauses.

        Where things are kept stays as it is. Raises ConfigInvalid when the login fails.
        """
        async with self._login.prepared(new.vault) as log_in:

            def step() -> None:
                self._config = new.vault
                log_in()

            yield step

    async def get(self, key: str, version: int | None = None) -> Versioned:
        """See ports.Storage. A version that never was, or was pruned, reads as version 0 without a value."""
        need = self._need("read", "data", key)
        with self._counted("get", key):
            try:
                answer = await self._ask(
                    need,
                    lambda: self._kv.read_secret_version(key, version, self._engine, raise_on_deleted_version=True),
                    abandon=True,
                )
            except Refusal as refusal:
                return _read_missing(refusal, need)
            return Versioned(_field(answer, need, "data"), int(_field(answer, need, "metadata")["version"]))

    async def put(self, key: str, value: Mapping[str, Any], *, expected: int) -> int:
        """See ports.Storage."""
        need = self._need("create, update", "data", key)
        document = dict(value)
        with self._counted("put", key):
            try:
                answer = await self._ask(
                    need, lambda: self._kv.create_or_update_secret(key, document, expected, self._engine)
                )
                return int(_field(answer, need, "version"))
            except Refusal as refusal:
                if not refusal.stale:
                    raise in_our_words(refusal, need) from refusal
                doubtful = refusal.doubtful
            if doubtful and await self._is_ours(key, document, expected + 1):
                return expected + 1
            raise StaleVersion(key, expected)

    async def delete(self, key: str) -> None:
        """See ports.Storage."""
        need = self._need("delete", "data", key)
        await self._remove(key, need, lambda: self._kv.delete_latest_version_of_secret(key, self._engine))

    async def list(self, prefix: str, *, skip: str = "") -> Sequence[str]:
        """See ports.Storage."""
        return await walk(self._names_in, clean_prefix(prefix), skip)

    async def versions(self, key: str) -> Sequence[VersionInfo]:
        """See ports.Storage."""
        need = self._need("read", "metadata", key)
        try:
            answer = await self._ask(need, lambda: self._kv.read_secret_metadata(key, self._engine), abandon=True)
        except Refusal as refusal:
            if refusal.nothing_there:
                return ()
            raise in_our_words(refusal, need) from refusal
        history = _field(answer, need, "versions")
        return sorted((_version(number, facts) for number, facts in history.items()), key=lambda one: one.version)

    async def destroy(self, key: str, versions: Sequence[int]) -> None:
        """See ports.Storage."""
        need = self._need("update", "destroy", key)
        numbers = sorted(versions)
        if numbers:
            await self._remove(key, need, lambda: self._kv.destroy_secret_versions(key, numbers, self._engine))

    async def purge(self, key: str) -> None:
        """See ports.Storage."""
        need = self._need("delete", "metadata", key)
        await self._remove(key, need, lambda: self._kv.delete_metadata_and_all_versions(key, self._engine))

    async def health(self) -> str | None:
        """None when the store can be used, else what is wrong, in words for `/ready`.

        Lists both prefixes once, without retries: that takes a live and unsealed Vault, a login, and a capability
        that policies tend to lack.
        """
        try:
            for prefix in (self._config.certificate_prefix, self._config.token_prefix):
                await self._names_in(clean_prefix(prefix), pauses=())
        except (StorageUnavailable, StorageDenied) as error:
            return str(error)
        return None

    def _need(self, capability: str, branch: str, key: str) -> Need:
        check_key(key)
        return Need(capability, f"{self._engine}/{branch}/{key}")

    async def _names_in(self, folder: str, pauses: Sequence[float] | None = None) -> Sequence[str]:
        need = self._need("list", "metadata", folder)
        try:
            answer = await self._ask(
                need, lambda: self._kv.list_secrets(folder, self._engine), abandon=True, pauses=pauses
            )
        except Refusal as refusal:
            if refusal.nothing_there:
                return ()
            raise in_our_words(refusal, need) from refusal
        names: Sequence[str] = _field(answer, need, "keys")
        return names

    def _counted(self, operation: str, key: str) -> AbstractContextManager[None]:
        return self._metrics.secret(operation, self._secret_type(key))

    def _secret_type(self, key: str) -> str:
        """As the Go original names it in its metrics."""
        if certificate_id_from_key(self._config.certificate_prefix, key):
            return "certificate"
        return "token" if token_id_from_key(self._config.token_prefix, key) else "unknown"

    async def _remove(self, key: str, need: Need, request: Draft) -> None:
        """Do what needs no answer, and may find that there is nothing to do."""
        with self._counted("delete", key):
            try:
                await self._ask(need, request)
            except Refusal as refusal:
                if not refusal.nothing_there:
                    raise in_our_words(refusal, need) from refusal

    async def _is_ours(self, key: str, document: Mapping[str, Any], version: int) -> bool:
        """Whether a version holds what we wanted to write: then an attempt that seemed to fail had not."""
        found = await self.get(key, version)
        return found.value is not None and found.value == json.loads(json.dumps(document))

    async def _ask(
        self,
        need: Need,
        request: Draft,
        *,
        abandon: bool = False,
        pauses: Sequence[float] | None = None,
    ) -> Answer:
        """Do a request, again after passing failures, with one new login after a 403.

        Raises StorageUnavailable and StorageDenied, and Refusal for what only the operation can judge (400, 404).
        Repeating writes is safe because check-and-set lets only one attempt through.
        """
        doubtful = False
        planned = iter(pauses if pauses is not None else () if self._away else backoff(self._config))
        while True:
            try:
                answer = await self._ask_once(need, request, abandon)
            except (Unreachable, Refusal) as error:
                if isinstance(error, Refusal) and not may_pass(error):
                    error.doubtful = doubtful
                    raise
                pause = next(planned, None)
                if pause is None:
                    self._away = self._away or doubtful  # one failure, as `health` may meet, proves little
                    raise in_our_words(error, need) from error
                pause, doubtful = wait_after(error, pause), True
                _log.warning("vault request will be repeated", request=str(need), reason=str(error), retry_in=pause)
            else:
                self._away = False
                return answer
            self._metrics.retries.inc()
            await trio.sleep(pause)

    async def _ask_once(self, need: Need, request: Draft, abandon: bool) -> Answer:
        token = await self._login.token()
        try:
            return await self._transport.run(request, abandon=abandon)
        except Refusal as refusal:
            if refusal.status != 403:
                raise
            denied = in_our_words(refusal, need)
        if not await self._login.replaced(token):
            raise denied
        try:
            return await self._transport.run(request, abandon=abandon)
        except Refusal as refusal:
            if refusal.status != 403:
                raise
        self._login.convict()
        raise denied


def backoff(config: VaultConfig) -> Iterator[float]:
    """The pauses between the attempts at one request, in seconds."""
    for attempt in range(config.retry_max):
        yield min(config.retry_wait_min * 2**attempt, config.retry_wait_max)


def _read_missing(refusal: Refusal, need: Need) -> Versioned:
    """What a 404 says of a secret: nothing, or that a version was deleted or destroyed, and which."""
    if not refusal.nothing_there:
        raise in_our_words(refusal, need) from refusal
    data = refusal.body.get("data") or {}
    return Versioned(None, int((data.get("metadata") or {}).get("version", 0)))


def _field(answer: Answer, need: Need, name: str) -> Any:
    """A member of an answer's `data`. An engine of version 1 answers too, but otherwise."""
    try:
        return answer["data"][name]
    except (KeyError, TypeError) as error:
        raise StorageUnavailable(
            f"Vault's answer at {need.path} is not that of a KV version 2 engine; "
            "check storage.vault.secret_engine and the engine's version"
        ) from error


def _version(number: str, facts: Mapping[str, Any]) -> VersionInfo:
    return VersionInfo(
        int(number),
        datetime.fromisoformat(facts["created_time"]),
        deleted=bool(facts["deletion_time"]),
        destroyed=bool(facts["destroyed"]),
    )
