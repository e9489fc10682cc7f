"""Tokens: issue, look up, authenticate, revoke (guide, "Token Authentication")."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from weakref import WeakValueDictionary

import structlog
import trio

from acme_manager.domain.durations import parse_go_duration, parse_prometheus_duration
from acme_manager.domain.gotime import milliseconds
from acme_manager.domain.request import TokenParams
from acme_manager.domain.token import (
    Scope,
    Token,
    authenticate,
    bearer_value,
    expiry_text,
    has_expired,
    hash_secret,
    make_secret,
    matches_hash,
    split_bearer,
    token_from_json,
    token_to_secret,
)
from acme_manager.errors import Complaint, InvalidRequest, NotAuthenticated, TokenNotFound
from acme_manager.ports import Clock, Storage
from acme_manager.services.settings import Settings
from acme_manager.services.state import State
from acme_manager.storage import keys

_log = structlog.get_logger(__name__)


class Tokens:
    """The verbs of `/api/v1/token`."""

    def __init__(self, storage: Storage, state: State, clock: Clock, settings: Settings, *, prefix: str) -> None:
        self._storage, self._state, self._clock = storage, state, clock
        self._settings, self._prefix = settings, prefix
        # Storage knows no deletion on condition: two that work on the same token take turns.
        self._locks: WeakValueDictionary[str, trio.Lock] = WeakValueDictionary()

    async def create(self, params: TokenParams) -> tuple[Token, str]:
        """Make a token; returns it and its bearer value, which nobody can learn again. Raises InvalidRequest."""
        self._state.require_loaded()
        return await self._write(str(uuid.uuid4()), params)

    async def replace(self, params: TokenParams) -> tuple[Token, str]:
        """Give a token new rights and a new secret. Raises TokenNotFound, InvalidRequest."""
        async with self._turn(params.id):
            old = self.get(params.id)
            written = await self._write(old.id, params)
            if old.username != params.username:  # the path has the user's name in it
                await self._storage.purge(self._key(old))
            return written

    def get(self, token_id: str) -> Token:
        """Raises TokenNotFound."""
        self._state.require_loaded()
        token = self._state.tokens.get(token_id)
        if token is None:
            raise TokenNotFound(token_id)
        return token

    def list(self) -> Sequence[Token]:
        """Every token, in the order of their ids."""
        self._state.require_loaded()
        return [token for _, token in self._state.tokens.items()]

    async def revoke(self, token_id: str) -> None:
        """Destroy a token and its history. Raises TokenNotFound."""
        async with self._turn(token_id):
            token = self.get(token_id)
            await self._storage.purge(self._key(token))
            self._state.withdraw_token(token_id)

    def expired(self) -> Sequence[Token]:
        """The tokens whose time is over; they let nobody in. One that does not say when it ends is not among them."""
        at = self._clock.now()
        return [token for _, token in self._state.tokens.items() if _is_over(token, at)]

    async def remove_expired(self, token_id: str) -> bool:
        """As the leader, destroy a token whose time is over, as `revoke` does. Storage decides: False when it has
        another token there by now, or something that can't be read. Raises StorageUnavailable, StorageDenied."""
        async with self._turn(token_id):
            token = self._state.tokens.get(token_id)
            if token is None:
                return False
            value = (await self._storage.get(self._key(token))).value
            if value is not None:
                try:
                    stored = token_from_json(token_id, value)
                except ValueError as error:
                    _log.warning("expired token left alone: its secret is no token", id=token_id, error=str(error))
                    return False
                if not _is_over(stored, self._clock.now()):
                    return False  # replaced behind our back: the reconciler is going to publish it
                await self._storage.purge(self._key(token))
            self._state.withdraw_token(token_id)
            return True

    def authenticate(self, bearer: str) -> Token:
        """The token that a bearer value belongs to. Raises NotAuthenticated."""
        token_id, secret = split_bearer(bearer)
        self._state.require_loaded()
        token = self._state.tokens.get(token_id)
        if token is None:
            raise NotAuthenticated(f"token id '{token_id}' not found")
        authenticate(token, secret, self._clock.now())
        return token

    def check_api_key(self, key: str) -> None:
        """Raise NotAuthenticated unless this is the administrator's key. Without a configured hash none is."""
        expected = self._settings.common.api_key_hash
        if not expected or not matches_hash(key, expected):
            raise NotAuthenticated("API Key not valid")

    async def _write(self, token_id: str, params: TokenParams) -> tuple[Token, str]:
        lifetime = check_token_params(params)
        at, secret = self._clock.now(), make_secret()
        token = Token(
            id=token_id,
            token_hash=hash_secret(secret),
            username=params.username,
            scope=tuple(Scope(one) for one in params.scope),
            expires=expiry_text(None if lifetime is None else at + lifetime),
            duration=params.duration,
            updated_at=milliseconds(at),
            rate_limit_window=params.rate_limit_window,
            rate_limit_max_requests=params.rate_limit_max_requests,
            domains=params.domains,
            issuers=params.issuers,
        )
        key = self._key(token)
        known = await self._storage.get(key)
        await self._storage.put(key, token_to_secret(token), expected=known.version)
        self._state.publish_token(token)
        return token, bearer_value(token_id, secret)

    def _key(self, token: Token) -> str:
        return keys.token_key(self._prefix, token.username, token.id)

    def _turn(self, token_id: str) -> trio.Lock:
        return self._locks.setdefault(token_id, trio.Lock())


def _is_over(token: Token, at: datetime) -> bool:
    try:
        return has_expired(token, at)
    except ValueError:
        return False


def check_token_params(params: TokenParams) -> timedelta | None:
    """The lifetime asked for, None for ever. Raises InvalidRequest with every complaint, the first in Go's words."""
    complaints: list[Complaint] = []
    lifetime: timedelta | None = None
    if not params.username:
        complaints.append(Complaint("username", "missing/empty 'username' parameter"))
    else:
        try:
            keys.token_key("", params.username, "id")
        except InvalidRequest as error:
            complaints += error.complaints
    if not params.scope:
        complaints.append(Complaint("scope", "missing/empty 'scope' parameter"))
    complaints += [
        Complaint("scope", f"invalid scope value '{one}', must be in [create read update delete]")
        for one in params.scope
        if one not in set(Scope)
    ]
    if params.rate_limit_window:
        try:
            parse_go_duration(params.rate_limit_window)
        except ValueError as error:
            complaints.append(
                Complaint("rate_limit_window", f"invalid rate_limit_window '{params.rate_limit_window}': {error}")
            )
    if params.rate_limit_max_requests < 0:
        complaints.append(Complaint("rate_limit_max_requests", "rate_limit_max_requests must be non-negative"))
    if params.duration:
        try:
            lifetime = timedelta(seconds=parse_prometheus_duration(params.duration))
        except (ValueError, OverflowError) as error:
            complaints.append(Complaint("duration", f"invalid duration for 'expires' parameter: {error}"))
    if complaints:
        raise InvalidRequest(complaints[0].message, complaints[0].where, complaints)
    return lifetime
