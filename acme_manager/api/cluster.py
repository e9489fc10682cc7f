"""`/ring` and `/memberlist`: which nodes there are, which of them leads, and giving up one that will not come back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from quart import Blueprint, Response

from acme_manager.api.auth import require_api_key
from acme_manager.api.browsers import is_browser, lead_to
from acme_manager.api.encoding import answer
from acme_manager.api.forward import on_leader
from acme_manager.api.openapi import API_KEY, describe
from acme_manager.api.request import current_request, services
from acme_manager.api.schemas.cluster import ForgetForm, LeaderAnswer, MemberlistAnswer, RingAnswer
from acme_manager.api.schemas.common import Nothing
from acme_manager.errors import InvalidRequest, RingNotReady, Unavailable
from acme_manager.ports import Cluster

routes = Blueprint("cluster", __name__)


@routes.get("/ring")
@describe({200: RingAnswer, 303: Nothing}, security=())
async def ring() -> Response:
    """Show every member as this node sees it. Browsers are led to the page about that."""
    return lead_to("ui/cluster") if is_browser() else answer(ring_record())


@routes.post("/ring")
@describe({302: Nothing}, form=ForgetForm, security=API_KEY, problems=(400, 401, 404, 408, 409, 413, 503, 504))
@on_leader
async def forget() -> Response:
    """Give up a dead member: it is no voter any more, so the others need one vote less for a majority.

    Only for one that will not come back; one that is alive is not given up (409).
    """
    require_api_key()
    body = await current_request().get_data(as_text=False)
    assert isinstance(body, bytes)
    name = parse_qs(body.decode(errors="replace")).get("forget", [""])[0]
    if not name:
        raise InvalidRequest("the form field 'forget' must be the id of a member, as in forget=node-3", "forget")
    current_request().audited = name
    services().cluster.forget(name)
    return Response(b"", 302, headers={"Location": "#"})


@routes.get("/ring/leader")
@describe({200: LeaderAnswer}, security=(), problems=(503,))
async def leader() -> Response:
    """Name the node that leads."""
    cluster = services().cluster
    name = cluster.leader()
    if name is None:
        raise cluster.why_not()
    return answer({"name": name})


@routes.get("/memberlist")
@describe({200: MemberlistAnswer}, security=())
async def memberlist() -> Response:
    """Show the members with all that is known about them, and this node's own figures."""
    cluster = services().cluster
    return answer({"members": list(cluster.members()), "statistics": cluster.statistics()})


def trouble_of(cluster: Cluster) -> Unavailable | None:
    """Why nobody can be asked to write just now, None when a node leads."""
    return None if cluster.leads() or cluster.leader_url() is not None else cluster.why_not()


async def check_ring(cluster: Cluster) -> str | None:
    """The part `ring` of `/ready`, where it keeps a node from serving: it does not have the others' state yet."""
    trouble = trouble_of(cluster)
    return str(trouble) if isinstance(trouble, RingNotReady) else None


def describe_ring(cluster: Cluster) -> Mapping[str, str | None]:
    """The part `ring` of `/ready`, for information: without a leader a node still answers reads, so it stays ready."""
    trouble = trouble_of(cluster)
    if trouble is None or isinstance(trouble, RingNotReady):
        return {"ring": None if trouble is None else str(trouble)}
    return {"ring": f"read-only: {trouble}"}


def ring_record() -> dict[str, Any]:
    """The members with the names that the Go original's JSON gives to what it has too, and when that was so."""
    cluster = services().cluster
    leader = cluster.leader()
    return {"shards": [_shard(one, leader) for one in cluster.members()], "now": services().clock.now()}


def _shard(member: Mapping[str, Any], leader: str | None) -> dict[str, Any]:
    renamed = {"id": member["name"], "timestamp": member.get("heartbeat")}
    rest = {name: value for name, value in member.items() if name not in {"name", "heartbeat"}}
    known = {name: value for name, value in {**renamed, **rest}.items() if value is not None}
    return {**known, "leader": member["name"] == leader}
