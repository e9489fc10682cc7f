"""Which requests the audit log has, and what it says of them: every one that changes something, by its route."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping

import structlog
from quart import Response

from acme_manager.api.relay import HOP
from acme_manager.api.request import ApiRequest
from acme_manager.domain.certificate import CertificateId
from acme_manager.domain.token import split_bearer
from acme_manager.errors import NotAuthenticated
from acme_manager.ports import Cluster
from acme_manager.services.bundle import Services

_log = structlog.get_logger(__name__)

ACTIONS: Mapping[str, str] = {
    "certificates.create_certificate": "certificate.request",
    "certificates.update_certificate": "certificate.update",
    "certificates.renew_certificate": "certificate.renew",
    "certificates.delete_certificate": "certificate.delete",
    "certificates.delete_named_certificate": "certificate.delete",
    "tokens.create_token": "token.create",
    "tokens.replace_token": "token.replace",
    "tokens.revoke_token": "token.revoke",
    "operations.replace": "operation.start",
    "operations.renew": "operation.start",
    "operations.revoke": "operation.start",
    "operations.pause": "operation.pause",
    "operations.resume": "operation.resume",
    "operations.abort": "operation.abort",
    "resync.resync": "storage.resync",
    "cluster.forget": "ring.forget",
    "ui_operations.start": "operation.start",
    "ui_operations.pause": "operation.pause",
    "ui_operations.resume": "operation.resume",
    "ui_operations.abort": "operation.abort",
    "ui_cluster.forget": "ring.forget",
    "ui_cluster.resync": "storage.resync",
    "ui_tokens.create": "token.create",
    "ui_tokens.replace": "token.replace",
    "ui_tokens.revoke": "token.revoke",
    "ui_downloads.private_key": "key.download",
    "ui_downloads.pkcs12_file": "key.download",
    "ui_certificate_new.request": "certificate.request",
    "ui_certificate_new.dismiss": "certificate.dismiss",
    "ui_certificate_update.update": "certificate.update",
    "ui_certificate_renewal.renew": "certificate.renew",
    "ui_certificate_removal.revoke": "certificate.revoke",
    "ui_certificate_removal.delete": "certificate.delete",
    "ui_login.login": "login",
    "ui_login.logout": "logout",
}
"""The endpoint of each route that changes something, and what the log calls that; ApiRequest.action goes before it."""

EXEMPT = frozenset(
    {
        "check.check_certificate",
        "reports.take_report",
        "ui_operations.preview",
        "ui_certificate_new.check",
        "ui_certificate_update.check",
    }
)
"""Endpoints that take a body and change nothing that anybody decides."""

_CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_HUNG_UP = 499
_MARK = "[a credential]"


def note_request(services: Services, request: ApiRequest, response: Response | None) -> None:
    """Note a request that has been served here, or refused. Without a response its caller hung up. It never raises."""
    try:
        _note(services, request, response)
    except Exception:  # noqa: BLE001 the request has been served: its answer must not suffer
        _log.exception("request not noted in the audit log", request_id=request.request_id)


def _note(services: Services, request: ApiRequest, response: Response | None) -> None:
    action = _action(request)
    if not action or request.passed_to or not (request.actor or services.cluster.leads()):
        return  # the node that it was passed on to notes it; where nobody leads nothing has been done
    status = _HUNG_UP if response is None else response.status_code
    source, forwarded_for = where_from(request, services.cluster)
    texts = {
        "action": "login.refused" if action == "login" and status >= 400 else action,
        "actor": request.actor,
        "owner": request.owner,
        "object": _object(request),
        "error": "hung up before there was an answer" if response is None else request.failure,
        "source": source,
        "forwarded_for": forwarded_for,
        "request_id": request.request_id,
    }
    credentials = tuple(_credentials(request))
    services.audit.note(status=status, **{name: _without(credentials, text) for name, text in texts.items()})


def where_from(request: ApiRequest, cluster: Cluster) -> tuple[str, str]:
    """The address that a request came from, and those that it is said to have come by, which anybody can write.

    What another node of ours has passed on came from where that node says.
    """
    client = request.scope.get("client")
    peer = str(client[0]) if client else ""
    said = request.headers.getlist("X-Forwarded-For") or request.headers.getlist("X-Real-Ip")
    before = [one.strip() for line in said for one in line.split(",")]
    if before and _is_ours(request.headers.get(HOP, ""), peer, cluster):
        peer = before.pop()
    return peer, ", ".join(before)


def _action(request: ApiRequest) -> str | None:
    endpoint = request.endpoint
    if request.action != "":
        return request.action
    if endpoint is None or request.method not in _CHANGING or endpoint in EXEMPT:
        return None
    return ACTIONS.get(endpoint, endpoint)


def _object(request: ApiRequest) -> str:
    if request.audited:
        return request.audited
    names = {name: value for name, value in request.names.items() if value}
    if names and request.owner:
        return CertificateId(request.owner, **names).key
    return "/".join(map(str, (request.view_args or names).values()))


def _is_ours(name: str, peer: str, cluster: Cluster) -> bool:
    return bool(name and peer) and any(
        member["name"] == name and _address(member["address"].rpartition(":")[0]) == _address(peer)
        for member in cluster.members()
        if "address" in member
    )


def _address(text: str) -> object:
    """Addresses that are the same compare equal, however they are written."""
    try:
        found = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return text
    return getattr(found, "ipv4_mapped", None) or found


def _credentials(request: ApiRequest) -> Iterator[str]:
    """What no text of an entry may have, however it has got into it."""
    yield request.headers.get("X-API-Key", "")
    bearer = request.headers.get("Authorization", "").rpartition(" ")[2]
    yield bearer
    try:
        yield split_bearer(bearer)[1]
    except NotAuthenticated:
        return


def _without(credentials: tuple[str, ...], text: str) -> str:
    for one in credentials:
        if len(one) >= 8:  # one that is shorter is none that opens anything
            text = text.replace(one, _MARK)
    return text
