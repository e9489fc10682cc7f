"""`/ui/certificate-renew`: one button, on every page that shows a certificate."""

from __future__ import annotations

from quart import Blueprint, Response

from acme_manager.api.request import services
from acme_manager.domain.token import Scope
from acme_manager.web.certificate_form import certificate_at
from acme_manager.web.forms import Form, submitted
from acme_manager.web.page import go_to
from acme_manager.web.viewer import Viewer
from acme_manager.web.words import of_certificate

routes = Blueprint("ui_certificate_renewal", __name__, url_prefix="/ui")


@routes.post("/certificate-renew")
@submitted()
async def renew(viewer: Viewer, form: Form) -> Response:
    """Begin to renew it as it is, and show how that goes."""
    id = certificate_at(viewer, form, Scope.UPDATE).id
    caller = None if viewer.admin else viewer.acting_for(id.owner)
    return go_to(of_certificate(await services().certificates.begin_renewal(caller, id), said="renewing"))
