"""Being logged in at Vault: AppRole login, renewal in time, a new login when renewal no longer helps.

Logins are single-flight: however many tasks find themselves without a good token, one asks and all share the outcome.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import structlog
import trio
from hvac.api.auth_methods import AppRole, Token

from acme_manager.config.model import VaultConfig
from acme_manager.errors import StorageDenied, StorageUnavailable
from acme_manager.storage.errors import Need, Refusal, Unreachable, in_our_words, login_in_our_words, may_pass
from acme_manager.storage.keys import clean_prefix
from acme_manager.storage.metrics import StorageMetrics
from acme_manager.storage.transport import Transport

_log = structlog.get_logger(__name__)

# Vault may lock a role out after a few bad logins (its default is 5 in 15 minutes): a refusal is not repeated at once.
_AFTER_REFUSAL = 60.0
_SHORTEST = 0.02  # however short the configured pauses, never a busy loop
# How long a 403 that survived a fresh login counts as the policy's word, so that not every call costs a login.
_CONVICTED = 60.0


class Login:
    """Owns the token of a transport's adapter."""

    def __init__(self, config: VaultConfig, transport: Transport, metrics: StorageMetrics) -> None:
        self._config, self._transport, self._metrics = config, transport, metrics
        self._mount = clean_prefix(config.mount_path)
        self._approle, self._tokens = AppRole(transport.adapter), Token(transport.adapter)
        self._one_at_a_time = trio.Lock()
        self._attempts = 0
        self._trouble: StorageUnavailable | StorageDenied | None = None
        self._refused_until = -math.inf
        self._lease = math.inf  # seconds that the login granted
        self._renew_at = math.inf
        self._lease_changed = trio.Event()
        self._convicted, self._convicted_until = "", -math.inf

    @property
    def _path(self) -> str:
        return f"auth/{self._mount}/login"

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
        if self._transport.adapter.token is None:
            return
        try:
            await self._transport.run(self._tokens.revoke_self, abandon=True)
        except (Unreachable, Refusal) as error:
            _log.info("vault token was not revoked", reason=str(error))
        self._transport.adapter.token = None

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
                return await self._ask_for_token()

    async def _ask_for_token(self) -> str:
        role, secret = self._config.role_id, self._config.secret_id
        try:
            answer = await self._transport.run(
                lambda: self._approle.login(role, secret, use_token=False, mount_point=self._mount), abandon=True
            )
            token, lease = _granted(answer)
        except (Unreachable, Refusal) as error:
            self._attempts += 1
            self._trouble = login_in_our_words(error, self._path)
            if isinstance(self._trouble, StorageDenied):
                self._refused_until = trio.current_time() + _AFTER_REFUSAL
            raise self._trouble from error
        self._attempts += 1
        self._trouble = None
        self._transport.adapter.token = token
        self._lease = lease or math.inf  # 0 is a token without an end
        self._plan_renewal(self._lease)
        _log.info("logged in at vault", lease_seconds=self._lease)
        return token

    async def _renew(self) -> None:
        """Prolong the token; when that gives less than a login would (max_ttl is near) or is refused, log in anew."""
        token = self._transport.adapter.token
        try:
            _, lease = _granted(await self._transport.run(self._tokens.renew_self, abandon=True))
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


def _granted(answer: Mapping[str, Any]) -> tuple[str, float]:
    """The token and its lease in seconds. Raises Refusal for an answer that has none."""
    try:
        return str(answer["auth"]["client_token"]), float(answer["auth"]["lease_duration"])
    except (KeyError, TypeError, ValueError) as error:
        raise Refusal(502, ["the answer to the login grants no token; is that Vault?"], {}) from error
