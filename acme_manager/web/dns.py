"""`/ui/dns`: who proves names by DNS, with which credentials and plugins, how that went, and what else there is."""

from __future__ import annotations

from typing import Any

import trio
from quart import Blueprint, Response

from acme_manager.api.issuers import issuers_of
from acme_manager.api.request import current_request, services
from acme_manager.domain.condition import Remedy
from acme_manager.web.dns_facts import changes_of, credentials_of, defaults_of, known_providers, plugins_of, zones_of
from acme_manager.web.forms import on_leader_if_any
from acme_manager.web.grouping import Group, grouped
from acme_manager.web.page import page_or_json
from acme_manager.web.viewer import Viewer, find_viewer

routes = Blueprint("ui_dns", __name__, url_prefix="/ui")

_PATIENCE = 3.0  # seconds for the leader to answer in our place
_LOOKED_AT = 100  # certificates that have something wrong
_TROUBLES = 8  # shown; the home page has them all


@routes.get("/dns")
async def dns() -> Response:
    """Plugins run where records are written, on the leader: an administrator is shown what that remembers."""
    viewer = await find_viewer()
    if viewer.admin:
        with trio.move_on_after(_PATIENCE):
            return await on_leader_if_any(lambda: _page(viewer))
    return await _page(viewer)


async def _page(viewer: Viewer) -> Response:
    known, q = services(), current_request().args.get("q", "")
    config, solvers = known.settings.config, known.request_choices.dns
    providers = known_providers(solvers, config, viewer)
    overview = await known.catalogue.overview(viewer.whose, most=_LOOKED_AT)
    troubles = [one for one in grouped(overview) if one.condition.remedy is Remedy.DNS]
    data: dict[str, Any] = {
        "troubles": [_trouble(one) for one in troubles[:_TROUBLES]],
        "issuers": defaults_of(solvers, config, providers, issuers_of(viewer.token), viewer),
        "credentials": credentials_of(config, viewer),
        "plugins": plugins_of(known.plugins.all(), viewer),
        "known": [one for one in providers if _fits(one, q)],
    }
    if viewer.admin:
        data |= {
            "zones": zones_of(config.dns),
            "changes": changes_of(solvers.metrics),
            "node": known.instance_id,
            "leads": known.cluster.leads(),
        }
    ready = [one for one in providers if one["ready"]]
    return await page_or_json("dns.html", viewer, data, found=data, ready=ready, q=q, all=len(providers))


def _trouble(group: Group) -> dict[str, Any]:
    """What stands in the way of one certificate, for all that have the same."""
    return {
        "sentence": group.condition.sentence,
        "advice": group.condition.advice,
        "tone": group.condition.tone,
        "next_try": group.next_try,
        "certificates": [case.id for case in group.cases],
    }


def _fits(provider: dict[str, Any], q: str) -> bool:
    text = " ".join((provider["name"], provider["level"], provider["source"], *provider.get("variables", ())))
    return all(word in text.casefold() for word in q.casefold().split())
