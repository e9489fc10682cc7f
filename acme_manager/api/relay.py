"""One request passed on to another node, and its answer brought back, unchanged but for what HTTP wants changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import httpx
import trio
from quart import Response
from werkzeug.datastructures import Headers

from acme_manager.api.request import ApiRequest
from acme_manager.errors import NotLeader, OutcomeUnknown

PREFIX = "X-Acme-Manager-"
HOP = PREFIX + "Hop"  # the node that passed a request on; in an answer `refused`: nothing was done
DEADLINE = PREFIX + "Deadline"  # how many seconds the caller is going to wait
STAMP = PREFIX + "Stamp"  # what a copy must have to show what was written

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
_WORDS: Mapping[type[httpx.HTTPError], str] = {
    httpx.PoolTimeout: "too many writes are on their way to it",
    httpx.ConnectTimeout: "it does not answer in time",
    httpx.ReadError: "the connection broke",
    httpx.WriteError: "the connection broke",
}
_TIMEOUT = httpx.Timeout(
    connect=2, write=30, read=None, pool=5
)  # how long to wait for an answer is the caller's choice

# RFC 9110 section 7.6.1, and what older programs send of the kind.
_HOP_BY_HOP = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade",
    }
)  # fmt: skip
# We have the whole body, so its length is counted anew and nobody waits for leave to send it.
_NOT_PASSED_ON = _HOP_BY_HOP | {"host", "content-length", "expect", "http2-settings", "x-request-id", "x-forwarded-for"}
_NOT_BROUGHT_BACK = _HOP_BY_HOP | {"content-length", "date"}


def build(request: ApiRequest, url: httpx.URL, body: bytes, extra: dict[str, str]) -> httpx.Request:
    """The same request to another address: method, path, query, headers and body as they came."""
    headers = [
        (name, value)
        for name, value in request.scope["headers"]
        if not _dropped(name.decode("latin-1"), _NOT_PASSED_ON, request.headers.getlist("Connection"))
    ]
    client = request.scope.get("client")
    callers = [*request.headers.getlist("X-Forwarded-For"), *([client[0]] if client else [])]
    own = {"X-Request-ID": request.request_id, "X-Forwarded-For": ", ".join(callers), **extra}
    headers = [(b"Host", url.netloc), (b"Content-Length", b"%d" % len(body)), *headers]
    headers += [(name.encode(), value.encode("latin-1")) for name, value in own.items() if value]
    target = request.scope["raw_path"] + (b"?" + request.query_string if request.query_string else b"")
    extensions = {"timeout": _TIMEOUT.as_dict(), "target": target}
    return httpx.Request(request.method, url, headers=headers, stream=_Body(body), extensions=extensions)


class _Body(httpx.AsyncByteStream):
    """A body in one piece. httpx's own is a generator, which a write that fails leaves to the garbage collector."""

    def __init__(self, content: bytes) -> None:
        self._rest = content

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        if not self._rest:
            raise StopAsyncIteration
        content, self._rest = self._rest, b""
        return content


async def exchange(wire: httpx.AsyncBaseTransport, request: httpx.Request, leader: str | None) -> Response:
    """Send, and return the answer as ours.

    Raises NotLeader when nothing was sent, OutcomeUnknown when something may have been.
    """
    server = f"the leader '{leader}' at {request.url.scheme}://{request.url.netloc.decode()}"
    try:
        answer = await wire.handle_async_request(request)
        try:
            body = b"".join([part async for part in answer.aiter_raw()])
        finally:
            with trio.move_on_after(1, shield=True):
                await answer.aclose()
    except httpx.HTTPError as error:
        why = _WORDS.get(type(error)) or _reason(error)
        if isinstance(error, _NOT_SENT):
            raise NotLeader(f"{server} can't be reached: {why}", leader) from error
        raise OutcomeUnknown(
            f"{server} gave no answer ({why}), and may or may not have done what was asked: ask again"
        ) from error
    return _response(answer, body)


def _response(answer: httpx.Response, body: bytes) -> Response:
    named = answer.headers.get_list("Connection")
    items = answer.headers.multi_items()
    kept = Headers([(name, value) for name, value in items if not _dropped(name, _NOT_BROUGHT_BACK, named)])
    response = Response(body, answer.status_code)
    response.headers = kept
    response.content_length = len(body)
    return response


def _dropped(name: str, dropped: frozenset[str], connection: Iterable[str]) -> bool:
    name = name.lower()
    if name in dropped or (name.startswith(PREFIX.lower()) and dropped is _NOT_PASSED_ON):
        return True
    return any(name == option.strip().lower() for line in connection for option in line.split(","))


def _reason(error: BaseException) -> str:
    """The text of the innermost cause that has one: the libraries in between do not pass it on."""
    text = type(error).__name__
    cause: BaseException | None = error
    while cause is not None:
        text = str(cause) or text
        cause = cause.__cause__ or cause.__context__
    return text
