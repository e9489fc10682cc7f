"""`/ui/operations`: what is done to many certificates at once, how far it is, and beginning, pausing and ending it."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from quart import Blueprint, Response

from acme_manager.api.operations import operation_record
from acme_manager.api.problem_kinds import kind_of
from acme_manager.api.request import current_request, services
from acme_manager.domain.certificate import CertificateId
from acme_manager.domain.condition import Tone
from acme_manager.domain.operation import Failure, Operation, OperationState
from acme_manager.domain.revocation import parse_reason
from acme_manager.errors import AdministratorsOnly, InvalidRequest
from acme_manager.services.catalogue_views import Query
from acme_manager.services.operation_preview import FORMULA
from acme_manager.web.arrival import arrival
from acme_manager.web.certificate_removal import REASONS
from acme_manager.web.forms import Form, submitted
from acme_manager.web.operation_form import KINDS, Draft, in_words, reason_in_words, what_of_old
from acme_manager.web.page import go_to, page, page_or_json, told
from acme_manager.web.viewer import Viewer, require_administrator

routes = Blueprint("ui_operations", __name__, url_prefix="/ui")

_TYPED = "typed"
_ABORT = "abort"
STATES = {
    OperationState.RUNNING: (Tone.BUSY, "Under way"),
    OperationState.PAUSED: (Tone.WARN, "Paused"),
    OperationState.ABORTED: (Tone.WARN, "Aborted"),
    OperationState.DONE: (Tone.GOOD, "Done"),
}
LABELS = {
    "kind": "What is done",
    "all": "Everything",
    "issued_before": "Issued before",
    "reason": "Reason",
    "revoke": "Revoke the old ones",
    "same_key": "The same key once more",
    _TYPED: "Confirmation",
}


@attrs.frozen(kw_only=True)
class Cause:
    """Certificates at which the same went wrong."""

    cause: str
    error: str
    certificates: Sequence[CertificateId]


@routes.get("/operations")
async def operations() -> Response:
    """Those that are not over, and the last ones that are."""
    viewer, known = await require_administrator(), services().operations
    found = known.list()
    shown = [(one, await known.progress(one)) for one in found]
    data = [await operation_record(one) for one in found]
    return await page_or_json("operations.html", viewer, data, shown=shown, states=STATES, kinds=KINDS)


@routes.get("/operation")
async def operation() -> Response:
    """One of them, with what failed."""
    viewer, known = await require_administrator(), services().operations
    id = current_request().args.get("id", "")
    await arrival(lambda: known.get(id))
    one = known.get(id)
    found = await known.progress(one)
    return await page_or_json(
        "operation.html",
        viewer,
        await operation_record(one),
        section="operations",
        one=one,
        progress=found,
        causes=grouped(found.failures),
        selection=in_words(one.selector),
        old=what_of_old(one.kind, revoke=one.revoke),
        reason=reason_in_words(one.reason),
        states=STATES,
        kinds=KINDS,
    )


@routes.get("/operation-new")
async def new_page() -> Response:
    """The form, filled in with what the address says."""
    viewer = await require_administrator()
    return await _form_page(viewer, Draft.read(current_request().args.getlist))


async def _new_again(viewer: Viewer, form: Form, error: BaseException) -> Response:
    return await _form_page(viewer, Draft.read(form.all), error)


@routes.post("/operation-preview")
@submitted(_new_again, filled="operation-new")
async def preview(viewer: Viewer, form: Form) -> Response:
    """What it would come to, and the question whether that is meant."""
    _check(viewer)
    return await _preview_page(viewer, Draft.read(form.all))


async def _start_again(viewer: Viewer, form: Form, error: BaseException) -> Response:
    draft = Draft.read(form.all)
    if isinstance(error, InvalidRequest) and any(one.where == _TYPED for one in error.complaints):
        return await _preview_page(viewer, draft, error)
    return await _form_page(viewer, draft, error)


@routes.post("/operation-start")
@submitted(_start_again, filled="operation-new")
async def start(viewer: Viewer, form: Form) -> Response:
    """Begin, if what was confirmed is what it comes to now."""
    _check(viewer)
    draft, known = Draft.read(form.all), services().operations
    total = (await known.preview(draft.chosen, draft.params)).total
    if form[_TYPED].replace(",", "").replace(" ", "") != str(total):
        raise InvalidRequest(f"{total:,} are selected now: type {total} to confirm", _TYPED)
    begun = await known.start(draft.chosen, draft.params, f"{viewer.actor}, request {current_request().request_id}")
    current_request().audited = begun.id
    return go_to("operation", id=begun.id, said="started")


@routes.post("/operation-pause")
@submitted()
async def pause(viewer: Viewer, form: Form) -> Response:
    """Begin nothing more until it is resumed."""
    return await _change(viewer, form, OperationState.PAUSED, "paused")


@routes.post("/operation-resume")
@submitted()
async def resume(viewer: Viewer, form: Form) -> Response:
    """Go on after a pause."""
    return await _change(viewer, form, OperationState.RUNNING, "resumed")


@routes.get("/operation-abort")
async def abort_page() -> Response:
    """Ask whether it is meant."""
    viewer = await require_administrator()
    return await _ask(viewer, services().operations.get(current_request().args.get("id", "")))


async def _abort_again(viewer: Viewer, form: Form, error: BaseException) -> Response:
    return await _ask(viewer, services().operations.get(form["id"]), error)


@routes.post("/operation-abort")
@submitted(_abort_again)
async def abort(viewer: Viewer, form: Form) -> Response:
    """Begin nothing more, for good."""
    _check(viewer)
    if form[_TYPED].lower() != _ABORT:
        raise InvalidRequest(f"type '{_ABORT}' to confirm", _TYPED)
    return await _change(viewer, form, OperationState.ABORTED, "aborted")


def grouped(failures: Sequence[Failure]) -> list[Cause]:
    """What went wrong in the same way together, the most frequent first."""
    found: dict[tuple[str, str], list[CertificateId]] = {}
    for one in failures:
        found.setdefault((one.cause, one.error), []).append(_identity(one.key))
    causes = [Cause(cause=cause, error=error, certificates=ids) for (cause, error), ids in found.items()]
    return sorted(causes, key=lambda one: -len(one.certificates))


def _identity(key: str) -> CertificateId:
    """Of `owner/name`, or of `owner/issuer/domain`."""
    owner, _, rest = key.partition("/")
    issuer, slash, domain = rest.partition("/")
    return CertificateId(owner, issuer, domain) if slash else CertificateId(owner, name=rest)


def _check(viewer: Viewer) -> None:
    if not viewer.admin:
        raise AdministratorsOnly


async def _change(viewer: Viewer, form: Form, to: OperationState, said: str) -> Response:
    _check(viewer)
    current_request().audited = form["id"]
    await services().operations.change(form["id"], to)
    return go_to("operation", id=form["id"], said=said)


async def _form_page(viewer: Viewer, draft: Draft, error: BaseException | None = None) -> Response:
    facets = (await services().catalogue.rows(None, Query(limit=1))).facets
    return await page(
        "operation_form.html",
        viewer,
        kind_of(error).status if error else 200,
        section="operations",
        draft=draft,
        kinds=KINDS,
        issuers={**facets.issuers, **{name: facets.issuers.get(name, 0) for name in draft.params.issuers}},
        key_types={**facets.key_types, **{name: facets.key_types.get(name, 0) for name in draft.params.key_types}},
        owners=facets.owners,
        reasons=REASONS,
        labels=LABELS,
        error=told(error) if error else None,
    )


async def _preview_page(viewer: Viewer, draft: Draft, error: BaseException | None = None) -> Response:
    current_request().action = None  # nothing is changed
    found = await services().operations.preview(draft.chosen, draft.params)
    return await page(
        "operation_preview.html",
        viewer,
        kind_of(error).status if error else 200,
        section="operations",
        draft=draft,
        found=found,
        selection=in_words(draft.params),
        old=what_of_old(draft.chosen, revoke=draft.params.revoke),
        reason=reason_in_words(parse_reason(draft.params.reason)),
        formula=FORMULA,
        kinds=KINDS,
        labels=LABELS,
        error=told(error) if error else None,
    )


async def _ask(viewer: Viewer, one: Operation, error: BaseException | None = None) -> Response:
    return await page(
        "operation_abort.html",
        viewer,
        kind_of(error).status if error else 200,
        section="operations",
        one=one,
        progress=await services().operations.progress(one),
        kinds=KINDS,
        error=told(error) if error else None,
    )
