"""Requests to an OpenID Connect provider: bounded in time and size, over TLS that is trusted, answered by JSON."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from typing import Any

import attrs
import httpx
import trio

from acme_manager import __version__
from acme_manager.config.ui import OidcConfig
from acme_manager.connections import causes, proxy_for, reason
from acme_manager.errors import ProviderUnavailable

_LARGEST = 256 * 1024
_PATIENCE = 10.0  # seconds for a whole request
_HEADERS = {
    "User-Agent": f"acme-manager/{__version__}",
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # what isn't compressed can't blow up
}


@attrs.frozen
class Answer:
    """What the provider answered. It may be full of secrets, so it shows none of it."""

    status: int
    document: Mapping[str, Any] = attrs.field(repr=False)  # empty for a refusal that is no JSON


@attrs.frozen
class Transport:
    """Sends to one provider. Log-ins are rare, so no connection is kept; `wire` stands in for the network in tests."""

    config: OidcConfig
    environ: Mapping[str, str] = attrs.field(repr=False)
    wire: httpx.AsyncBaseTransport | None = None

    async def get(self, url: str, bearer: str = "") -> Answer:
        """Read a document, with an access token if one is given. Raises ProviderUnavailable."""
        return await self._send("GET", url, {"Authorization": f"Bearer {bearer}"} if bearer else {}, None)

    async def post(self, url: str, form: Mapping[str, str], authorization: str = "") -> Answer:
        """Send a form. Raises ProviderUnavailable."""
        return await self._send("POST", url, {"Authorization": authorization} if authorization else {}, form)

    async def _send(self, method: str, url: str, headers: Mapping[str, str], form: Mapping[str, str] | None) -> Answer:
        where = f"the OpenID Connect provider ({method} {url})"
        try:
            with trio.fail_after(_PATIENCE):
                status, body = await self._exchange(method, url, {**_HEADERS, **headers}, form)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, trio.TooSlowError) as error:
            raise ProviderUnavailable(f"{where} {_plain(error)}") from error
        if len(body) > _LARGEST:
            raise ProviderUnavailable(f"{where} answers with more than {_LARGEST} bytes")
        if status >= 500 or 300 <= status < 400:
            raise ProviderUnavailable(f"{where} answers with status {status}")
        document = _read(body)
        if document is None and status < 300:
            raise ProviderUnavailable(f"{where} does not answer with a JSON object; is ui.oidc.issuer_url right?")
        return Answer(status, document or {})

    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], form: Mapping[str, str] | None
    ) -> tuple[int, bytes]:
        """The status and the body, of which no more is kept than is needed to see that it is too large.

        It is read to its end, or to that of our patience: httpx's generators can't be left half-way.
        """
        body = b""
        async with (
            self._client(url) as client,
            client.stream(method, url, headers=headers, data=form, follow_redirects=False) as response,
        ):
            async for part in response.aiter_raw():
                if len(body) <= _LARGEST:
                    body += part
        return response.status_code, body

    def _client(self, url: str) -> httpx.AsyncClient:
        if self.wire is not None:
            return httpx.AsyncClient(transport=self.wire, timeout=_PATIENCE)
        return httpx.AsyncClient(
            verify=tls_context(self.config),
            proxy=proxy_for(httpx.URL(url), self.environ),
            trust_env=False,  # `.env` counts too, so variables are read from `environ`
            timeout=_PATIENCE,
        )


def tls_context(config: OidcConfig) -> ssl.SSLContext:
    """The system's roots, and those of `ca_file`. Raises OSError, also as ssl.SSLError."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if config.ca_file is not None:
        context.load_verify_locations(config.ca_file)
    return context


def _read(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _plain(error: Exception) -> str:
    found = list(causes(error))
    untrusted = next((cause for cause in found if isinstance(cause, ssl.SSLCertVerificationError)), None)
    if untrusted is not None:
        return (
            f"has a TLS certificate that is not trusted ({untrusted.verify_message});"
            " if the provider is yours, name its root in ui.oidc.ca_file"
        )
    if isinstance(error, httpx.TimeoutException | trio.TooSlowError):
        return f"does not answer within {_PATIENCE:.0f} s"
    system = next((cause for cause in found if isinstance(cause, OSError)), None)
    said = reason(system) if system is not None else next(filter(None, map(str, found)), "")
    return f"can't be reached: {said or type(error).__name__}"
