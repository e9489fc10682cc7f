"""`/api/v1/operations/cleanup`: what the cleanup worker would do in its next round, and why."""

from __future__ import annotations

import trio
from quart import Blueprint, Response

from acme_manager.api.auth import require_api_key
from acme_manager.api.encoding import answer
from acme_manager.api.forward import on_leader
from acme_manager.api.openapi import API_KEY, describe
from acme_manager.api.request import services
from acme_manager.api.schemas.operations import CleanupAnswer
from acme_manager.services.cleanup_report import Report

routes = Blueprint("cleanup", __name__)

_LINES = 5000  # 200 bytes each
_LIMIT = 240.0  # seconds


@routes.get("/api/v1/operations/cleanup")
@describe({200: CleanupAnswer}, security=API_KEY, problems=(401, 503, 504))
@on_leader
async def preview() -> Response:
    """Tell what clean-up would do now, without doing anything, whether it is turned on or not."""
    require_api_key()
    cleanup, report = services().cleanup, Report(_LINES)
    with trio.fail_after(_LIMIT):
        await cleanup.preview(report.found)
    return answer(
        CleanupAnswer(
            enabled=cleanup.enabled,
            complete=report.complete,
            totals={action.value: number for action, number in report.totals.items()},
            actions=report.lines,
        )
    )
