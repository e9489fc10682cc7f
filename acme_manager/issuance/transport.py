"""Requests to a CA, one attempt each: bounded in time, size and number, counted, and logged when asked for."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import attrs
import httpx
import structlog
import trio

from acme_manager import __version__
from acme_manager.config.model import Common, IssuerConfig
from acme_manager.connections import KeptConnections, causes, proxy_for
from acme_manager.errors import Complaint, ConfigInvalid, IssuanceFailed, IssuerUnavailable
from acme_manager.issuance.budget import Budget
from acme_manager.issuance.metrics import IssuanceMetrics
from acme_manager.issuance.trust import check_url, tls_context
from acme_manager.ports import Clock

_log = structlog.get_logger(__name__)

_LARGEST = 1024 * 1024
_CONNECTIONS = 8  # orders share them; more only makes CAs throttle
_IDLE = 30.0  # seconds after which an unused one is not used again
_TIMEOUT = httpx.Timeout(connect=10, read=30, write=30, pool=60)
_HEADERS = {
    "User-Agent": f"acme-manager/{__version__}",
    "Accept": "*/*",
    "Accept-Encoding": "identity",  # what isn't compressed can't blow up
    "Accept-Language": "en",
}
_SECRET = frozenset({"token", "keyAuthorization", "externalAccountBinding", "hmac", "secret_id", "signature"})


@attrs.frozen
class Answer:
    """What a CA answered, and when."""

    status: int
    headers: httpx.Headers
    body: bytes = attrs.field(repr=False)
    at: datetime

    @property
    def ok(self) -> bool:
        """Whether it is a success."""
        return 200 <= self.status < 300

    @property
    def retry_after(self) -> float | None:
        """Retry-After in seconds (RFC 9110 section 10.2.3); a date counts from the answer's own, if it has one."""
        text = self.headers.get("retry-after", "").strip()
        if text.isdecimal():
            return float(text[:9])
        then = _http_date(text)
        if then is None:
            return None
        now = _http_date(self.headers.get("date", "")) or self.at
        return max(0.0, (then - now).total_seconds())


def _http_date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


class Unreachable(IssuerUnavailable):
    """No answer came. `stale`: a kept connection was closed under us, which says nothing about the CA's health."""

    def __init__(self, message: str, *, stale: bool = False, hopeless: bool = False) -> None:
        super().__init__(message)
        self.stale, self.hopeless = stale, hopeless


class Transport:
    """Sends to one CA.

    Over httpx's transport and not its client: with redirects, cookies and authentication out of the question, all that
    the client would add is a fifth of the CPU time of a request.
    """

    def __init__(
        self,
        wire: httpx.AsyncBaseTransport,
        config: IssuerConfig,
        metrics: IssuanceMetrics,
        clock: Clock,
        *,
        debug: bool = False,
        server_name: str = "",
    ) -> None:
        self.issuer, self.directory_url = config.name, check_url(config.name, config.ca_dir_url)
        self._wire, self._metrics, self._clock, self._debug = wire, metrics, clock, debug
        self._extensions: dict[str, Any] = {"timeout": _TIMEOUT.as_dict()}
        if server_name:
            self._extensions["sni_hostname"] = server_name
        self._budget = Budget.full(config.overall_request_limit, trio.current_time())

    async def send(
        self, method: str, url: str, body: bytes | None = None, *, accept: str = "", payload: Any = None
    ) -> Answer:
        """Send one request; redirects are not followed. `payload` is what `body` has inside, for the log.

        Raises Unreachable, and IssuanceFailed for a URL that must not be used.
        """
        target = check_url(self.issuer, url, self.directory_url)
        self._budget, wait = self._budget.spend(trio.current_time())
        if wait:
            await trio.sleep(wait)
        headers = dict(_HEADERS)
        if body is not None:
            headers["Content-Type"] = "application/jose+json"
        if accept:
            headers["Accept"] = accept
        request = httpx.Request(method, target, content=body, headers=headers, extensions=self._extensions)
        try:
            answer = await self._exchange(request)
        except httpx.HTTPError as error:
            self._metrics.requests.labels(self.issuer, "error").inc()
            raise _unreachable(self.issuer, method, url, error) from error
        self._metrics.requests.labels(self.issuer, str(answer.status)).inc()
        if self._debug:
            self._log_exchange(method, url, payload, answer)
        return answer

    async def _exchange(self, request: httpx.Request) -> Answer:
        response = await self._wire.handle_async_request(request)
        stream = response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        parts: list[bytes] = []
        size = 0
        try:
            # Not left before its end, or httpx's generators would be left to the garbage collector: closing the
            # stream is what ends it.
            async for part in stream:
                size += len(part)
                if size <= _LARGEST:
                    parts.append(part)
                else:
                    await stream.aclose()
        except httpx.TransportError:
            if size <= _LARGEST:
                raise
        finally:
            with trio.move_on_after(1, shield=True):
                await stream.aclose()
        if size > _LARGEST:
            raise httpx.DecodingError(f"the answer has more than {_LARGEST} bytes", request=request)
        return Answer(response.status_code, response.headers, b"".join(parts), self._clock.now())

    def _log_exchange(self, method: str, url: str, payload: Any, answer: Answer) -> None:
        try:
            said = _masked(json.loads(answer.body)) if answer.body else ""
        except ValueError:
            said = f"{len(answer.body)} bytes of {answer.headers.get('content-type', 'no type')}"
        kept = {name: answer.headers[name] for name in ("location", "link", "retry-after") if name in answer.headers}
        _log.info(
            "exchange with the CA",
            issuer=self.issuer,
            method=method,
            url=url,
            sent=_masked(payload),
            status=answer.status,
            headers=kept,
            received=said,
        )


