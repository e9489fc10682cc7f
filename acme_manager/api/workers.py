"""`/api/v1/workers`: the last round of each worker, for administrators."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from quart import Blueprint, Response

from acme_manager.api.auth import require_api_key
from acme_manager.api.encoding import answer
from acme_manager.api.openapi import API_KEY, describe
from acme_manager.api.request import services
from acme_manager.api.schemas.cluster import WorkersAnswer
from acme_manager.domain.gotime import rfc3339
from acme_manager.services.passes import Pass

routes = Blueprint("workers", __name__, url_prefix="/api/v1/workers")


@routes.get("")
@describe({200: WorkersAnswer}, security=API_KEY, problems=(401, 503))
async def list_workers() -> Response:
    """List the workers with their last rounds: the leader's of what only the leader does, else this node's own."""
    require_api_key()
    now = services().clock.now()
    return answer([worker_record(one, now) for one in services().passes.all()])


def worker_record(one: Pass, now: datetime) -> dict[str, Any]:
    """Its last round; what is empty is left out."""
    optional = {
        "succeeded": rfc3339(one.succeeded) if one.succeeded else "",
        "error": one.error,
        "failures": one.failures,
        "figures": dict(one.figures),
    }
    return {
        "worker": one.worker,
        "node": one.node,
        "leader_only": one.leader_only,
        "interval": one.interval,
        "began": rfc3339(one.began),
        "ended": rfc3339(one.ended),
        "next": rfc3339(one.next),
        "late": one.late(now),
        **{name: value for name, value in optional.items() if value},
    }
