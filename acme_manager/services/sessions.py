"""Log-ins at the web UI: sealed for the browser, opened by any node, and ended everywhere when somebody logs out.

All nodes seal with one key, which is in storage. A node reads it once and goes on with it while storage is away. To
end all sessions at once, destroy that secret: nodes look for it again every ten minutes.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import structlog
import trio
from cryptography.fernet import Fernet, InvalidToken

from acme_manager.domain.gotime import milliseconds
from acme_manager.domain.session import Proof, Session, digest_of, end_of, is_over, session_from_json, session_to_json
from acme_manager.domain.token import Scope, Token
from acme_manager.errors import NotAuthenticated, StaleVersion, StorageDenied, StorageUnavailable
from acme_manager.ports import Clock, SharedMap, Storage
from acme_manager.services.settings import Settings
from acme_manager.services.state import State
from acme_manager.services.tokens import Tokens
from acme_manager.storage import keys

_log = structlog.get_logger(__name__)

_ENDED = "session-ended/"  # followed by a digest of the session's id
_LOOK_AGAIN = 600.0  # seconds
_PATIENCE = 5.0  # seconds for storage, when a page waits for it
_LONGEST_COOKIE = 4096


class Sessions:
    """Made at log-in, checked at every request."""

    def __init__(
        self, *, storage: Storage, shared: SharedMap, state: State, tokens: Tokens, settings: Settings, clock: Clock
    ) -> None:
        self._storage, self._shared, self._state, self._tokens = storage, shared, state, tokens
        self._settings, self._clock = settings, clock
        self._where = keys.session_key(settings.vault.certificate_prefix)
        self._key: bytes | None = None
        self._read_at = -_LOOK_AGAIN
        self._turn = trio.Lock()

    def with_api_key(self, key: str) -> Session:
        """Log an administrator in. Raises NotAuthenticated."""
        self._tokens.check_api_key(key)
        return self._new(Proof.API_KEY, self._settings.common.api_key_hash, "administrator", admin=True)

    def with_token(self, bearer: str) -> Session:
        """Log an owner in. Raises NotAuthenticated, StorageUnavailable."""
        token = self._tokens.authenticate(bearer)
        return self._new(
            Proof.TOKEN, token.token_hash, token.username, token=token, owner=token.username, scope=token.scope
        )

    def with_identity(self, name: str, *, admin: bool, owner: str, scope: tuple[Scope, ...]) -> Session:
        """Log somebody in whom an OpenID provider vouches for."""
        ground = self._oidc_ground()
        if ground is None:
            raise NotAuthenticated("OpenID Connect is not configured")
        return self._new(Proof.OIDC, ground, name, admin=admin, owner=owner, scope=scope)

    async def seal(self, session: Session) -> str:
        """The session as a cookie's value. Raises StorageUnavailable, StorageDenied."""
        return await self.seal_record(session_to_json(session))

    async def seal_record(self, record: Mapping[str, Any]) -> str:
        """Anything that a browser is to bring back as it was. Raises StorageUnavailable, StorageDenied."""
        text = json.dumps(record, separators=(",", ":"))
        return Fernet(await self._sealing_key()).encrypt(text.encode()).decode()

    async def open_record(self, cookie: str) -> Mapping[str, Any] | None:
        """What `seal_record` has sealed; None for what it has not. Raises as that does."""
        if not cookie or len(cookie) > _LONGEST_COOKIE:
            return None
        key = await self._sealing_key()
        try:
            record = json.loads(Fernet(key).decrypt(cookie.encode()))
        except (InvalidToken, ValueError):
            return None
        return record if isinstance(record, dict) else None

    async def open(self, cookie: str) -> Session | None:
        """The session in a cookie; None when it has ended, or is none of ours. Raises as `seal` does."""
        record = await self.open_record(cookie)
        try:
            session = session_from_json(record or {})
        except ValueError:
            return None
        if is_over(session, self._ground_of(session), self._clock.now()):
            return None
        return None if self._shared.get(_mark(session.id)) is not None else session

    def token_of(self, session: Session) -> Token | None:
        """The token that somebody logged in with, as it is now."""
        return self._state.tokens.get(session.token_id) if session.token_id else None

    def end(self, session: Session) -> None:
        """As the leader, end a session on every node. Raises NotLeader, NoQuorum."""
        self._shared.put(_mark(session.id), b"%d" % milliseconds(session.ends))

    def forget_ended(self) -> None:
        """As the leader, forget about ended sessions that would be over by now anyway. Raises NotLeader, NoQuorum."""
        now = milliseconds(self._clock.now())
        for key, value in list(self._shared.items(_ENDED)):
            if not value.isdigit() or int(value) <= now:
                self._shared.remove(key)

    async def form_token(self, id: str) -> str:
        """What a form of that session has to bring along, so that no other site can send it. Raises as `seal` does."""
        return hmac.new(await self._sealing_key(), f"form {id}".encode(), hashlib.sha256).hexdigest()

    def _new(
        self,
        proof: Proof,
        ground: str,
        name: str,
        *,
        token: Token | None = None,
        admin: bool = False,
        owner: str = "",
        scope: tuple[Scope, ...] = (),
    ) -> Session:
        return Session(
            id=secrets.token_urlsafe(18),
            proof=proof,
            ground=digest_of(ground),
            name=name,
            ends=end_of(self._clock.now().astimezone(UTC), self._settings.config.ui.session_duration, token),
            token_id=token.id if token else "",
            admin=admin,
            owner=owner,
            scope=scope,
        )

    def _ground_of(self, session: Session) -> str | None:
        match session.proof:
            case Proof.API_KEY:
                return self._settings.common.api_key_hash or None
            case Proof.OIDC:
                return self._oidc_ground()
            case Proof.TOKEN:
                token = self.token_of(session)
                if token is None or (token.username, token.scope) != (session.owner, session.scope):
                    return None
                return token.token_hash

    def _oidc_ground(self) -> str | None:
        """Who may do what by OpenID Connect: whoever changes that wants it to count for those who are logged in."""
        oidc = self._settings.config.ui.oidc
        return None if oidc is None else repr(oidc)

    async def _sealing_key(self) -> bytes:
        if trio.current_time() < self._read_at + _LOOK_AGAIN and self._key is not None:
            return self._key
        async with self._turn:
            if trio.current_time() < self._read_at + _LOOK_AGAIN and self._key is not None:
                return self._key
            try:
                with trio.fail_after(_PATIENCE):
                    self._key = await self._read_or_make()
            except (trio.TooSlowError, StorageUnavailable, StorageDenied) as error:
                if self._key is None:
                    if isinstance(error, trio.TooSlowError):
                        raise StorageUnavailable(f"storage did not answer within {_PATIENCE:g} s", 2.0) from error
                    raise
                _log.warning("key of sessions not read again, going on with it", error=str(error))
            self._read_at = trio.current_time()
            return self._key

    async def _read_or_make(self) -> bytes:
        while True:
            found = await self._storage.get(self._where)
            if found.value is not None and (key := _usable(found.value.get("key"))):
                return key
            new = Fernet.generate_key()
            try:
                record = {"key": new.decode(), "made": datetime.isoformat(self._clock.now())}
                await self._storage.put(self._where, record, expected=found.version)
            except StaleVersion:  # another node was quicker
                continue
            return new


def _usable(key: object) -> bytes | None:
    try:
        Fernet(str(key).encode())
    except ValueError:
        return None
    return str(key).encode()


def _mark(id: str) -> str:
    return _ENDED + digest_of(id)
