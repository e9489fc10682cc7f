"""The token expiry checker (guide, "Background Workers"): tokens whose time is over disappear everywhere.

They let nobody in from the moment at which they expire. Every node reports them; the leader destroys them in storage
and takes them out of the shared map.
"""

from __future__ import annotations

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from acme_manager.domain.token import Token
from acme_manager.errors import AcmeManagerError
from acme_manager.ports import Cluster
from acme_manager.services.audit import Audit
from acme_manager.services.tokens import Tokens
from acme_manager.structure import together

_log = structlog.get_logger(__name__)

_AT_ONCE = 4


class TokenExpiry:
    """Remembers which expired tokens it has reported."""

    def __init__(self, tokens: Tokens, cluster: Cluster, registry: CollectorRegistry, audit: Audit) -> None:
        self._tokens, self._cluster, self._audit = tokens, cluster, audit
        self._reported: frozenset[str] = frozenset()
        self._there = Gauge(
            "acme_manager_tokens_expired", "Tokens that have expired and are not removed yet", registry=registry
        )
        self._removed = Counter(
            "acme_manager_tokens_removed", "Expired tokens that this node has removed as the leader", registry=registry
        )

    async def look(self) -> None:
        """One round. A token that can't be removed hinders no other; the first error is raised after all of them.

        Raises StorageUnavailable, StorageDenied, OutcomeUnknown.
        """
        expired = self._tokens.expired()
        for token in expired:
            if token.id not in self._reported:
                _log.info("token has expired", id=token.id, username=token.username, expired=token.expires)
        self._reported = frozenset(token.id for token in expired)
        if self._cluster.leads():
            errors = [error for error in await together(self._remove, expired, at_once=_AT_ONCE) if error is not None]
            self._there.set(len(self._tokens.expired()))
            if errors:
                raise errors[0]
        else:
            self._there.set(len(expired))

    async def _remove(self, token: Token) -> AcmeManagerError | None:
        try:
            if await self._tokens.remove_expired(token.id):
                self._removed.inc()
                _log.info("expired token removed", id=token.id, username=token.username)
                self._audit.note_own("token.expire", token.id, owner=token.username)
        except AcmeManagerError as error:
            _log.error("expired token not removed", id=token.id, username=token.username, error=str(error))
            return error
        return None
