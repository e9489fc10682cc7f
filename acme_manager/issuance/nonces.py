"""Anti-replay nonces that CAs have given us and that we have not used yet (RFC 8555 section 6.5)."""

from __future__ import annotations

import re
from collections import deque

_ENOUGH = 32  # CAs forget old ones; more would only raise the share of refused ones
_SHAPE = re.compile(r"[A-Za-z0-9_-]{1,512}={0,2}")


class NoncePool:
    """The newest is given out first, since old ones go stale."""

    def __init__(self) -> None:
        self._nonces: deque[str] = deque(maxlen=_ENOUGH)

    def put(self, nonce: str | None) -> None:
        """Keep the Replay-Nonce of a response; what is none by RFC 8555 section 6.5.1 is ignored."""
        if nonce and _SHAPE.fullmatch(nonce):
            self._nonces.append(nonce)

    def take(self) -> str | None:
        """A nonce, or None when a new one has to be asked for."""
        return self._nonces.pop() if self._nonces else None

    def clear(self) -> None:
        """Forget all: the CA has forgotten them too."""
        self._nonces.clear()
