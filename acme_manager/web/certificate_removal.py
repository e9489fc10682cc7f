"""`/ui/certificate-revoke` and `/ui/certificate-delete`: pages that say what it means, and want the name typed."""

from __future__ import annotations

from collections.abc import Mapping

from quart import Blueprint, Response

from acme_manager.api.request import current_request, services
from acme_manager.domain.certificate import Certificate, certificate_to_json
from acme_manager.domain.revocation import Reason, parse_reason
from acme_manager.domain.token import Scope
from acme_manager.errors import InvalidRequest
from acme_manager.web.certificate_form import LABELS, certificate_at, shown_again
from acme_manager.web.forms import Form, submitted
from acme_manager.web.page import go_to, page_or_json
from acme_manager.web.viewer import Viewer, find_viewer
from acme_manager.web.words import title_of

routes = Blueprint("ui_certificate_removal", __name__, url_prefix="/ui")

_TEMPLATE = "certificate_removal.html"

REASONS: Mapping[Reason, tuple[str, str]] = {
    Reason.unspecified: ("No particular reason", "None of those below."),
    Reason.keyCompromise: (
        "The key has leaked",
        "Somebody else has the private key, or may have. Public CAs then take no certificate with this key any more.",
    ),
    Reason.superseded: ("There is a new one", "Another certificate has taken its place."),
    Reason.cessationOfOperation: ("No longer needed", "The service is gone, or the name is not ours any more."),
    Reason.affiliationChanged: ("Its details are wrong", "The organisation in the certificate has changed."),
}
"""What a subscriber may say (RFC 5280 section 5.3.1): the short words, and when. Other codes are for CAs."""


@routes.get("/certificate-revoke")
async def revoke_page() -> Response:
    """What revoking would do, and to whom."""
    return await _page(revoking=True)


@routes.get("/certificate-delete")
async def delete_page() -> Response:
    """What deleting would do, and how it can be undone."""
    return await _page(revoking=False)


async def _revoke_again(viewer: Viewer, form: Form, error: BaseException) -> Response:
    return await _again(viewer, form, error, revoking=True)


async def _delete_again(viewer: Viewer, form: Form, error: BaseException) -> Response:
    return await _again(viewer, form, error, revoking=False)


@routes.post("/certificate-revoke")
@submitted(_revoke_again)
async def revoke(viewer: Viewer, form: Form) -> Response:
    """Have the CA revoke it; once it has, the certificate is deleted."""
    return await _remove(viewer, form, revoking=True)


@routes.post("/certificate-delete")
@submitted(_delete_again)
async def delete(viewer: Viewer, form: Form) -> Response:
    """Delete it, if wanted not before the CA has revoked it."""
    return await _remove(viewer, form, revoking=form.ticked("revoke"))


async def _remove(viewer: Viewer, form: Form, *, revoking: bool) -> Response:
    present = certificate_at(viewer, form, Scope.DELETE)
    current_request().action = "certificate.revoke" if revoking else "certificate.delete"
    reason = parse_reason(form["reason"]) if revoking else None
    if revoking and reason is None:
        raise InvalidRequest("choose a reason", "reason")
    if form["confirm"] != title_of(present):
        raise InvalidRequest(f"type '{title_of(present)}' to confirm", "confirm")
    await services().certificates.begin_deletion(present.id, revoke=revoking, reason=reason)
    return go_to("certificates", said="deleting" if revoking else "deleted")


async def _page(*, revoking: bool) -> Response:
    viewer, form = await find_viewer(), Form.read(current_request().query_string)
    present = certificate_at(viewer, form, Scope.DELETE)
    context = _context(form, present, revoking=revoking)
    return await page_or_json(_TEMPLATE, viewer, certificate_to_json(present), **context)


async def _again(viewer: Viewer, form: Form, error: BaseException, *, revoking: bool) -> Response:
    context = _context(form, certificate_at(viewer, form, Scope.DELETE), revoking=revoking)
    return await shown_again(_TEMPLATE, viewer, error, **context)


def _context(form: Form, present: Certificate, *, revoking: bool) -> dict[str, object]:
    return {
        "typed": form,
        "present": present,
        "revoking": revoking,
        "reasons": REASONS,
        "hosts": services().reports.of(present.id),
        "labels": LABELS,
        "section": "certificates",
    }
