"""The server's API as the agent uses it. One request is tried at several servers and several times, if that is safe.

Safe are requests that only read, and any request that did not get as far as a server. A request that may have reached
one is never made twice: the CA behind it would see two orders. The next run finds out what became of it.
"""

from __future__ import annotations

import random
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import quote

import attrs
import httpx
import structlog
import trio

from acme_manager import __version__
from acme_manager.client.model import Listed
from acme_manager.domain.certificate import (
    Certificate,
    StoredCertificate,
    certificate_from_json,
    stored_from_json,
)
from acme_manager.errors import AcmeManagerError

T = TypeVar("T")
_log = structlog.get_logger(__name__)

READ_TIMEOUT = 60.0  # seconds for a request that the server answers by itself
_CONNECT_TIMEOUT = 10.0
_WHO = {"User-Agent": f"acme-manager-client/{__version__}"}
_AGAIN = frozenset({429, 500, 502, 503, 504})
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class ManagerUnavailable(AcmeManagerError):
    """No server gave an answer that can be used; trying again later may help."""


class ManagerRefused(AcmeManagerError):
    """The server says no. `status` is HTTP's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@attrs.frozen(kw_only=True)
class Access:
    """Where the servers are, and who we are there. URLs end in `/api/v1`."""

    urls: tuple[str, ...]
    token: str = attrs.field(repr=False)
    verify: ssl.SSLContext | bool = True
    wait_timeout: float = 270.0  # seconds for a request that waits for the CA


@attrs.frozen
class Event:
    """What a server says of our certificates: their digest (domain/digest.py), and whether it is not the known one."""

    digest: str
    changed: bool


@attrs.frozen(kw_only=True)
class Retries:
    """How often a safe request is made, and the pauses between in seconds."""

    most: int = 4
    wait_min: float = 1.0
    wait_max: float = 30.0
    statuses: frozenset[int] = frozenset()  # besides those that always are

    def pause(self, attempt: int, asked_for: float | None) -> float:
        """How long to wait; a server that says how long is believed, up to the longest pause."""
        if asked_for is not None:
            return min(asked_for, self.wait_max)
        longest = min(self.wait_max, self.wait_min * 2**attempt)
        return random.uniform(self.wait_min, max(self.wait_min, longest))  # noqa: S311 it spreads load


@attrs.define
class Preference:
    """Which server is asked first: the one that was asked last, so that one that is away costs its timeout once."""

    url: str = ""

    def order(self, urls: Sequence[str]) -> list[str]:
        """The servers as they are to be asked."""
        first = urls.index(self.url) if self.url in urls else 0
        return [*urls[first:], *urls[:first]]


class Manager:
    """Raises ManagerUnavailable and ManagerRefused."""

    def __init__(
        self, access: Access, retries: Retries, client: httpx.AsyncClient, preference: Preference | None = None
    ) -> None:
        self._access, self._retries, self._client = access, retries, client
        self._preference = preference or Preference()
        self._urls = self._preference.order(access.urls)

    async def username(self) -> str:
        """Whose token it is: the owner of all that we see."""
        return str((await self._ask("GET", "/token/self"))["username"])

    async def certificates(self) -> Sequence[Listed]:
        """The metadata of everything that belongs to us."""
        listed = await self._ask("GET", "/certificate/metadata")
        if not isinstance(listed, list):
            raise ManagerUnavailable("the server's list of certificates can't be read: it is no list")
        return [_read(_listed, one) for one in listed]

    async def fetch(self, certificate: Certificate) -> StoredCertificate:
        """A certificate with its text."""
        return _read(stored_from_json, await self._ask("GET", _path(certificate)))

    async def create(self, params: Mapping[str, Any]) -> StoredCertificate:
        """Request a certificate and wait for it."""
        return _read(stored_from_json, await self._change("POST", "/certificate", params))

    async def update(self, params: Mapping[str, Any]) -> StoredCertificate:
        """Have a certificate made anew, or its facts changed."""
        return _read(stored_from_json, await self._change("PUT", "/certificate", params))

    async def renew(self, certificate: Certificate) -> StoredCertificate:
        """Have a certificate renewed now."""
        whose = {"issuer": certificate.issuer, "domain": certificate.domain, "name": certificate.name}
        return _read(stored_from_json, await self._change("POST", "/certificate/renew", whose))

    async def delete(self, certificate: Certificate, *, revoke: bool) -> None:
        """Delete a certificate, with `revoke` not before it has been revoked; one that is gone is no error."""
        try:
            await self._change(
                "DELETE", f"{_path(certificate)}{'&' if certificate.name else '?'}revoke={str(revoke).lower()}"
            )
        except ManagerRefused as error:
            if error.status != httpx.codes.NOT_FOUND:
                raise

    async def events(self, known: str, wait: float) -> Event:
        """Wait until the digest of our certificates is not `known`, for `wait` seconds at most.

        A server that does not answer costs a look at the next one, and none is asked twice.
        """
        path = f"/events?digest={quote(known, safe='')}&wait={wait:g}"
        for _ in self._access.urls:
            try:
                response = await self._send("GET", path, None, wait + _CONNECT_TIMEOUT)
            except httpx.HTTPError as error:
                trouble = f"{type(error).__name__}: {error}"
            else:
                if response.status_code not in _AGAIN:
                    return _read(lambda it: Event(str(it["digest"]), it["changed"] is True), _document(response))
                trouble = _message(response)
            self._turn_to_the_next()
        raise ManagerUnavailable(f"no server tells of changes: {trouble}")

    async def report(self, document: Mapping[str, Any]) -> None:
        """Tell what is installed and served on this host."""
        await self._change("POST", "/certificate/report", document, patience=READ_TIMEOUT)

    async def _ask(self, method: str, path: str) -> Any:
        """A request that only reads: tried again and again, at every server."""
        for attempt in range(self._retries.most + 1):
            asked_for: float | None = None
            try:
                response = await self._send(method, path, None, READ_TIMEOUT)
            except httpx.HTTPError as error:
                trouble = f"{type(error).__name__}: {error}"
                self._turn_to_the_next()
            else:
                if response.status_code not in _AGAIN | self._retries.statuses:
                    return _document(response)
                trouble, asked_for = _message(response), _retry_after(response)
                self._turn_to_the_next()
            everybody_was_asked = (attempt + 1) % len(self._urls) == 0
            if everybody_was_asked and attempt < self._retries.most:
                pause = self._retries.pause(attempt, asked_for)
                _log.debug("server did not answer", path=path, error=trouble, retry_in=round(pause, 3))
                await trio.sleep(pause)
        raise ManagerUnavailable(f"no server answers {method} {path}: {trouble}")

    async def _change(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, patience: float | None = None
    ) -> Any:
        """A request that changes something: the first server that it reaches gets it, once."""
        trouble = ""
        for _ in self._access.urls:
            try:
                response = await self._send(method, path, body, patience or self._access.wait_timeout)
            except _UNSENT as error:
                trouble = f"{type(error).__name__}: {error}"
                self._turn_to_the_next()
                continue
            except httpx.HTTPError as error:
                raise ManagerUnavailable(
                    f"{method} {path} was sent, and what became of it is not known: {type(error).__name__}: {error}"
                ) from error
            if response.status_code in _AGAIN:
                raise ManagerUnavailable(f"{method} {path}: {_message(response)}")
            return _document(response)
        raise ManagerUnavailable(f"no server can be reached for {method} {path}: {trouble}")

    def _turn_to_the_next(self) -> None:
        self._urls.append(self._urls.pop(0))
        self._preference.url = self._urls[0]

    async def _send(self, method: str, path: str, body: Mapping[str, Any] | None, patience: float) -> httpx.Response:
        return await self._client.request(
            method,
            self._urls[0].rstrip("/") + path,
            json=None if body is None else dict(body),
            headers={"Authorization": f"Bearer {self._access.token}"},
            timeout=httpx.Timeout(patience, connect=_CONNECT_TIMEOUT),
        )


@asynccontextmanager
async def open_manager(
    access: Access, retries: Retries, preference: Preference | None = None
) -> AsyncIterator[Manager]:
    """The API for the length of a block; a `preference` outlives it."""
    async with httpx.AsyncClient(verify=access.verify, follow_redirects=False, headers=_WHO) as client:
        yield Manager(access, retries, client, preference)


def _path(certificate: Certificate) -> str:
    """Where a certificate is: by its name where it has one."""
    if certificate.name:
        place = f"{quote(certificate.issuer, safe='')}/{quote(certificate.domain, safe='')}"
        return f"/certificate/{place}?name={quote(certificate.name, safe='')}"
    return f"/certificate/{quote(certificate.issuer, safe='')}/{quote(certificate.domain, safe='')}"


def _listed(document: Mapping[str, Any]) -> Listed:
    certificate, renewal = certificate_from_json(document), document.get("renewal")
    wanted = isinstance(renewal, Mapping) and renewal.get("new_key_wanted") is True
    return Listed(**attrs.asdict(certificate, recurse=False), new_key_wanted=wanted)


def _document(response: httpx.Response) -> Any:
    if response.is_error or response.is_redirect:
        raise ManagerRefused(_message(response), response.status_code)
    if not response.content:
        return None
    try:
        return response.json()
    except ValueError as error:
        raise ManagerUnavailable(f"the server's answer can't be read: {error}") from error


def _read(read: Callable[[Any], T], document: Any) -> T:
    try:
        return read(document)
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise ManagerUnavailable(f"the server's answer can't be read: {error!r}") from error


def _message(response: httpx.Response) -> str:
    """What the server says, in the members that ours and the Go original use."""
    try:
        document = response.json()
    except ValueError:
        document = {}
    said = [document.get(member) for member in ("detail", "error", "err")] if isinstance(document, dict) else []
    return next((one for one in said if isinstance(one, str) and one), f"HTTP status {response.status_code}")


def _retry_after(response: httpx.Response) -> float | None:
    value = response.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdecimal() else None
