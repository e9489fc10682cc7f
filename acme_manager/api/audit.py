"""`/api/v1/audit`: who did what, and whether the record of that is as it was written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs
from quart import Blueprint, Response

from acme_manager.api.auth import require_api_key, require_token
from acme_manager.api.encoding import answer
from acme_manager.api.openapi import API_KEY, BEARER, describe
from acme_manager.api.request import current_request, services
from acme_manager.api.schemas.audit import AuditAnswer, AuditQuery, AuditVerdict, AuditVerifyQuery
from acme_manager.domain.audit import Entry, Query, entry_to_json
from acme_manager.domain.operation import instant_of
from acme_manager.errors import InvalidRequest
from acme_manager.services.audit_search import Found

routes = Blueprint("audit", __name__, url_prefix="/api/v1/audit")

_USUAL, _MOST = 100, 1000  # entries in an answer


@routes.get("")
@describe({200: AuditAnswer}, query=AuditQuery, security=(API_KEY, BEARER), problems=(400, 401, 503))
async def search_audit() -> Response:
    """Search the audit log, the newest entry first: all of it with the API key, with a token its owner's own.

    Also while storage is away: then there are the newest thousand entries. Any node answers.
    """
    query, limit = asked_for(_owner()), _number("limit", _USUAL, _MOST)
    found = await services().audit.search(query, limit=limit, before=current_request().args.get("cursor", ""))
    return answer(found_record(found))


def asked_for(owner: str | None) -> Query:
    """What the query string at hand looks for, in the entries of an owner or in all. Raises InvalidRequest."""
    args = current_request().args
    return Query(
        **{name: args.get(name, "") for name in ("q", "action", "actor", "object")},
        owner=owner,
        since=instant_of(args.get("since", ""), "since"),
        until=instant_of(args.get("until", ""), "until"),
    )


def found_record(found: Found) -> dict[str, Any]:
    """A page of entries as JSON."""
    record = {
        "entries": [_shown(one) for one in found.entries],
        "complete": found.complete,
        "cursor": found.cursor,
        "back_to": _instant(found.back_to) if found.back_to else "",
        "trouble": found.trouble,
    }
    return {name: value for name, value in record.items() if value != ""}


@routes.get("/verify")
@describe({200: AuditVerdict}, query=AuditVerifyQuery, security=API_KEY, problems=(400, 401, 503))
async def verify_audit() -> Response:
    """Check that no segment of the audit log in storage was changed, removed or put elsewhere since it was written.

    At most 10,000 segments at a time; `next` says where to go on.
    """
    require_api_key()
    verdict = await services().audit.verify(_number("begin", 1, 10**9))
    return answer({"ok": not verdict.breaks, **attrs.asdict(verdict)})


def _owner() -> str | None:
    if "Authorization" in current_request().headers:
        return require_token().username
    require_api_key()
    return None


def _number(name: str, usual: int, most: int) -> int:
    text = current_request().args.get(name, "")
    if not text:
        return usual
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or not 1 <= int(text) <= most:
        raise InvalidRequest(f"'{name}' must be a whole number from 1 to {most}, not '{text[:40]}'", name)
    return int(text)


def _shown(entry: Entry) -> dict[str, Any]:
    return entry_to_json(entry) | {"at": _instant(entry.at)}


def _instant(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
