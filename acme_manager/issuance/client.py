"""A conversation with one CA: its directory, its nonces, signed requests, and errors as ours (RFC 8555 section 6)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import trio
from acme import messages
from josepy.errors import DeserializationError

from acme_manager.errors import AcmeManagerError, IssuanceFailed, IssuerUnavailable
from acme_manager.issuance.jws import AccountKey
from acme_manager.issuance.nonces import NoncePool
from acme_manager.issuance.problems import error_for, read_problem
from acme_manager.issuance.retry import RetryRules, patiently
from acme_manager.issuance.transport import Answer, Transport

_DIRECTORY_LIFETIME = 3600.0  # seconds
_NONCE_TRIES = 20  # a CA under test refuses every second nonce; one in a million orders would still fail


class AcmeClient:
    """Everything raises IssuanceFailed, IssuerRateLimited or IssuerUnavailable, and nothing else.

    `doing` arguments say what a request is for in errors: `new order`.
    """

    def __init__(self, transport: Transport, rules: RetryRules) -> None:
        self.issuer = transport.issuer
        self._transport, self._rules = transport, rules
        self._nonces = NoncePool()
        self._directory: messages.Directory | None = None
        self._stale_at = 0.0
        self._asking = trio.Lock()

    async def directory(self, *, fresh: bool = False) -> messages.Directory:
        """The CA's directory, asked for again after an hour or when it is wanted fresh."""
        async with self._asking:
            if self._directory is None or fresh or trio.current_time() >= self._stale_at:
                self._directory = await self._read_directory()
                self._stale_at = trio.current_time() + _DIRECTORY_LIFETIME
            return self._directory

    async def url_of(self, resource: str) -> str:
        """The URL of a resource by its name in the directory: `newOrder`."""
        url = await self.find_url(resource)
        if not url:
            raise IssuanceFailed(f"issuer '{self.issuer}': the CA has no '{resource}' in its directory")
        return url

    async def find_url(self, resource: str) -> str:
        """The URL of a resource that not every CA has; empty for those that don't."""
        url = (await self.directory()).to_partial_json().get(resource)
        return url if isinstance(url, str) else ""

    async def get(self, doing: str, url: str) -> Answer | None:
        """Fetch something that needs no signature; None for what the CA doesn't have (404)."""

        async def attempt() -> Answer:
            return await self._transport.send("GET", url)

        answer = await patiently(self._rules, attempt, lambda failed: self.error(doing, failed))
        if answer.status == 404:
            return None
        if not answer.ok:
            raise self._refused(doing, answer)
        return answer

    async def post(
        self,
        doing: str,
        url: str,
        payload: Mapping[str, Any] | None,
        key: AccountKey,
        kid: str = "",
        *,
        accept: str = "",
    ) -> Answer:
        """Send a signed request and return its successful answer; a payload of None makes it a POST-as-GET.

        Without `kid`, the account's URL, the key itself is sent along. A retry is signed anew with a fresh nonce.
        """
        content = b"" if payload is None else json.dumps(payload, separators=(",", ":")).encode()

        async def attempt() -> Answer:
            return await self._signed(url, content, payload, key, kid, accept)

        answer = await patiently(self._rules, attempt, lambda failed: self.error(doing, failed))
        if not answer.ok:
            raise self._refused(doing, answer)
        return answer

    def error(self, doing: str, answer: Answer) -> AcmeManagerError:
        """What to raise for an unsuccessful answer."""
        problem = read_problem(answer.body, answer.status)
        return error_for(self.issuer, doing, answer.status, problem, answer.retry_after)

    def document(self, doing: str, answer: Answer) -> Mapping[str, Any]:
        """The JSON object in an answer."""
        try:
            found = json.loads(answer.body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise IssuerUnavailable(f"issuer '{self.issuer}': {doing}: the CA's answer is no JSON object")
        return found

    def _refused(self, doing: str, answer: Answer) -> AcmeManagerError:
        if 300 <= answer.status < 400:
            return IssuanceFailed(
                f"issuer '{self.issuer}': {doing}: the CA redirects to {answer.headers.get('location', 'nowhere')};"
                " redirects are not followed"
            )
        if answer.status in {404, 405}:
            self._stale_at = 0.0  # perhaps the CA has moved its resources
        return self.error(doing, answer)

    async def _signed(self, url: str, content: bytes, payload: Any, key: AccountKey, kid: str, accept: str) -> Answer:
        """One attempt as far as retries go: refused nonces don't count, the refusal brings the next one along."""
        nonce = self._nonces.take()
        for _ in range(_NONCE_TRIES):
            if nonce is None:
                nonce = await self._new_nonce()
            body = key.sign(url, content, nonce=nonce, kid=kid)
            answer = await self._transport.send("POST", url, body, accept=accept, payload=payload)
            next_nonce = answer.headers.get("replay-nonce")
            if answer.status != 400 or not _is_bad_nonce(answer):
                self._nonces.put(next_nonce)
                return answer
            nonce = next_nonce
        return answer

    async def _new_nonce(self) -> str:
        url = await self.url_of("newNonce")
        answer = await self._transport.send("HEAD", url)
        nonce = answer.headers.get("replay-nonce")
        if not nonce:
            failure = self.error("new nonce", answer)
            raise failure if not answer.ok else IssuerUnavailable(f"issuer '{self.issuer}': the CA gives no nonces")
        return str(nonce)

    async def _read_directory(self) -> messages.Directory:
        url = str(self._transport.directory_url)
        answer = await self.get("directory", url)
        if answer is None:
            raise IssuanceFailed(f"issuer '{self.issuer}': there is nothing at {url} (404); check ca_dir_url")
        document = dict(self.document("directory", answer))
        if not isinstance(document.get("newOrder"), str):
            raise IssuanceFailed(f"issuer '{self.issuer}': {url} is no ACME directory; check ca_dir_url")
        try:
            return messages.Directory.from_json(document)
        except (DeserializationError, TypeError, AttributeError) as error:
            raise IssuerUnavailable(f"issuer '{self.issuer}': its directory can't be read: {error}") from error


def _is_bad_nonce(answer: Answer) -> bool:
    problem = read_problem(answer.body, answer.status)
    return problem is not None and problem.code == "badNonce"
