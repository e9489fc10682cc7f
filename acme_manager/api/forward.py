"""Writes happen on the leader: a node that does not lead passes them on (guide, "API Architecture").

A caller sees no difference between nodes: same status, headers and body; and once it has the answer to a write, the
node that gave it shows what was written.
"""

from __future__ import annotations

import functools
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import attrs
import httpx
import structlog
import trio
from quart import Response, current_app

from acme_manager.api.problems import problem_response
from acme_manager.api.relay import DEADLINE, HOP, STAMP, build, exchange
from acme_manager.api.request import ApiRequest, current_request
from acme_manager.api.tls import peer_context
from acme_manager.config.model import Flags
from acme_manager.errors import InvalidRequest, NotLeader, OutcomeUnknown
from acme_manager.ports import Cluster
from acme_manager.structure import background

_log = structlog.get_logger(__name__)

Handler = Callable[..., Awaitable[Response]]

EXTENSION = "acme_manager_forwarder"
_REFUSED = "refused"
_CONNECTIONS = httpx.Limits(max_connections=256, max_keepalive_connections=32, keepalive_expiry=30)


@attrs.frozen(kw_only=True)
class Waits:
    """How long to wait for what, in seconds."""

    answer: float = 270.0  # for the leader's answer, when the caller does not say; an issuance is what takes so long
    grace: float = 2.0  # more than the leader is told, so that it gets to say itself that it is too slow
    leader: float = 5.0  # for a leader to ask; nothing has been done before there is one
    pause: float = 0.1  # between two looks for one
    copy: float = 2.0  # for our copy of the shared map to have what the leader has written
    glance: float = 1.0  # between two looks at whether the leader that was asked still leads
    takeover: float = 3.0  # for a leader that was asked, and is none any more, to answer anyway


class Forwarder:
    """Runs handlers here while this node leads, and on the leader while it does not."""

    def __init__(
        self, wire: httpx.AsyncBaseTransport, cluster: Cluster, waits: Callable[[], Waits], *, tls_only: bool
    ) -> None:
        self._wire, self._cluster, self._waits_now, self._tls_only = wire, cluster, waits, tls_only

    @property
    def _waits(self) -> Waits:
        return self._waits_now()

    async def serve(self, request: ApiRequest, handler: Callable[[], Awaitable[Response]]) -> Response:
        """The handler's answer, from wherever it ran.

        Raises what it raises, and NoQuorum, NotLeader or RingNotReady when there is no leader to ask, OutcomeUnknown
        when the leader took the request and did not answer, trio.TooSlowError when the caller's time is over.
        """
        began, seconds = trio.current_time(), _seconds_of(request)
        while not self._cluster.leads():
            if HOP in request.headers:
                return self._refusal(request)
            try:
                answer = await self._pass_on(request, began + min(seconds, self._waits.answer))
            except NotLeader as error:  # nothing has been done: the next leader may do it
                if trio.current_time() >= began + min(seconds, self._waits.leader):
                    _log.warning("write not passed on", request_id=request.request_id, reason=str(error))
                    raise
                await trio.sleep(self._waits.pause)
            else:
                await self._catch_up(request, answer.headers.get(STAMP))
                return answer
        with trio.fail_at(began + seconds):
            answer = await handler()
        answer.headers[STAMP] = self._cluster.stamp()
        return answer

    def _refusal(self, request: ApiRequest) -> Response:
        """Requests are passed on once: two nodes that disagree on who leads must not play ball with them."""
        error = NotLeader(f"'{self._cluster.name}' was asked as the leader but does not lead", self._cluster.leader())
        response = problem_response(error, request)
        response.headers[HOP] = _REFUSED
        return response

    async def _pass_on(self, request: ApiRequest, due: float) -> Response:
        body = cast("bytes", await request.get_data(as_text=False))
        leader, url = self._cluster.leader(), self._leader_url()
        told = f"{max(due - trio.current_time(), 0.001):.3f}"
        outgoing = build(request, url, body, {HOP: self._cluster.name, DEADLINE: told})
        with trio.fail_at(due + self._waits.grace):
            async with background(partial(self._notice_takeover, leader)):
                answer = await exchange(self._wire, outgoing, leader)
        if answer.headers.get(HOP) == _REFUSED:
            raise NotLeader(f"'{leader}' does not lead any more", leader)
        request.owner = answer.headers.get("Owner", "")
        request.passed_to = leader or str(url)
        return answer

    def _leader_url(self) -> httpx.URL:
        text = self._cluster.leader_url()
        if text is None:
            raise self._cluster.why_not()
        leader = self._cluster.leader()
        try:
            url = httpx.URL(text)
        except httpx.InvalidURL as error:
            raise NotLeader(f"the leader '{leader}' says that its API is at '{text}': {error}", leader) from error
        if self._tls_only and url.scheme != "https":
            raise NotLeader(f"the leader '{leader}' serves {text} without TLS, where no token must go", leader)
        return url

    async def _notice_takeover(self, leader: str | None) -> None:
        """Do not wait long for an answer of a node that leads no more: one that has lost its network says nothing."""
        while self._cluster.leader() in {leader, None}:  # noqa: ASYNC110 a cluster tells of no changes
            await trio.sleep(self._waits.glance)
        await trio.sleep(self._waits.takeover)
        raise OutcomeUnknown(
            f"'{leader}' stopped leading before it answered, and may or may not have done what was asked: ask again", 1
        )

    async def _catch_up(self, request: ApiRequest, stamp: str | None) -> None:
        if stamp is None:
            return
        with trio.move_on_after(self._waits.copy) as waiting:
            await self._cluster.wait_for(stamp)
        if waiting.cancelled_caught:
            _log.warning("copy is late, answering anyway", request_id=request.request_id, stamp=stamp)


@asynccontextmanager
async def open_forwarder(
    cluster: Cluster, flags: Flags, waits: Callable[[], Waits] = Waits
) -> AsyncIterator[Forwarder]:
    """Hold connections to the other nodes for the length of a block. Raises ConfigInvalid."""
    async with httpx.AsyncHTTPTransport(verify=peer_context(flags), trust_env=False, limits=_CONNECTIONS) as wire:
        yield Forwarder(wire, cluster, waits, tls_only=bool(flags.tls_cert_file))


def on_leader(handler: Handler) -> Handler:
    """Have a handler run on the leader, whichever node its request comes to."""

    @functools.wraps(handler)
    async def anywhere(**arguments: Any) -> Response:
        forwarder = cast("Forwarder", current_app.extensions[EXTENSION])
        return await forwarder.serve(current_request(), partial(handler, **arguments))

    return anywhere


def _seconds_of(request: ApiRequest) -> float:
    text = request.headers.get(DEADLINE)
    if text is None:
        return math.inf
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise InvalidRequest(f"the header {DEADLINE} must be a number of seconds above 0, not '{text[:40]}'")
    return seconds
