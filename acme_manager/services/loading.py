"""Fill this node's state from storage, and take up what an earlier process left unfinished."""

from __future__ import annotations

import attrs
import structlog
import trio

from acme_manager.domain.certificate import StoredCertificate, stored_from_json, stored_to_json
from acme_manager.domain.token import token_from_json
from acme_manager.errors import AcmeManagerError, StaleVersion
from acme_manager.ports import Storage
from acme_manager.services.certificates import Certificates
from acme_manager.services.issuing import Issuing
from acme_manager.services.state import State
from acme_manager.storage import keys
from acme_manager.structure import together

_log = structlog.get_logger(__name__)

_AT_ONCE = 8
_PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0)


@attrs.frozen(kw_only=True)
class Loader:
    """Reads everything once. Storage may be away when the node starts: it keeps trying, and says so."""

    storage: Storage
    state: State
    certificates: Certificates
    issuing: Issuing
    certificate_prefix: str
    token_prefix: str

    async def run(self) -> None:
        """Load, mark the state as loaded, resume orders; returns when done."""
        attempt = 0
        while True:
            try:
                await self._load()
                unfinished = await self.issuing.read_journal()
                break
            except AcmeManagerError as error:
                pause = _PAUSES[min(attempt, len(_PAUSES) - 1)]
                attempt += 1
                _log.error("state not loaded from storage", error=str(error), retry_in=pause)
                await trio.sleep(pause)
        self.state.loaded.set()
        _log.info(
            "state loaded",
            certificates=len(self.state.certificates),
            tokens=len(self.state.tokens),
            orders=len(unfinished),
        )
        for record in unfinished:
            _log.info("order resumed", key=record.certificate.id.key, url=record.order.url)
            self.certificates.resume(record.certificate, revoke=record.revoke)

    async def _load(self) -> None:
        hidden = keys.orders_prefix(self.certificate_prefix) + "/"
        found = await self.storage.list(self.certificate_prefix)
        await together(self._load_certificate, [key for key in found if not key.startswith(hidden)], at_once=_AT_ONCE)
        await together(self._load_token, await self.storage.list(self.token_prefix), at_once=_AT_ONCE)

    async def _load_certificate(self, key: str) -> None:
        value = (await self.storage.get(key)).value
        if not value or not value.get("cert"):
            return  # deleted, or an agent's backup of a key
        try:
            stored = stored_from_json(value)
            proper = keys.certificate_key(self.certificate_prefix, stored.certificate.id)
        except (ValueError, AcmeManagerError) as error:
            _log.warning("secret is no certificate of ours, left alone", key=key, error=str(error))
            return
        if key != proper:
            if keys.old_named_id_from_key(self.certificate_prefix, key) != stored.certificate.id:
                _log.warning("secret lies where it does not belong, left alone", key=key, belongs=proper)
                return
            await self._migrate(key, proper, stored)
        self.state.certificates.put(stored.certificate.id.key, stored.certificate)

    async def _migrate(self, key: str, proper: str, stored: StoredCertificate) -> None:
        """Early Go versions kept named certificates below issuer and domain."""
        try:
            await self.storage.put(proper, stored_to_json(stored), expected=0)
        except StaleVersion:
            _log.warning("old copy of a named certificate left alone", key=key, newer=proper)
            return
        await self.storage.delete(key)
        _log.info("named certificate moved to its present path", key=key, path=proper)

    async def _load_token(self, key: str) -> None:
        value = (await self.storage.get(key)).value
        if not value:
            return
        token_id = key.rpartition("/")[2]
        try:
            self.state.tokens.put(token_id, token_from_json(token_id, value))
        except ValueError as error:
            _log.warning("secret is no token, left alone", key=key, error=str(error))
