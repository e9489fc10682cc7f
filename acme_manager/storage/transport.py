"""hvac's way to Vault: hvac puts requests together, and kept connections send them.

hvac's classes hand to their adapter what is to be sent, and return what that returns. Ours returns the request itself,
so that it is sent by Trio, where it can be cancelled, and not by a thread of its own.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlencode

import httpx
import requests.utils
import trio
from hvac.adapters import Adapter

from acme_manager.config.model import VaultConfig
from acme_manager.connections import KeptConnections, causes
from acme_manager.storage.errors import Refusal, Unreachable

Draft = Callable[[], httpx.Request]
"""A call of one of hvac's methods. Made anew for each attempt, since the token may have changed."""

_REDIRECTS = frozenset({301, 302, 307, 308})
_IDLE = 30.0  # seconds after which an unused connection is not used again
_PHASES = 4  # of a request, each bounded by the timeout: connecting, sending, the head of the answer, its body


class DraftingAdapter(Adapter):  # type: ignore[type-arg]  # generic in its stubs only
    """Returns hvac's requests instead of sending them.

    `token` is what authenticates requests; swapping it is one assignment, seen by the next request.
    """

    def __init__(self, url: str, namespace: str, io_timeout: float) -> None:
        super().__init__(base_uri=url.rstrip("/"), namespace=namespace)
        self._extensions = {"timeout": httpx.Timeout(io_timeout).as_dict()}

    def get_login_token(self, response: Mapping[str, Any]) -> str:
        """The token in the answer to a login."""
        return str(response["auth"]["client_token"])

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        raise_exception: bool = True,  # noqa: ARG002  hvac's signature; nothing we call sets it
        **kwargs: Any,
    ) -> httpx.Request:
        """The request that hvac wants to be sent."""
        target = self.base_uri + url
        if kwargs.get("params"):
            target += "?" + urlencode(kwargs["params"])
        sent, body = {**(headers or {}), **self._headers()}, None
        if kwargs.get("json") is not None:
            body = json.dumps(kwargs["json"], separators=(",", ":")).encode()
            sent["Content-Type"] = "application/json"
        return httpx.Request(method, target, headers=sent, content=body, extensions=self._extensions)

    def _headers(self) -> dict[str, str]:
        headers = {"X-Vault-Request": "true"}
        if self.token:
            headers["X-Vault-Token"] = self.token
        if self.namespace:
            headers["X-Vault-Namespace"] = self.namespace
        return headers


class Transport:
    """The adapter, and the connections that its requests go over."""

    def __init__(self, config: VaultConfig, *, io_timeout: float, connections: int) -> None:
        self._new_adapter = partial(DraftingAdapter, config.url, config.namespace, io_timeout)
        self.adapter = self._new_adapter()
        self._wire = _open_wire(config, connections)
        self._turns = trio.CapacityLimiter(connections)
        self._longest = _PHASES * io_timeout
        self._server = httpx.URL(config.url).netloc.decode("ascii")

    def adapter_for(self, token: str) -> DraftingAdapter:
        """One beside `adapter`, for requests with another token than the one in use."""
        adapter = self._new_adapter()
        adapter.token = token
        return adapter

    async def run(self, draft: Draft, *, abandon: bool) -> dict[str, Any]:
        """Send a request and return the answer's JSON; an answer without a body is an empty dict.

        With `abandon` a cancelled caller leaves at once: for reads. Without, the caller stays until the answer is
        there, at most the transport's timeout, and so knows what was done. Raises Unreachable and Refusal.
        """
        async with self._turns:
            try:
                with trio.fail_after(self._longest, shield=not abandon):
                    return _read(await self._send(draft()))
            except (httpx.TransportError, httpx.InvalidURL, trio.TooSlowError) as error:
                raise Unreachable(f"{self._server} {_plain(error)}") from error

    async def close(self) -> None:
        """Close idle connections."""
        await self._wire.aclose()

    async def _send(self, request: httpx.Request) -> httpx.Response:
        """Send, and follow one redirection: a standby node names the active one that way."""
        answer = await self._exchange(request)
        if answer.status_code not in _REDIRECTS:
            return answer
        onward = request.url.join(answer.headers.get("Location", ""))
        if request.url.scheme == "https" and onward.scheme != "https":
            raise Unreachable(f"{self._server} redirects to an address without TLS, where our token must not go")
        headers = [(name, value) for name, value in request.headers.raw if name.lower() != b"host"]
        again = httpx.Request(
            request.method, onward, headers=headers, content=request.content, extensions=request.extensions
        )
        return await self._exchange(again)

    async def _exchange(self, request: httpx.Request) -> httpx.Response:
        answer = await self._wire.handle_async_request(request)
        try:
            await answer.aread()
        finally:
            with trio.move_on_after(1, shield=True):
                await answer.aclose()
        return answer


def _open_wire(config: VaultConfig, connections: int) -> httpx.AsyncBaseTransport:
    """Connections to one server, through the proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name for it.

    The environment is read once, here.
    """
    tls = ssl.create_default_context(cafile=config.ca_file)
    proxies = requests.utils.get_environ_proxies(config.url, no_proxy=None)
    proxy = requests.utils.select_proxy(config.url, proxies)
    if not proxy:
        return KeptConnections(tls, most=connections, idle=_IDLE)
    return httpx.AsyncHTTPTransport(verify=tls, proxy=proxy if "://" in proxy else f"http://{proxy}", trust_env=False)


def _read(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = json.loads(answer.content) if answer.content else {}
    except ValueError:
        body = None
    status = answer.status_code
    if not isinstance(body, dict):
        raise Refusal(status if status >= 400 else 502, ["the answer is no JSON; is that Vault?"], {})
    if status >= 400:
        reasons = [str(reason)[:200] for reason in body.get("errors") or ()]
        raise Refusal(status, reasons, body, _seconds(answer.headers.get("Retry-After")))
    return body


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdigit() else None


def _plain(error: Exception) -> str:
    """Why no answer came, without addresses of Python objects."""
    tls = next((cause for cause in causes(error) if isinstance(cause, ssl.SSLError)), None)
    match error:
        case _ if tls is not None:
            return f"can't be trusted, TLS failed ({tls})"
        case httpx.ConnectError() | httpx.ConnectTimeout():
            return f"can't be connected to ({str(error) or 'no answer in time'})"
        case httpx.TimeoutException() | trio.TooSlowError():
            return "was connected to but stays silent"
        case _:
            return f"broke the connection ({type(error).__name__})"
