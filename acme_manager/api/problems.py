"""The one renderer of problem documents (RFC 9457).

The documents also carry the members that clients of the Go original read: `error` always, and on routes about one
certificate `err` with the names the request was about.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import attrs
import structlog
from quart import Response
from werkzeug.exceptions import MethodNotAllowed

from acme_manager import errors
from acme_manager.api.encoding import encode
from acme_manager.api.problem_kinds import KINDS, Kind, kind_of
from acme_manager.api.request import ApiRequest
from acme_manager.structure import leaves

_log = structlog.get_logger(__name__)


@attrs.frozen(kw_only=True)
class ProblemDocument:
    """What went wrong (RFC 9457), with the members `error`, `err`, … that older clients read."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    error: str
    err: str = ""
    owner: str = ""
    issuer: str = ""
    domain: str = ""
    name: str = ""
    complaints: tuple[dict[str, str], ...] = ()
    issuer_problem: dict[str, Any] = attrs.field(factory=dict)


def problem_response(error: BaseException, request: ApiRequest) -> Response:
    """The answer to a request that failed. An error that nobody foresaw is logged here, once, and not shown."""
    error = leaves(error)[0]
    kind = kind_of(error)
    if kind is KINDS[Exception]:
        _log.error("request failed unexpectedly", request_id=request.request_id, exc_info=error)
    detail = _detail(error, kind)
    # Who can't say who they are may have sent anything: of that the log has nothing.
    request.failure = kind.title if isinstance(error, errors.NotAuthenticated) else detail
    document = {
        "type": f"/problems/{kind.slug}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "request_id": request.request_id,
        "error": detail,
        **_context(request, detail),
        **_extras(error, request),
    }
    response = Response(encode(document) + b"\n", kind.status, content_type="application/problem+json")
    response.headers.extend(_headers(error, request))
    return response


def _detail(error: BaseException, kind: Kind) -> str:
    foreseen = isinstance(error, errors.AcmeManagerError)
    return str(error) if foreseen and str(error) else kind.title


def _context(request: ApiRequest, detail: str) -> dict[str, str]:
    if not request.owner or not request.names:
        return {}
    return {"err": detail, "owner": request.owner, **request.names}


def _extras(error: BaseException, request: ApiRequest) -> dict[str, Any]:
    if isinstance(error, errors.InvalidRequest):
        return {"complaints": list(_complaints(error.complaints, in_body=request.method in {"POST", "PUT"}))}
    if isinstance(error, errors.IssuanceFailed) and error.problem is not None:
        return {"issuer_problem": _issuer_problem(error.problem)}
    return {}


def _complaints(complaints: Iterable[errors.Complaint], *, in_body: bool) -> Iterable[dict[str, str]]:
    for complaint in complaints:
        where = {"field": complaint.where} if complaint.where else {}
        pointer = {"pointer": f"#/{complaint.where}"} if complaint.where and in_body else {}
        yield {**where, **pointer, "detail": complaint.message}


def _issuer_problem(problem: errors.Problem) -> dict[str, Any]:
    members = {
        "type": problem.type,
        "detail": problem.detail,
        "status": problem.status,
        "identifier": problem.identifier,
        "subproblems": [_issuer_problem(one) for one in problem.subproblems],
    }
    return {name: value for name, value in members.items() if value}


def _headers(error: BaseException, request: ApiRequest) -> dict[str, str]:
    if isinstance(error, errors.NotAuthenticated):
        return {"WWW-Authenticate": request.challenge}
    if isinstance(error, MethodNotAllowed):
        return {"Allow": ", ".join(sorted(error.valid_methods or ()))}
    wait = _retry_after(error)
    return {} if wait is None else {"Retry-After": str(max(1, math.ceil(wait)))}


def _retry_after(error: BaseException) -> float | None:
    if isinstance(error, errors.RateLimited | errors.Unavailable | errors.IssuerRateLimited):
        return error.retry_after
    # How long the other operation takes is not known; an order mostly takes a few seconds.
    return 5.0 if isinstance(error, errors.OperationInProgress) else None
