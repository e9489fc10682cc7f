"""`/api/v1/certificate/check`: whether a request would succeed, as far as that can be known before an order."""

from __future__ import annotations

from quart import Blueprint, Response

from acme_manager.api.auth import require_token
from acme_manager.api.decoding import read_body
from acme_manager.api.encoding import answer
from acme_manager.api.openapi import describe
from acme_manager.api.request import current_request, services
from acme_manager.api.schemas.certificates import CheckAnswer
from acme_manager.domain.finding import Finding
from acme_manager.domain.request import CertificateParams
from acme_manager.domain.token import Scope

routes = Blueprint("check", __name__, url_prefix="/api/v1/certificate")


@routes.post("/check")
@describe({200: CheckAnswer}, body=CertificateParams, problems=(400, 401, 403, 408, 413, 500))
async def check_certificate() -> Response:
    """Check a request without ordering anything.

    Answers 200 whatever it finds; `ok` is false when a finding says no. The node that is asked looks itself, and writes
    nothing. Needs the scope `create`.
    """
    caller = require_token(Scope.CREATE)
    params = await read_body(CertificateParams)
    current_request().names = {"issuer": params.issuer, "domain": params.domain, "name": params.name}
    findings = await services().preflight.check(caller, params)
    ok = all(one.ok is not False for one in findings)
    return answer({"ok": ok, "findings": [_shown(one) for one in findings]})


def _shown(finding: Finding) -> dict[str, object]:
    shown: dict[str, object] = {"check": finding.check, "ok": finding.ok, "detail": finding.detail}
    return shown | ({"remedy": finding.remedy} if finding.remedy else {})
