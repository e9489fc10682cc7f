"""`/api/v1/certificate/report` and `…/reports`: what hosts have installed and serve, as their agents tell it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs
from quart import Blueprint, Response

from acme_manager.api.auth import require_token
from acme_manager.api.decoding import read_body
from acme_manager.api.encoding import answer
from acme_manager.api.forward import on_leader
from acme_manager.api.openapi import describe
from acme_manager.api.request import current_request, services
from acme_manager.api.schemas.common import Nothing
from acme_manager.api.schemas.hosts import HostsAnswer, HostsQuery
from acme_manager.domain.certificate import Certificate, CertificateId
from acme_manager.domain.gotime import rfc3339
from acme_manager.domain.report import Installed, Report
from acme_manager.domain.token import Scope
from acme_manager.errors import InvalidRequest
from acme_manager.services.reports import HostReport

routes = Blueprint("reports", __name__, url_prefix="/api/v1/certificate")


@routes.post("/report")
@describe({204: Nothing}, body=Report, problems=(400, 401, 408, 413, 500, 503, 504))
@on_leader
async def take_report() -> Response:
    """Tell which certificates a host has installed, and what its services show.

    It takes the place of the host's last report. At most 1000 certificates and 64 KiB; forgotten after seven days
    without another one. Any valid token will do.
    """
    caller = require_token()
    services().reports.take(caller.username, await read_body(Report))
    return Response(b"", 204)


@routes.get("/reports")
@describe({200: HostsAnswer}, query=HostsQuery, problems=(400, 401, 403, 404, 503))
async def list_hosts() -> Response:
    """List the hosts that have a certificate: which one, whether it is the current one, and whether it is served.

    By `issuer` and `domain`, or by `name`. As the hosts' agents have reported it. Needs the scope `read`.
    """
    caller = require_token(Scope.READ)
    issuer, domain, name = (current_request().args.get(one, "") for one in ("issuer", "domain", "name"))
    if not name and not (issuer and domain):
        raise InvalidRequest("missing 'issuer' and 'domain', or 'name'", "domain" if issuer else "issuer")
    certificate = services().certificates.find(CertificateId(caller.username, issuer, domain, name))
    return answer([_shown(certificate, host, one) for host, one in services().reports.of(certificate.id)])


def _shown(certificate: Certificate, host: HostReport, installed: Installed) -> dict[str, Any]:
    served = {} if installed.served is None else {"served": attrs.asdict(installed.served)}
    return {
        "host": host.report.host,
        "version": host.report.version,
        "reported_at": rfc3339(datetime.fromtimestamp(host.at / 1000, UTC)),
        "fingerprint": installed.fingerprint,
        "serial": installed.serial,
        "current": installed.fingerprint == certificate.fingerprint,
        "installed_at": installed.installed_at,
        "check": installed.check,
        **served,
    }
