"""`/ui/certificate-update`: change a certificate, and see before that whether it takes a new one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import attrs
from quart import Blueprint, Response

from acme_manager.api.request import current_request, services
from acme_manager.domain.certificate import Certificate, certificate_to_json
from acme_manager.domain.finding import Finding
from acme_manager.domain.request import CertificateParams
from acme_manager.domain.token import Scope
from acme_manager.errors import AcmeManagerError
from acme_manager.web.certificate_form import (
    LABELS,
    certificate_at,
    fields_of,
    form_of,
    look_ahead,
    params_of,
    shown_again,
)
from acme_manager.web.certificate_removal import REASONS
from acme_manager.web.forms import Form, submitted
from acme_manager.web.page import go_to, page, page_or_json
from acme_manager.web.viewer import Viewer, find_viewer
from acme_manager.web.words import of_certificate

routes = Blueprint("ui_certificate_update", __name__, url_prefix="/ui")

_TEMPLATE = "certificate_update.html"


@routes.get("/certificate-update")
async def update_page() -> Response:
    """The form, filled in with what is."""
    viewer = await find_viewer()
    present = certificate_at(viewer, Form.read(current_request().query_string), Scope.UPDATE)
    context = await _context(viewer, form_of(present), present)
    return await page_or_json(_TEMPLATE, viewer, certificate_to_json(present), **context)


async def _again(viewer: Viewer, form: Form, error: BaseException) -> Response:
    present = certificate_at(viewer, form, Scope.UPDATE)
    return await shown_again(_TEMPLATE, viewer, error, **await _context(viewer, form, present))


@routes.post("/certificate-update")
@submitted(_again)
async def update(viewer: Viewer, form: Form) -> Response:
    """Change it, or begin to issue it anew, and show how that goes."""
    present = certificate_at(viewer, form, Scope.UPDATE)
    params, caller = _params(form, present), viewer.acting_for(present.owner)
    anew = services().certificates.made_otherwise(caller, params)
    id = await services().certificates.begin_update(caller, params)
    return go_to(of_certificate(id, said="changing" if anew else "changed"))


@routes.post("/certificate-update-check")
@submitted(here=True)
async def check(viewer: Viewer, form: Form) -> Response:
    """The form as it was typed, with what the change would come to. The script takes the latter while one types."""
    present = certificate_at(viewer, form, Scope.UPDATE)
    caller, anew = viewer.acting_for(present.owner), None
    with suppress(AcmeManagerError):  # the look ahead says what is wrong
        anew = services().certificates.made_otherwise(caller, _params(form, present))
    findings = [] if anew == [] else await look_ahead(viewer, form, present.owner, present)
    return await page(_TEMPLATE, viewer, **await _context(viewer, form, present, anew, findings))


def _params(form: Form, present: Certificate) -> CertificateParams:
    """The change. Issuer and domain of what has no name are its identity, and stay."""
    params = params_of(form, present)
    return params if present.name else attrs.evolve(params, issuer=present.issuer, domain=present.domain)


async def _context(
    viewer: Viewer,
    form: Form,
    present: Certificate,
    anew: Sequence[str] | None = None,
    findings: Sequence[Finding] = (),
) -> dict[str, Any]:
    caller = viewer.acting_for(present.owner)
    choices = await services().request_choices.find(caller, any_owner=viewer.admin)
    words = None if anew is None else [_WORDS.get(field, LABELS.get(field, field)).lower() for field in anew]
    return fields_of(form, choices, present=present, anew=words, findings=findings, reasons=REASONS)


_WORDS = {"csr": "key", "san": "names", "dns_challenge": "challenge", "http_challenge": "challenge", "days": "lifetime"}
