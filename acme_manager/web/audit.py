"""`/ui/audit`: who did what; and for administrators, whether that record is as it was written."""

from __future__ import annotations

import attrs
from quart import Blueprint, Response

from acme_manager.api.audit import asked_for, found_record
from acme_manager.api.request import current_request, services
from acme_manager.domain.audit import Query
from acme_manager.domain.gotime import milliseconds
from acme_manager.errors import AdministratorsOnly, InvalidRequest
from acme_manager.services.audit_search import Found
from acme_manager.web.page import page, page_or_json, told, wants_json
from acme_manager.web.viewer import find_viewer, require_administrator
from acme_manager.web.words import moment

routes = Blueprint("ui_audit", __name__, url_prefix="/ui")

_PAGE = 50
_KINDS = (
    ("", "everything"),
    ("certificate", "certificates"),
    ("key", "private keys handed out"),
    ("token", "tokens"),
    ("operation", "operations"),
    ("login", "log-ins"),
    ("ring", "the cluster"),
    ("storage", "storage"),
    ("configuration", "configuration"),
)


@routes.get("/audit")
async def audit() -> Response:
    """The newest entries, or those that fit."""
    viewer, args = await find_viewer(), current_request().args
    if viewer.public:
        raise AdministratorsOnly
    error = None
    try:
        query = _with_days(asked_for(viewer.whose))
        found = await services().audit.search(query, limit=_PAGE, before=args.get("cursor", ""))
    except InvalidRequest as wrong:
        if wants_json():
            raise
        error, found = told(wrong), Found(entries=(), cursor="", complete=True, back_to=0)
    filters = {name: args.get(name, "") for name in ("q", "action", "actor", "object", "from", "to")}
    return await page_or_json(
        "audit.html", viewer, found_record(found), found=found, filters=filters, kinds=_KINDS, error=error
    )


@routes.get("/audit-verify")
async def verify() -> Response:
    """Look along the chain of what is stored: a change, a gap or a swap breaks it."""
    viewer = await require_administrator()
    begin = current_request().args.get("begin", "1")
    verdict = await services().audit.verify(int(begin) if begin.isdecimal() and len(begin) < 10 else 1)
    return await page("audit_verify.html", viewer, section="audit", verdict=verdict)


def _with_days(query: Query) -> Query:
    """People name days and programs instants: `from` and `to` are days in UTC, both included."""
    args = current_request().args
    first, last = (moment(args.get(name, "")) for name in ("from", "to"))
    since = milliseconds(first) if first else query.since
    until = milliseconds(last) + 86_400_000 - 1 if last else query.until
    return attrs.evolve(query, since=since, until=until)
