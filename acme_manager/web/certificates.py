"""`/ui/certificates`: the table of all certificates, the same as CSV, and as the records that the Go original gives."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import attrs
import trio
from quart import Blueprint, Response

from acme_manager.api.encoding import answer
from acme_manager.api.listing import read_metadata
from acme_manager.api.request import current_request, services
from acme_manager.domain.certificate import Certificate
from acme_manager.domain.condition import CODES
from acme_manager.domain.token import Scope
from acme_manager.errors import InvalidRequest
from acme_manager.services.catalogue_traits import WEAKNESSES
from acme_manager.services.catalogue_views import Entry, Query
from acme_manager.services.issuers import Issuers
from acme_manager.services.reports import Reports
from acme_manager.web.certificate_columns import COLUMNS, chosen, csv_head, csv_rows, offered
from acme_manager.web.certificate_query import DEFAULT_LIMIT, LIMITS, RARE, filters_of, parse_query, selection_of
from acme_manager.web.login import set_cookie
from acme_manager.web.page import page, wants_json
from acme_manager.web.viewer import Viewer, find_viewer
from acme_manager.web.words import CONDITIONS

routes = Blueprint("ui_certificates", __name__, url_prefix="/ui")

_COOKIE = "acme_manager_columns"
_YEAR = 365 * 86400
_ALL = 10**9
_BATCH = 200  # lines of a file made at once


@routes.get("/certificates")
async def certificates() -> Response:
    """The table; for a program the records of everything that fits, or of a page if it names a `limit`."""
    viewer, request = await find_viewer(), current_request()
    if wants_json():
        return await _records(viewer)
    try:
        query, wrong = parse_query(request.args), None
    except InvalidRequest as error:
        query, wrong = parse_query(type(request.args)()), str(error)
    found, filters = await services().catalogue.rows(viewer.whose, query), filters_of(request.args)
    columns, named = _columns(viewer)
    kept = filters | {"columns": named}
    response = await page(
        "certificates.html",
        viewer,
        found=found,
        query=query,
        wrong=wrong,
        filters=filters,
        kept=kept | {"limit": query.limit if query.limit != DEFAULT_LIMIT else None},
        sort=f"-{query.sort}" if query.descending else query.sort,
        columns=[COLUMNS[key] for key in columns],
        offered=offered(viewer.sees_all),
        conditions=[(code, *CONDITIONS[code], found.counts[code]) for code in CODES],
        limits=LIMITS,
        selection=selection_of(query),
        rare=RARE,
        weak={code: one.sentence for code, one in WEAKNESSES.items()},
        hosts=services().reports.of,
        may_create=viewer.may(Scope.CREATE),
    )
    if named and named != request.cookies.get(_COOKIE, ""):
        set_cookie(response, _COOKIE, named, _YEAR)
    return response


async def _records(viewer: Viewer) -> Response:
    args = current_request().args
    query = parse_query(args, most=_ALL)
    query = query if args.get("limit") else attrs.evolve(query, limit=_ALL)
    if query == Query(limit=_ALL):  # everything is quicker without judging each
        certificates = services().certificates.list(viewer.whose)
        total = len(certificates)
    else:
        found = await services().catalogue.rows(viewer.whose, query)
        certificates, total = [one.certificate for one in found.rows], found.total
    response = answer(await original_records(certificates))
    response.headers["X-Total-Count"] = str(total)
    return response


@routes.get("/certificates-csv")
async def export() -> Response:
    """Everything that fits, with every column."""
    viewer = await find_viewer()
    query = attrs.evolve(parse_query(current_request().args), offset=0, limit=_ALL)
    found = await services().catalogue.rows(viewer.whose, query)
    headers = {"Content-Disposition": 'attachment; filename="certificates.csv"'}
    lines = _lines(found.rows, services().reports)
    return Response(lines, headers=headers, content_type="text/csv; charset=utf-8")


async def original_records(certificates: Sequence[Certificate]) -> list[Mapping[str, Any]]:
    """Records as the Go original's `/certificates` has them, with `renewal` as in `/api/v1/certificate/metadata`."""
    records = list[Mapping[str, Any]]()
    for start, record in enumerate(await read_metadata(certificates, services().plans)):
        dns, http = effective_challenge(certificates[start], services().issuers)
        records.append({**record, "EffectiveDNSChallenge": dns, "EffectiveHTTPChallenge": http})
        if start % _BATCH == 0:
            await trio.lowlevel.checkpoint()
    return records


def effective_challenge(certificate: Certificate, issuers: Issuers) -> tuple[str, str]:
    """The `dns_challenge` and `http_challenge` that count: its own, else its issuer's; one of them is empty."""
    try:
        return issuers.choice(certificate)
    except InvalidRequest:  # its issuer is not configured, or has none
        return "", ""


async def _lines(rows: Sequence[Entry], reports: Reports) -> AsyncIterator[bytes]:
    yield _csv([csv_head()])
    for start in range(0, len(rows), _BATCH):
        yield _csv(list(csv_rows(rows[start : start + _BATCH], reports)))
        await trio.lowlevel.checkpoint()


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _columns(viewer: Viewer) -> tuple[Sequence[str], str]:
    """The columns to show, and what links have to say of them: nothing where nobody has named any in the address."""
    request = current_request()
    named = ",".join(request.args.getlist("columns"))
    columns = chosen(named or request.cookies.get(_COOKIE, ""), viewer.sees_all)
    return columns, ",".join(columns) if named else ""
