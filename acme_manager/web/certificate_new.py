"""`/ui/certificate-request`: ask for a certificate, and see before that whether it can work."""

from __future__ import annotations

from quart import Blueprint, Response

from acme_manager.api.request import current_request, services
from acme_manager.domain.certificate import CertificateId
from acme_manager.domain.oidc import owner_complaint
from acme_manager.domain.token import Scope
from acme_manager.errors import InvalidRequest
from acme_manager.services.request_choices import Choices
from acme_manager.web.certificate_form import (
    existing,
    fields_of,
    id_of,
    look_ahead,
    note,
    params_of,
    shown_again,
)
from acme_manager.web.forms import Form, submitted
from acme_manager.web.page import go_to, page, page_or_json
from acme_manager.web.viewer import Viewer, find_viewer
from acme_manager.web.words import of_certificate

routes = Blueprint("ui_certificate_new", __name__, url_prefix="/ui")

_TEMPLATE = "certificate_new.html"


@routes.get("/certificate-request")
async def request_page() -> Response:
    """The form; what the address says of fields is typed in already. For a program, what there is to choose from."""
    viewer, form = await find_viewer(), Form.read(current_request().query_string)
    choices = await _choices(viewer, form)
    return await page_or_json(_TEMPLATE, viewer, choices, **fields_of(form, choices, findings=[], existing=None))


async def _again(viewer: Viewer, form: Form, error: BaseException) -> Response:
    choices = await _choices(viewer, form)
    return await shown_again(_TEMPLATE, viewer, error, **fields_of(form, choices, findings=[], existing=None))


@routes.post("/certificate-request")
@submitted(_again, filled="certificate-request")
async def request(viewer: Viewer, form: Form) -> Response:
    """Begin to issue it, and show how that goes."""
    owner = _owner(viewer, form)
    if complaint := owner_complaint(owner):
        raise InvalidRequest(f"'owner' {complaint}", "owner")
    id = await services().certificates.begin_request(viewer.acting_for(owner), params_of(form))
    return go_to(of_certificate(id, said="requested"))


@routes.post("/certificate-dismiss")
@submitted()
async def dismiss(viewer: Viewer, form: Form) -> Response:
    """Say no more of a request that has failed."""
    id = id_of(form)
    note(viewer, id, Scope.CREATE)
    services().certificates.dismiss(id)
    return go_to("./", said="dismissed")


@routes.post("/certificate-check")
@submitted(here=True)
async def check(viewer: Viewer, form: Form) -> Response:
    """The form as it was typed, with what there is to say about it. The script takes the latter while one types."""
    choices, owner = await _choices(viewer, form), _owner(viewer, form)
    findings = await look_ahead(viewer, form, owner)
    there = existing(_id(owner, form))
    return await page(_TEMPLATE, viewer, **fields_of(form, choices, findings=findings, existing=there))


async def _choices(viewer: Viewer, form: Form) -> Choices:
    caller = viewer.acting_for(_owner(viewer, form))
    return await services().request_choices.find(caller, any_owner=viewer.admin)


def _owner(viewer: Viewer, form: Form) -> str:
    """Whose it is going to be: an administrator says so, for others it is theirs. Raises as Viewer.require does."""
    owner = form["owner"] or viewer.owner
    note(viewer, _id(owner, form), Scope.CREATE)
    return owner


def _id(owner: str, form: Form) -> CertificateId:
    return id_of({**form, "owner": owner})
