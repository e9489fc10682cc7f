"""`/ui/events`: tells an open page that something it shows has changed (server-sent events, HTML Living Standard 9.2).

A stream lasts less than a minute, and the browser asks again by itself: so no proxy finds it idle for long, a log-in
that is over ends it, and the `Last-Event-ID` that comes with the next request says what was missed in between.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import trio
from quart import Blueprint, Response

from acme_manager.api.request import current_request, services
from acme_manager.errors import Unavailable
from acme_manager.services.signals import TOPICS, Signals
from acme_manager.web.viewer import find_viewer

routes = Blueprint("ui_events", __name__, url_prefix="/ui")

_LASTS, _BEAT, _PAUSE = 50.0, 15.0, 0.3  # seconds: a stream; a sign of life; between two events
_MOST = 500  # streams of a node
_AGAIN = 500  # milliseconds until the browser asks again

_COUNT = re.compile(r"[0-9]{1,18}")

_open_streams = trio.CapacityLimiter(_MOST)


@routes.get("/events")
async def events() -> Response:
    """Follow what changes. One event, `changed`, with the topics that did."""
    viewer = await find_viewer()
    if _open_streams.available_tokens < 1:
        raise Unavailable("too many pages follow what happens on this node", 10.0)
    signals = services().signals
    request = current_request()
    last = request.headers.get("Last-Event-ID") or request.args.get("after")
    # Who asks for the head alone is not to hold a place.
    body = b"" if request.method == "HEAD" else _stream(signals, viewer.whose, _known(signals, last))
    response = Response(body, content_type="text/event-stream")
    response.headers["X-Accel-Buffering"] = "no"
    response.timeout = _LASTS + _BEAT
    return response


def _known(signals: Signals, last: str | None) -> int | None:
    """The count that a browser has seen: that of its page or last event, None where it can't be told."""
    if last is None:
        return signals.count
    epoch, _, count = last.partition("-")
    return int(count) if epoch == signals.epoch and _COUNT.fullmatch(count) else None


async def _stream(signals: Signals, owner: str | None, known: int | None) -> AsyncIterator[bytes]:
    place = object()  # not the task's: who begins to read a stream need not be who ends it
    _open_streams.acquire_on_behalf_of_nowait(place)
    try:
        yield b"retry: %d\n\n" % _AGAIN
        if known is None:
            known = signals.count
            yield _event(signals, known, set(TOPICS))
        end = trio.current_time() + _LASTS
        while not signals.closed and (left := end - trio.current_time()) > 0:
            known, topics = await signals.wait(known, owner, min(left, _BEAT))
            yield _event(signals, known, topics) if topics else b": still here\n\n"
            await trio.sleep(_PAUSE)
    finally:
        _open_streams.release_on_behalf_of(place)


def _event(signals: Signals, count: int, topics: set[str]) -> bytes:
    return f"id: {signals.epoch}-{count}\nevent: changed\ndata: {' '.join(sorted(topics))}\n\n".encode()