def _masked(document: Any) -> Any:
    if isinstance(document, Mapping):
        return {name: "***" if name in _SECRET else _masked(value) for name, value in document.items()}
    return [_masked(one) for one in document] if isinstance(document, list) else document


def _unreachable(issuer: str, method: str, url: str, error: httpx.HTTPError) -> Unreachable:
    found = list(causes(error))
    what = next((text for text in map(str, found) if text), type(error).__name__)
    if isinstance(error, httpx.TimeoutException):
        what = f"no answer in time ({type(error).__name__})"
    untrusted = next((cause for cause in found if isinstance(cause, ssl.SSLCertVerificationError)), None)
    if untrusted is not None:
        what = f"its TLS certificate is not trusted ({untrusted.verify_message})"
        what += "; if the CA is yours, name its root in the issuer's ca_bundle or in LEGO_CA_CERTIFICATES"
    return Unreachable(
        f"issuer '{issuer}': {method} {url}: {what}",
        stale=isinstance(error, httpx.RemoteProtocolError | httpx.ReadError | httpx.WriteError),
        hopeless=untrusted is not None or isinstance(error, httpx.DecodingError),
    )


@asynccontextmanager
async def open_transport(
    config: IssuerConfig,
    common: Common,
    environ: Mapping[str, str],
    metrics: IssuanceMetrics,
    clock: Clock,
    *,
    wire: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[Transport]:
    """Open the connections to a CA. `wire` stands in for the network in tests. Raises ConfigInvalid."""
    try:
        url = check_url(config.name, config.ca_dir_url)
    except IssuanceFailed as error:
        raise ConfigInvalid("config", [Complaint(f"issuer.{config.name}.ca_dir_url", str(error))]) from error
    async with wire or _wire(tls_context(config, environ), proxy_for(url, environ)) as opened:
        yield Transport(
            opened,
            config,
            metrics,
            clock,
            debug=common.http_client_debug,
            server_name=environ.get("LEGO_CA_SERVER_NAME", ""),
        )


def _wire(tls: ssl.SSLContext, proxy: str | None) -> httpx.AsyncBaseTransport:
    if proxy is None:
        return KeptConnections(tls, most=_CONNECTIONS, idle=_IDLE)
    return httpx.AsyncHTTPTransport(
        verify=tls,
        proxy=proxy,
        trust_env=False,  # `.env` counts too, so variables are read from `environ`
        limits=httpx.Limits(
            max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS, keepalive_expiry=_IDLE
        ),
    )
