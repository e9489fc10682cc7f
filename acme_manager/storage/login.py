"""Being logged in at Vault: AppRole login, renewal in time, a new login when renewal no longer helps.

Logins are single-flight: however many tasks find themselves without a good token, one asks and all share the outcome.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import structlog
import trio
from hvac.api.auth_methods import AppRole, Token

from acme_manager.config.model import VaultConfig
from acme_manager.errors import Complaint, ConfigInvalid, StorageDenied, StorageUnavailable
from acme_manager.storage.errors import Need, Refusal, Unreachable, in_our_words, login_in_our_words, may_pass
from acme_manager.storage.keys import clean_prefix
from acme_manager.storage.metrics import StorageMetrics
from acme_manager.storage.transport import Transport

_log = structlog.get_logger(__name__)

# Vault may lock a role out after a few bad logins (its default is 5 in 15 minutes): a refusal is not repeated at once.
_AFTER_REFUSAL = 60.0
_AFTER_REFUSED_TRIAL = 300.0
_REVOCATION = 2.0
_SHORTEST = 0.02  # however short the configured pauses, never a busy loop
# How long a 403 that survived a fresh login counts as the policy's word, so that not every call costs a login.
_CONVICTED = 60.0


@attrs.frozen
class Granted:
    """A token, and for how many seconds; 0 is for ever."""

    token: str = attrs.field(repr=False)
    lease: float


class Login:
    """Owns the token of a transport's adapter."""

    def __init__(self, config: VaultConfig, transport: Transport, metrics: StorageMetrics) -> None:
        self._config, self._transport, self._metrics = config, transport, metrics
        self._approle, self._tokens = AppRole(transport.adapter), Token(transport.adapter)
        self._one_at_a_time = trio.Lock()
        self._attempts = 0
        self._trouble: StorageUnavailable | StorageDenied | None = None
        self._refused_until = -math.inf
        self._refused: tuple[VaultConfig | None, float, str] = None, -math.inf, ""  # when tried out; until; why
        self._lease = math.inf  # seconds that the login granted
        self._renew_at = math.inf
        self._lease_changed = trio.Event()
        self._convicted, self._convicted_until = "", -math.inf

    async def token(self) -> str:
        """The token in use; logs in when there is none. Raises StorageUnavailable, StorageDenied."""
        token: str | None = self._transport.adapter.token
        return token if token is not None else await self._log_in(None)

    async def replaced(self, refused: str) -> bool:
        """After a 403 with a token: whether the request is worth repeating, with another token that is in use now.

        Vault says 403 alike for a token that has ended and for a policy that lacks something.
        Raises StorageUnavailable, StorageDenied.
        """
        if refused == self._convicted and trio.current_time() < self._convicted_until:
            return False
        await self._log_in(refused)
        return True

    def convict(self) -> None:
        """A fresh token was refused too: for a while, 403 is about the policy."""
        self._convicted, self._convicted_until = self._transport.adapter.token or "", trio.current_time() + _CONVICTED

    async def keep_logged_in(self) -> None:
        """Log in, renew at two thirds of the lease, and so on for ever; while Vault is away, keep trying."""
        pause = self._config.retry_wait_min
        while True:
            try:
                if self._transport.adapter.token is None:
                    await self._log_in(None)
                elif trio.current_time() >= self._renew_at:
                    await self._renew()
            except (StorageUnavailable, StorageDenied) as error:
                wait = _AFTER_REFUSAL if isinstance(error, StorageDenied) else max(pause, _SHORTEST)
                _log.warning("vault login or renewal failed", reason=str(error), retry_in=wait)
                await trio.sleep(wait)
                pause = min(pause * 2, self._config.retry_wait_max)
                continue
            pause = self._config.retry_wait_min
            with trio.move_on_at(self._renew_at):
                await self._lease_changed.wait()

    async def log_out(self) -> None:
        """Revoke the token, so that it does not outlive us. Failing that is no matter: it ends by itself."""
        token, self._transport.adapter.token = self._transport.adapter.token, None
        if token is not None:
            await self._revoke(token)

    @asynccontextmanager
    async def prepared(self, config: VaultConfig) -> AsyncIterator[Callable[[], None]]:
        """Log in with what `config` says while the login in use stays; in the block, the step that goes over to it.

        Whichever of the two tokens is not in use afterwards is revoked. Raises ConfigInvalid when the login fails.
        """
        granted, unused = None, None

        def step() -> None:
            nonlocal unused
            self._config = config
            if granted is not None:
                unused = self._transport.adapter.token
                self._accept(granted)

        try:
            async with self._one_at_a_time:
                if _credentials(config) != _credentials(self._config):
                    granted = await self._try_out(config)
                    unused = granted.token
                yield step
        finally:
            if unused is not None:
                with trio.move_on_after(_REVOCATION, shield=True):
                    await self._revoke(unused)

    async def _try_out(self, config: VaultConfig) -> Granted:
        """A login that leaves the one in use alone. One that was refused is not repeated for a while."""
        refused, until, why = self._refused
        if refused == config and trio.current_time() < until:
            raise ConfigInvalid("config", [Complaint("storage.vault", why)])
        try:
            with self._metrics.logins.count():
                return await self._ask_for_token(config)
        except (Unreachable, Refusal) as error:
            trouble = login_in_our_words(error, _path(config))
            why = f"the new login fails: {trouble}"
            if isinstance(trouble, StorageDenied):
                self._refused = config, trio.current_time() + _AFTER_REFUSED_TRIAL, why
            raise ConfigInvalid("config", [Complaint("storage.vault", why)]) from error

    async def _revoke(self, token: str) -> None:
        try:
            await self._transport.run(Token(self._transport.adapter_for(token)).revoke_self, abandon=True)
        except (Unreachable, Refusal) as error:
            _log.info("vault token was not revoked", reason=str(error))

    async def _log_in(self, instead_of: str | None) -> str:
        """Get a token, unless another task has just got or failed to get one."""
        seen = self._attempts
        async with self._one_at_a_time:
            current: str | None = self._transport.adapter.token
            if current is not None and current != instead_of:
                return current
            if self._trouble and (self._attempts != seen or trio.current_time() < self._refused_until):
                raise type(self._trouble)(str(self._trouble))
            with self._metrics.logins.count():
                return await self._log_in_once()

    async def _log_in_once(self) -> str:
        config = self._config
        try:
            granted = await self._ask_for_token(config)
        except (Unreachable, Refusal) as error:
            self._attempts += 1
            self._trouble = login_in_our_words(error, _path(config))
            if isinstance(self._trouble, StorageDenied):
                self._refused_until = trio.current_time() + _AFTER_REFUSAL
            raise self._trouble from error
        self._attempts += 1
        self._accept(granted)
        return granted.token

    async def _ask_for_token(self, config: VaultConfig) -> Granted:
        role, secret, mount = config.role_id, config.secret_id, clean_prefix(config.mount_path)
        return _granted(
            await self._transport.run(
                lambda: self._approle.login(role, secret, use_token=False, mount_point=mount), abandon=True
            )
        )

    def _accept(self, granted: Granted) -> None:
        self._trouble, self._refused_until = None, -math.inf
        self._transport.adapter.token = granted.token
        self._lease = granted.lease or math.inf  # 0 is a token without an end
        self._plan_renewal(self._lease)
        _log.info("logged in at vault", lease_seconds=self._lease)

    async def _renew(self) -> None:
        """Prolong the token; when that gives less than a login would (max_ttl is near) or is refused, log in anew."""
        token = self._transport.adapter.token
        try:
            lease = _granted(await self._transport.run(self._tokens.renew_self, abandon=True)).lease
        except (Unreachable, Refusal) as error:
            if may_pass(error):
                raise in_our_words(error, Need("update", "auth/token/renew-self")) from error
            _log.info("vault token can't be renewed", reason=str(error))
            lease = 0.0
        if lease < self._lease:
            await self._log_in(token)
        else:
            self._plan_renewal(lease)

    def _plan_renewal(self, lease: float) -> None:
        self._renew_at = trio.current_time() + lease * 2 / 3
        self._lease_changed.set()
        self._lease_changed = trio.Event()


def _credentials(config: VaultConfig) -> tuple[str, ...]:
    return config.role_id, config.secret_id, config.mount_path


def _path(config: VaultConfig) -> str:
    return f"auth/{clean_prefix(config.mount_path)}/login"


def _granted(answer: Mapping[str, Any]) -> Granted:
    """What an answer grants. Raises Refusal for one that grants nothing."""
    try:
        return Granted(str(answer["auth"]["client_token"]), float(answer["auth"]["lease_duration"]))
    except (KeyError, TypeError, ValueError) as error:
        raise Refusal(502, ["the answer to the login grants no token; is that Vault?"], {}) from error
