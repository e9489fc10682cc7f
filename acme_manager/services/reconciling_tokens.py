"""The part of the leader's look through storage that is about tokens (see reconciling.py)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

import attrs
import structlog

from acme_manager.domain.token import Token, token_from_json
from acme_manager.errors import InvalidRequest
from acme_manager.ports import Storage
from acme_manager.services.resync import Resync
from acme_manager.services.state import State
from acme_manager.storage import keys
from acme_manager.structure import together

_log = structlog.get_logger(__name__)


@attrs.frozen
class TokenReconciler:
    """A token belongs below its username: whoever may write there must not make tokens of others."""

    storage: Storage
    state: State
    prefix: str

    async def compare(self, done: Resync, *, at_once: int) -> None:
        """Compare every token once. Raises StorageUnavailable, StorageDenied, OutcomeUnknown."""
        places: dict[str, list[str]] = defaultdict(list)
        for key in await self.storage.list(self.prefix):
            places[key.rpartition("/")[2]].append(key)
        await together(partial(self._token, done), list(places.items()), at_once=at_once)
        orphans = [token for id, token in self.state.tokens.items() if id not in places]
        await together(partial(self._orphan, done), orphans, at_once=at_once)

    async def _token(self, done: Resync, one: tuple[str, Sequence[str]]) -> None:
        id, places = one
        known = self.state.tokens.get(id)
        key = places[0] if len(places) == 1 else await self._latest(places)
        value = (await self.storage.get(key)).value
        if not value:
            self._withdraw(done, known, key)
            return
        done.tokens += 1
        try:
            token = token_from_json(id, value)
            proper = keys.token_key(self.prefix, token.username, id)
        except (ValueError, InvalidRequest) as error:
            _log.warning("secret is no token, left alone", key=key, error=str(error))
            return
        if key != proper:
            _log.warning("token lies where it does not belong, left alone", key=key, belongs=proper)
            return
        if self.state.tokens.get(id) is known and (known is None or attrs.evolve(known, updated_at=0) != token):
            try:
                self.state.publish_token(token)
            except InvalidRequest as error:
                _log.warning("token is too large to be shared, left alone", key=key, error=str(error))
                return
            done.tokens_changed.append(id)

    async def _latest(self, places: Sequence[str]) -> str:
        """The Go original leaves the old secret behind when a token gets another username: the newest one counts."""
        histories = [(key, await self.storage.versions(key)) for key in places]
        return max((history[-1].created, key) for key, history in histories if history)[1]

    async def _orphan(self, done: Resync, token: Token) -> None:
        key = keys.token_key(self.prefix, token.username, token.id)
        if not (await self.storage.get(key)).value:  # else it has been made since the list was read
            self._withdraw(done, token, key)

    def _withdraw(self, done: Resync, known: Token | None, key: str) -> None:
        if known is not None and self.state.tokens.get(known.id) is known:
            self.state.withdraw_token(known.id)
            done.tokens_gone.append(known.id)
            _log.info("token is gone from storage", id=known.id, key=key)
