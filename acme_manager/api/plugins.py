"""`/api/v1/plugins`: which plugins are configured, and how they do."""

from __future__ import annotations

from msgspec import UNSET
from quart import Blueprint, Response

from acme_manager.api.auth import require_api_key
from acme_manager.api.encoding import answer
from acme_manager.api.forward import on_leader
from acme_manager.api.openapi import API_KEY, describe
from acme_manager.api.request import services
from acme_manager.api.schemas.system import PluginAnswer, PluginRunAnswer
from acme_manager.domain.gotime import rfc3339
from acme_manager.plugins import LastRun
from acme_manager.services.plugins import PluginFacts

routes = Blueprint("plugins", __name__)


@routes.get("/api/v1/plugins")
@describe({200: list[PluginAnswer]}, security=API_KEY, problems=(401, 503))
@on_leader
async def plugins() -> Response:
    """List the plugins in the order of the configuration. Runs are those of the leader, which is where plugins run."""
    require_api_key()
    return answer(list(map(_answer, services().plugins.all())))


def _answer(facts: PluginFacts) -> PluginAnswer:
    plugin, last = facts.plugin, facts.last_run
    return PluginAnswer(
        name=plugin.name,
        type=plugin.type,
        path=str(plugin.path),
        verified=bool(plugin.checksum),
        timeout=plugin.timeout,
        user=plugin.user,
        variables=sorted(plugin.env),
        summary=facts.description.summary if facts.description else "",
        last_run=UNSET if last is None else _run(last),
    )


def _run(last: LastRun) -> PluginRunAnswer:
    return PluginRunAnswer(
        action=last.action, at=rfc3339(last.at), seconds=round(last.seconds, 3), outcome=last.outcome
    )
