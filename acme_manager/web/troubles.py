"""What is wrong with the node, its cluster and its CAs, in plain words, for the top of the home page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

import attrs

from acme_manager.api.cluster import trouble_of
from acme_manager.domain.budget import ACCOUNT, Bucket, Kind
from acme_manager.domain.condition import Tone
from acme_manager.domain.finding import listed
from acme_manager.errors import NoQuorum, RingNotReady
from acme_manager.services.budget_report import IssuerBudget
from acme_manager.services.bundle import Services
from acme_manager.web.viewer import Viewer

_READ_ONLY = "Certificates are handed out as before. Nothing is requested, renewed or changed until that is over."


@attrs.frozen(kw_only=True)
class Trouble:
    """One thing. `page` is where there is more about it, `link` what the link there says; `until` is when it is over by
    itself."""

    tone: Tone
    title: str
    detail: str = ""
    since: datetime | None = None
    until: datetime | None = None
    page: str = ""
    link: str = ""


def troubles(services: Services, viewer: Viewer, budgets: Mapping[str, IssuerBudget]) -> list[Trouble]:
    """All of them, what keeps everybody from working first. An owner is told what concerns their certificates."""
    found = [*_leader(services), *_store(services), *_issuers(services)]
    if viewer.sees_all:
        found += [*_members(services), *_workers(services), *_budgets(budgets)]
    if viewer.admin:
        found += _configuration(services)
    return sorted(found, key=lambda one: list(Tone).index(one.tone))


def _leader(services: Services) -> Iterator[Trouble]:
    why = trouble_of(services.cluster)
    if why is None:
        return
    title = "No node leads"
    if isinstance(why, NoQuorum):
        title = "There is no majority of the nodes"
    elif isinstance(why, RingNotReady):
        title = "This node has not found the others yet"
    yield Trouble(tone=Tone.BAD, title=title, detail=f"{_sentence(why)} {_READ_ONLY}", page="cluster", link="Cluster")


def _store(services: Services) -> Iterator[Trouble]:
    wrong = services.health.latest.get("storage")
    if wrong:
        detail = f"{_sentence(wrong)} Nothing new can be kept until it answers; what there is stays readable."
        yield Trouble(tone=Tone.BAD, title="The store can't be used", detail=detail)


def _issuers(services: Services) -> Iterator[Trouble]:
    for name, finding in services.issuer_findings.all().items():
        if not finding.ok:
            yield Trouble(
                tone=Tone.WARN,
                title=f"Issuer {name} can't be used",
                detail=_sentence(finding.error),
                since=finding.since,
                page="issuers",
                link="Issuers",
            )


def _members(services: Services) -> Iterator[Trouble]:
    members, led = services.cluster.members(), services.cluster.leader() is not None
    cure = "Start it again" + (", or give it up if it will not come back." if led else ".")  # that takes a leader
    for member in members:
        if member.get("state") == "Unhealthy":
            votes = " Its vote counts until it is given up." if member.get("voter") else ""
            yield Trouble(
                tone=Tone.WARN,
                title=f"Node {member['name']} does not answer",
                detail=f"{cure}{votes}",
                since=member.get("heartbeat"),
                page="cluster",
                link="Cluster",
            )
    there = {member["name"] for member in members}
    if gone := [name for name in services.cluster.statistics().get("voters", ()) if name not in there]:
        yield Trouble(
            tone=Tone.WARN,
            title=f"{listed(gone)} may vote, but nobody knows where to find it",
            detail=cure,
            page="cluster",
            link="Cluster",
        )


def _workers(services: Services) -> Iterator[Trouble]:
    now, led = services.clock.now(), services.cluster.leader() is not None
    for one in services.passes.all():
        if one.error:
            yield Trouble(
                tone=Tone.WARN,
                title=f"The worker '{one.worker}' fails on {one.node}",
                detail=_sentence(one.error),
                since=one.succeeded,
                page="cluster",
                link="Cluster",
            )
        elif one.late(now) and (led or not one.leader_only):
            yield Trouble(
                tone=Tone.WARN,
                title=f"The worker '{one.worker}' should have run by now",
                detail=f"Its last round on {one.node} is too long ago: look into the log there.",
                since=one.ended,
                page="cluster",
                link="Cluster",
            )


def _configuration(services: Services) -> Iterator[Trouble]:
    if services.settings.refused:
        detail = f"{_sentence(services.settings.refused)} The configuration from before counts until that is mended."
        yield Trouble(tone=Tone.WARN, title="config.yml can't be applied", detail=detail)
    if services.settings.postponed:
        detail = f"{_sentence(services.settings.postponed)} Nothing of the new configuration counts before."
        yield Trouble(tone=Tone.WARN, title="config.yml waits for a restart of this node", detail=detail)


def _budgets(budgets: Mapping[str, IssuerBudget]) -> Iterator[Trouble]:
    """What leaves no room for any order at a CA, or for those for whole domains; one for each CA."""
    for name, budget in budgets.items():
        full = list(_full(budget))
        if full:
            yield Trouble(
                tone=Tone.WARN,
                title=f"There is no room at {name}",
                detail=" ".join(detail for detail, _until in full),
                until=max((until for _detail, until in full if until is not None), default=None),
                page="issuers",
                link="Issuers",
            )


def _full(budget: IssuerBudget) -> Iterator[tuple[str, datetime | None]]:
    for pause in budget.pauses:
        if not pause.about:
            yield "The CA has told us to wait.", pause.until
    for kind in (Kind.ORDERS, Kind.DOMAIN):
        empty = [level for level in budget.levels if level.kind is kind and not level.left]
        limit = budget.limits.of(kind)
        if empty and limit is not None:
            bucket = ACCOUNT if kind is Kind.ORDERS else Bucket(kind, listed(level.about for level in empty))
            free = min((level.next_free for level in empty if level.next_free), default=None)
            yield f"Used up: {bucket.in_words(limit)}.", free


def _sentence(text: object) -> str:
    words = str(text).strip()
    first = words.partition(" ")[0]
    words = words[0].upper() + words[1:] if first.isalpha() else words
    return words if words.endswith((".", "!", "?")) else f"{words}."
