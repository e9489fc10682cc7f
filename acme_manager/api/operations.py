"""`/api/v1/operations`: replace, renew or revoke many certificates at once, watch that, and stop it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import attrs
from quart import Blueprint, Response

from acme_manager.api.auth import require_api_key
from acme_manager.api.decoding import read_body
from acme_manager.api.encoding import answer
from acme_manager.api.forward import on_leader
from acme_manager.api.openapi import API_KEY, describe
from acme_manager.api.request import current_request, services
from acme_manager.api.schemas.operations import OperationAnswer, OperationsAnswer, PreviewAnswer
from acme_manager.domain.operation import Operation, OperationKind, OperationState
from acme_manager.domain.request import OperationParams
from acme_manager.services.operation_preview import FORMULA, Preview

routes = Blueprint("operations", __name__, url_prefix="/api/v1/operations")

_WRITE = (400, 401, 404, 408, 409, 413, 503, 504)


@routes.post("/replace")
@describe({200: PreviewAnswer, 202: OperationAnswer}, security=API_KEY, body=OperationParams, problems=_WRITE)
@on_leader
async def replace() -> Response:
    """Replace certificates by new ones with new keys; with `revoke` the old ones are revoked then.

    With `preview` it only says what it would come to. Unknown members are refused: a filter that is misspelt must not
    select more than was meant.
    """
    return await _begin(OperationKind.REPLACE)


@routes.post("/renew")
@describe({200: PreviewAnswer, 202: OperationAnswer}, security=API_KEY, body=OperationParams, problems=_WRITE)
@on_leader
async def renew() -> Response:
    """Renew certificates now, as they would be renewed when their time comes."""
    return await _begin(OperationKind.RENEW)


@routes.post("/revoke")
@describe({200: PreviewAnswer, 202: OperationAnswer}, security=API_KEY, body=OperationParams, problems=_WRITE)
@on_leader
async def revoke() -> Response:
    """Revoke and delete certificates, as `DELETE …?revoke=true` does with one."""
    return await _begin(OperationKind.REVOKE)


@routes.get("")
@describe({200: OperationsAnswer}, security=API_KEY, problems=(401, 503))
async def list_operations() -> Response:
    """All operations that are not over, and the last fifty that are, the newest first."""
    require_api_key()
    return answer([await operation_record(one) for one in services().operations.list()])


@routes.get("/<id>")
@describe({200: OperationAnswer}, security=API_KEY, problems=(401, 404, 503))
async def get_operation(id: str) -> Response:
    """How far an operation is."""
    require_api_key()
    return answer(await operation_record(services().operations.get(id)))


@routes.post("/<id>/pause")
@describe({200: OperationAnswer}, security=API_KEY, problems=_WRITE)
@on_leader
async def pause(id: str) -> Response:
    """Begin nothing more until it is resumed; what is under way is finished."""
    return await _change(id, OperationState.PAUSED)


@routes.post("/<id>/resume")
@describe({200: OperationAnswer}, security=API_KEY, problems=_WRITE)
@on_leader
async def resume(id: str) -> Response:
    """Go on after a pause."""
    return await _change(id, OperationState.RUNNING)


@routes.post("/<id>/abort")
@describe({200: OperationAnswer}, security=API_KEY, problems=_WRITE)
@on_leader
async def abort(id: str) -> Response:
    """Begin nothing more, for good; what is under way is finished."""
    return await _change(id, OperationState.ABORTED)


async def _begin(kind: OperationKind) -> Response:
    require_api_key()
    params, operations = await read_body(OperationParams, strict=True), services().operations
    if params.preview:
        current_request().action = None
        return answer(_previewed(await operations.preview(kind, params)))
    operation = await operations.start(kind, params, f"API key, request {current_request().request_id}")
    current_request().audited = operation.id
    response = answer(await operation_record(operation), 202)
    response.headers["Location"] = f"/api/v1/operations/{operation.id}"
    return response


async def _change(id: str, to: OperationState) -> Response:
    require_api_key()
    return answer(await operation_record(await services().operations.change(id, to)))


def _previewed(preview: Preview) -> dict[str, Any]:
    return attrs.asdict(preview) | {"formula": FORMULA}


async def operation_record(operation: Operation) -> Mapping[str, Any]:
    """What it is and how far. What is empty is left out, save the counts."""
    operations, now = services().operations, services().clock.now()
    found = await operations.progress(operation)
    ends_at = found.ends_at(operation, now)
    selector = attrs.asdict(operation.selector, filter=lambda _, value: bool(value))
    if operation.selector.issued_before:
        selector["issued_before"] = _instant(operation.selector.issued_before)
    record = {
        "id": operation.id,
        "kind": operation.kind.value,
        "state": operation.state.value,
        "selector": selector,
        "total": found.total,
        "done": found.done,
        "left": found.left,
        "failed": found.failed,
        "waiting_for_host": found.waiting_for_host,
    }
    more = {
        "unasked": found.unasked,
        "revoke": operation.revoke,
        "reason": operation.reason.name if operation.reason is not None else "",
        "same_key": operation.same_key,
        "created_by": operation.created_by,
        "started_at": _instant(operation.started_at),
        "ended_at": _instant(operation.ended_at) if operation.ended_at else "",
        "per_hour": found.per_hour(operation, now),
        "estimated_end": f"{ends_at:%Y-%m-%dT%H:%M:%SZ}" if ends_at else "",
        "failures": [attrs.asdict(one) for one in found.failures],
    }
    return record | {name: value for name, value in more.items() if value}


def _instant(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
