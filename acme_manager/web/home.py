"""`/ui/`: the first look. What is wrong, what comes next, whether the cluster is sound, and what is happening now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import takewhile
from typing import Any

import attrs
from quart import Blueprint, Response

from acme_manager.api.request import services
from acme_manager.domain.attempt import Attempt
from acme_manager.domain.certificate import CertificateId
from acme_manager.domain.operation import Operation
from acme_manager.domain.token import Scope
from acme_manager.ports import Step
from acme_manager.services.budget_report import IssuerBudget, report
from acme_manager.services.bundle import Services
from acme_manager.services.catalogue_views import Entry, Overview
from acme_manager.services.operation_survey import Progress
from acme_manager.web.certificate_attempts import STEP_LABELS
from acme_manager.web.grouping import Group, grouped, worst
from acme_manager.web.page import go_to, page_or_json
from acme_manager.web.timeline import bar, histogram
from acme_manager.web.troubles import Trouble, troubles
from acme_manager.web.viewer import Viewer, find_viewer
from acme_manager.web.words import moment, title_of

routes = Blueprint("ui_home", __name__, url_prefix="/ui")

_LOOKED_AT = 100  # of what is wrong: as many as are put into groups
_GROUPS, _NEXT, _WRONG_OF_NEXT, _RUNNING, _LOW = 8, 12, 4, 8, 3  # shown of each kind
_DAYS = 30
_STEPS = tuple(step for step in Step if step is not Step.REVOKED)


@routes.get("")
async def without_slash() -> Response:
    """All pages are in one folder, and this is its address."""
    return go_to("ui/")


@routes.get("/")
async def home() -> Response:
    """The first page."""
    viewer, known = await find_viewer(), services()
    overview = await known.catalogue.overview(viewer.whose, most=_LOOKED_AT, days=_DAYS)
    budgets = _seen_by(viewer, report(known.budgets))
    groups, around = grouped(overview), troubles(known, viewer, budgets)
    upcoming = _upcoming(overview)
    context: dict[str, Any] = {
        "overview": overview,
        "needs": len(groups) + len(around),
        "tone": worst([*(group.condition.tone for group in groups), *(one.tone for one in around)]),
        "causes": [(group, _story(known, group.first.id)) for group in groups[:_GROUPS]],
        "more_causes": max(0, len(groups) - _GROUPS),
        "unread": overview.wrong_total - len(overview.wrong),
        "troubles": around,
        "next_due": next((one.plan.due for one in overview.following if one.plan is not None), None),
        "upcoming": [(one, bar(title_of(one.id), one.timeline)) for one in upcoming if one.timeline is not None],
        "days": histogram(overview.days),
        "last_day": overview.days[-1].date,
        "cluster": _cluster(known),
        "passes": known.passes.all() if viewer.sees_all else (),
        "budgets": budgets,
        "low": _LOW,
        "running": [(work, _steps(work.attempt)) for work in overview.running[:_RUNNING]],
        "more_running": max(0, len(overview.running) - _RUNNING),
        "operations": await _operations(known) if viewer.sees_all else (),
        "may_create": viewer.may(Scope.CREATE),
        "storage": known.health.latest.get("storage"),
    }
    return await page_or_json("home.html", viewer, _for_programs(context, groups), **context)


def _upcoming(overview: Overview) -> list[Entry]:
    """What runs out next: of what is wrong the most urgent, then what is due next."""
    wrong = [one for one in overview.wrong if one.timeline is not None]
    calm = [one for one in overview.following if one.timeline is not None]
    first = wrong[: max(_WRONG_OF_NEXT, _NEXT - len(calm))]
    return [*first, *calm][:_NEXT]


@attrs.frozen(kw_only=True)
class _Story:
    """What is known of the failures of a certificate: since when, the CA's own words, what DNS servers showed."""

    since: datetime | None
    problem: str
    seen: Sequence[tuple[str, str, str]]  # a record's name, a server, what it showed


def _story(known: Services, id: CertificateId) -> _Story:
    failed = list(takewhile(lambda one: one.get("outcome") == "failed", known.attempts.of(id)))
    last: Mapping[str, Any] = failed[0] if failed else {}
    seen = [
        (record.get("name", ""), server.get("server", ""), server.get("words", ""))
        for record in last.get("records", ())
        for server in record.get("servers", ())
        if not server.get("complete")
    ]
    since = moment(failed[-1].get("began")) if failed else None
    return _Story(since=since, problem=str(last.get("problem", "")), seen=seen)


def _steps(attempt: Attempt) -> list[tuple[str, str]]:
    """Each step of an issuance with `done`, `now` or nothing."""
    taken = {name for name, _at in attempt.steps}
    reached = max((number for number, step in enumerate(_STEPS) if step.value in taken), default=-1)
    states = ["done" if number <= reached else "now" if number == reached + 1 else "" for number in range(len(_STEPS))]
    return [(STEP_LABELS.get(step, step.value), state) for step, state in zip(_STEPS, states, strict=True)]


def _cluster(known: Services) -> dict[str, Any]:
    """Who leads and who is there, as this node sees it. `needed` votes make a majority of `votes`."""
    cluster = known.cluster
    members, statistics = cluster.members(), cluster.statistics()
    voters = set(statistics.get("voters") or [one["name"] for one in members])
    present = {one["name"] for one in members if one.get("state") == "ACTIVE"}
    term = statistics.get("leader_term") or 0
    return {
        "leader": cluster.leader(),
        "term": term,
        "since": statistics.get("leader_since"),
        "members": members,
        "votes": len(voters),
        "present": len(voters & present),
        "needed": len(voters) // 2 + 1,
    }


def _seen_by(viewer: Viewer, budgets: Mapping[str, IssuerBudget]) -> Mapping[str, IssuerBudget]:
    """An owner is not told of the domains of others."""
    if viewer.sees_all:
        return budgets
    return {name: one.without_names() for name, one in budgets.items()}


async def _operations(known: Services) -> list[tuple[Operation, Progress]]:
    return [(one, await known.operations.progress(one)) for one in known.operations.list() if not one.state.over]


def _for_programs(context: Mapping[str, Any], groups: Sequence[Group]) -> dict[str, Any]:
    """The same for a program, with no more than there is on the page."""
    overview: Overview = context["overview"]
    around: Sequence[Trouble] = context["troubles"]
    return {
        "in_order": not context["needs"],
        "at": overview.at,
        "total": overview.total,
        "counts": overview.counts,
        "troubles": around,
        "wrong_total": overview.wrong_total,
        "wrong": [
            {"certificates": [case.id for case in group.cases], "condition": group.condition} for group in groups
        ],
        "upcoming": [
            {"certificate": one.id, "condition": one.condition, "renewal": one.plan, "life": one.timeline}
            for one, _bar in context["upcoming"]
        ],
        "days": overview.days,
        "cluster": context["cluster"],
        "passes": context["passes"],
        "budgets": context["budgets"],
        "running": [{"certificate": work.id, "attempt": work.attempt} for work in overview.running],
        "operations": [
            {"id": one.id, "kind": one.kind, "state": one.state, "total": progress.total, "left": progress.left}
            for one, progress in context["operations"]
        ],
    }
