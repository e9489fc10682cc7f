"""`/ui/cluster`: who is there, who leads and why nobody does, and how this node is; dead members are given up here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import trio
from quart import Blueprint, Response

from acme_manager.api.cluster import ring_record, trouble_of
from acme_manager.api.problem_kinds import kind_of
from acme_manager.api.request import current_request, services
from acme_manager.api.workers import worker_record
from acme_manager.domain.condition import Tone
from acme_manager.errors import AdministratorsOnly, Conflict, InvalidRequest, NotFound
from acme_manager.ports import Cluster
from acme_manager.services.node_watch import NodeWatch
from acme_manager.services.resync import Resync
from acme_manager.web.forms import Form, submitted
from acme_manager.web.page import go_to, page, page_or_json, told
from acme_manager.web.ring_picture import Node, draw
from acme_manager.web.viewer import Viewer, find_viewer, require_administrator

routes = Blueprint("ui_cluster", __name__, url_prefix="/ui")

_TYPED = "typed"
_RESYNC_PATIENCE = 240.0  # seconds, as for the API's
_MOST_KEYS = 20  # of what was changed, shown of each kind
_TONES = {"alive": Tone.GOOD, "joining": Tone.BUSY, "suspect": Tone.WARN, "left": Tone.WARN}
_WORKER_OF_CONFIG = "config watcher"


@attrs.frozen(kw_only=True)
class Member:
    """One of the members, or a voter that nobody knows where to find (`missing`). `facts` are what `/ring` has."""

    name: str
    state: str  # alive, joining, suspect, dead, left, missing
    voter: bool
    leads: bool
    configuration: str = ""
    facts: Mapping[str, Any]

    @property
    def tone(self) -> Tone:
        """How its state is shown."""
        return _TONES.get(self.state, Tone.BAD)

    @property
    def gone(self) -> bool:
        """Whether it may be given up."""
        return self.state in {"dead", "missing"}


@attrs.frozen(kw_only=True)
class Standing:
    """The cluster as this node sees it. `needed` of `votes` make a majority, `there` are alive."""

    leader: str | None
    why_not: str  # why nobody can be asked to write; empty when somebody leads
    term: int
    since: str
    votes: int
    there: int
    needed: int
    members: Sequence[Member]


def standing(cluster: Cluster, watch: NodeWatch) -> Standing:
    """Look at it."""
    statistics, leader, trouble = cluster.statistics(), cluster.leader(), trouble_of(cluster)
    known = cluster.members()
    voters = set(statistics.get("voters") or (one["name"] for one in known))
    shown = [
        Member(
            name=one["name"],
            state=_state(one),
            voter=one["name"] in voters,
            leads=one["name"] == leader,
            configuration=watch.configuration_of(one["name"]),
            facts=one,
        )
        for one in known
    ]
    unknown = voters - {one.name for one in shown}
    shown += [Member(name=name, state="missing", voter=True, leads=False, facts={}) for name in sorted(unknown)]
    return Standing(
        leader=leader,
        why_not="" if trouble is None else str(trouble),
        term=statistics.get("leader_term") or 0,
        since=(statistics.get("leader_since") or "") if leader else "",
        votes=len(voters),
        there=sum(one.voter and one.state == "alive" for one in shown),
        needed=len(voters) // 2 + 1,
        members=shown,
    )


@routes.get("/cluster")
async def cluster() -> Response:
    """The page; for a program what `/ring` has, and this node's figures."""
    viewer, known = await find_viewer(), services()
    seen, statistics = standing(known.cluster, known.node_watch), known.cluster.statistics()
    passes, now = known.passes.all(), known.clock.now()
    configurations = {one.configuration for one in seen.members if one.configuration and not one.gone}
    data = ring_record() | {"statistics": statistics}
    if viewer.sees_all:
        data |= {
            "rates": known.node_watch.rates(),
            "workers": [worker_record(one, now) for one in passes],
            "parts": known.health.latest,
            "configurations": {one.name: one.configuration for one in seen.members},
        }
    return await page_or_json(
        "cluster.html",
        viewer,
        data,
        ring=seen,
        picture=draw([Node(name=one.name, state=one.state, leads=one.leads, voter=one.voter) for one in seen.members]),
        statistics=statistics,
        rates=known.node_watch.rates(),
        passes=passes,
        parts=known.health.latest,
        settings=known.settings,
        configuration=known.node_watch.configuration,
        differ=len(configurations) > 1,
        read_at=next((one.ended for one in passes if one.worker == _WORKER_OF_CONFIG), None),
    )


@routes.get("/cluster-forget")
async def forget_page() -> Response:
    """Say what it means to give a member up, and ask whether that is meant."""
    viewer = await require_administrator()
    return await _ask(viewer, current_request().args.get("name", ""))


async def _forget_again(viewer: Viewer, form: Form, error: BaseException) -> Response:
    return await _ask(viewer, form["name"], error)


@routes.post("/cluster-forget")
@submitted(_forget_again)
async def forget(viewer: Viewer, form: Form) -> Response:
    """Give a dead member up, on the leader."""
    _check(viewer)
    current_request().audited = form["name"]
    if form[_TYPED] != form["name"]:
        raise InvalidRequest(f"type '{form['name']}' to confirm", _TYPED)
    services().cluster.forget(form["name"])
    return go_to("cluster", said="forgotten")


@routes.post("/cluster-resync")
@submitted()
async def resync(viewer: Viewer, _form: Form) -> Response:
    """Compare the shared map with all there is in storage, on the leader, and show what was changed."""
    _check(viewer)
    with trio.fail_after(_RESYNC_PATIENCE):
        done = await services().resync()
    return await page("cluster_resync.html", viewer, section="cluster", done=done, changes=_changes(done))


def _changes(done: Resync) -> list[tuple[str, int, Sequence[str]]]:
    found = (
        ("Certificates that storage had otherwise", done.certificates_changed),
        ("Certificates that are not in storage any more", done.certificates_gone),
        ("Tokens that storage had otherwise", done.tokens_changed),
        ("Tokens that are not in storage any more", done.tokens_gone),
    )
    return [(title, len(keys), sorted(keys)[:_MOST_KEYS]) for title, keys in found if keys]


def _check(viewer: Viewer) -> None:
    if not viewer.admin:
        raise AdministratorsOnly


async def _ask(viewer: Viewer, name: str, error: BaseException | None = None) -> Response:
    seen = standing(services().cluster, services().node_watch)
    member = next((one for one in seen.members if one.name == name), None)
    if member is None:
        raise NotFound(f"there is no member '{name}' to give up")
    if not member.gone and error is None:
        raise Conflict(f"the member '{name}' is {member.state}; only one that is dead can be given up")
    return await page(
        "cluster_forget.html",
        viewer,
        kind_of(error).status if error else 200,
        section="cluster",
        ring=seen,
        member=member,
        votes=seen.votes - member.voter,
        error=told(error) if error else None,
    )


def _state(member: Mapping[str, Any]) -> str:
    """In one word: how membership has it, and `joining` for one that is there but not ready."""
    shown = member.get("state")
    status = member.get("status") or {"ACTIVE": "alive", "JOINING": "alive", "LEAVING": "left"}.get(str(shown), "dead")
    return "joining" if status == "alive" and shown == "JOINING" else str(status)
