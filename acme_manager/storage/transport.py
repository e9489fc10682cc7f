"""hvac's way to Vault: one connection pool, a few threads of our own.

hvac takes any adapter. Its stock one spends twice the CPU per call, mostly in `requests.Session` (merging settings,
cookies, hooks), and its sessions may not be shared by threads; urllib3's pools may.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

import requests.utils
import trio
import urllib3
from hvac.adapters import Adapter
from urllib3.exceptions import HTTPError, NewConnectionError, ReadTimeoutError, SSLError

from acme_manager.config.model import VaultConfig
from acme_manager.storage.errors import Refusal, Unreachable

T = TypeVar("T")

_ONCE = urllib3.Retry(total=False, redirect=False)  # repeating is the storage's business, in Trio
_REDIRECTS = frozenset({301, 302, 307, 308})


class PooledAdapter(Adapter):  # type: ignore[type-arg]  # generic in its stubs only
    """Sends hvac's requests over one thread-safe pool. Raises Unreachable and Refusal instead of hvac's errors.

    `token` is what authenticates requests; swapping it is one assignment, seen by the next request of any thread.
    """

    def __init__(self, pool: urllib3.PoolManager, url: str, namespace: str) -> None:
        super().__init__(base_uri=url.rstrip("/"), namespace=namespace)
        self._pool, self._server = pool, urlsplit(url).netloc.rpartition("@")[2]

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
    ) -> dict[str, Any]:
        """Do one request and return the answer's JSON; an answer without a body is an empty dict."""
        target = self.base_uri + url
        if kwargs.get("params"):
            target += "?" + urlencode(kwargs["params"])
        sent, body = {**(headers or {}), **self._headers()}, None
        if kwargs.get("json") is not None:
            body = json.dumps(kwargs["json"], separators=(",", ":")).encode()
            sent["Content-Type"] = "application/json"
        try:
            answer = self._send(method.upper(), target, sent, body)
        except HTTPError as error:
            raise Unreachable(f"{self._server} {_plain(error)}") from error
        return _read(answer)

    def _headers(self) -> dict[str, str]:
        headers = {"X-Vault-Request": "true"}
        if self.token:
            headers["X-Vault-Token"] = self.token
        if self.namespace:
            headers["X-Vault-Namespace"] = self.namespace
        return headers

    def _send(self, method: str, target: str, headers: dict[str, str], body: bytes | None) -> urllib3.BaseHTTPResponse:
        """Send, and follow one redirection: a standby node names the active one that way."""
        answer = self._pool.urlopen(method, target, body=body, headers=headers, redirect=False, retries=_ONCE)
        if answer.status not in _REDIRECTS:
            return answer
        onward = urljoin(target, answer.headers.get("Location", ""))
        if target.startswith("https:") and not onward.startswith("https:"):
            raise Unreachable(f"{self._server} redirects to an address without TLS, where our token must not go")
        return self._pool.urlopen(method, onward, body=body, headers=headers, redirect=False, retries=_ONCE)


class Transport:
    """The adapter and the threads that use it."""

    def __init__(self, config: VaultConfig, *, io_timeout: float, threads: int) -> None:
        self._pool = _open_pool(config, io_timeout, threads)
        self._limiter = trio.CapacityLimiter(threads)
        self.adapter = PooledAdapter(self._pool, config.url, config.namespace)

    async def run(self, request: Callable[[], T], *, abandon: bool) -> T:
        """Do a request of hvac in a thread. Raises Unreachable and Refusal.

        With `abandon` a cancelled caller leaves at once and the request goes on unseen: for reads. Without, the
        caller stays until the answer is there, at most the transport's timeout, and so knows what was done.
        """
        return await trio.to_thread.run_sync(request, abandon_on_cancel=abandon, limiter=self._limiter)

    def close(self) -> None:
        """Close idle connections."""
        self._pool.clear()


def _open_pool(config: VaultConfig, io_timeout: float, threads: int) -> urllib3.PoolManager:
    """A pool for one server, through the proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name for it.

    The environment is read once, here: doing it for each request is a good part of what `requests` costs.
    """
    settings: dict[str, Any] = {"maxsize": threads, "timeout": urllib3.Timeout(connect=io_timeout, read=io_timeout)}
    if config.url.startswith("https:"):
        settings |= {"cert_reqs": "CERT_REQUIRED", "ca_certs": str(config.ca_file) if config.ca_file else None}
    proxies = requests.utils.get_environ_proxies(config.url, no_proxy=None)
    proxy = requests.utils.select_proxy(config.url, proxies)
    if not proxy:
        return urllib3.PoolManager(**settings)
    user, password = requests.utils.get_auth_from_url(proxy)
    headers = urllib3.make_headers(proxy_basic_auth=f"{user}:{password}") if user else None
    return urllib3.ProxyManager(proxy, proxy_headers=headers, **settings)


def _read(answer: urllib3.BaseHTTPResponse) -> dict[str, Any]:
    try:
        body = json.loads(answer.data) if answer.data else {}
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refusal(answer.status if answer.status >= 400 else 502, ["the answer is no JSON; is that Vault?"], {})
    if answer.status >= 400:
        reasons = [str(reason)[:200] for reason in body.get("errors") or ()]
        raise Refusal(answer.status, reasons, body, _seconds(answer.headers.get("Retry-After")))
    return body


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdigit() else None


def _plain(error: HTTPError) -> str:
    """Why no answer came, without addresses of Python objects."""
    match error:
        case NewConnectionError():
            return f"can't be connected to ({error.__cause__ or 'no address'})"
        case ReadTimeoutError():
            return "was connected to but stays silent"
        case SSLError():
            return f"can't be trusted, TLS failed ({error})"
        case _:
            return f"broke the connection ({type(error).__name__})"
