"""`/api/v1/certificate`: request, change, read and delete certificates."""

from __future__ import annotations

import attrs
from quart import Blueprint, Response

from acme_manager.api.auditing import where_from
from acme_manager.api.auth import require_token
from acme_manager.api.decoding import read_body
from acme_manager.api.encoding import answer
from acme_manager.api.forward import on_leader
from acme_manager.api.listing import link_header, parse_query, read_metadata
from acme_manager.api.openapi import describe
from acme_manager.api.request import current_request, services
from acme_manager.api.schemas.attempts import AttemptsAnswer, AttemptsQuery
from acme_manager.api.schemas.certificates import (
    CertificateAnswer,
    DeleteQuery,
    MetadataAnswer,
    MetadataQuery,
    NamedDeleteQuery,
    NameQuery,
)
from acme_manager.api.schemas.common import Nothing
from acme_manager.domain.certificate import CertificateId, StoredCertificate, stored_to_json
from acme_manager.domain.request import CertificateParams, RenewParams
from acme_manager.domain.revocation import parse_reason
from acme_manager.domain.token import Scope, Token
from acme_manager.errors import InvalidRequest

routes = Blueprint("certificates", __name__, url_prefix="/api/v1/certificate")


@routes.post("")
@describe({201: CertificateAnswer}, body=CertificateParams, problems=(400, 401, 403, 408, 409, 413, 429, 500, 503, 504))
@on_leader
async def create_certificate() -> Response:
    """Request a new certificate and wait for it.

    A second request for the same certificate waits for the first one's result. A caller that hangs up does not stop
    the issuance. Needs the scope `create`.
    """
    caller = require_token(Scope.CREATE)
    params = await _read_params()
    return _certificate(await services().certificates.request(caller, params), caller, 201)


@routes.put("")
@describe(
    {200: CertificateAnswer}, body=CertificateParams, problems=(400, 401, 403, 404, 408, 409, 413, 429, 500, 503, 504)
)
@on_leader
async def update_certificate() -> Response:
    """Change a certificate.

    A new one is issued when names, issuer, CSR or another ingredient differ from what is kept; otherwise only labels
    and renewal are changed. `revoke` revokes the old one once the new one is kept. Needs the scope `update`.
    """
    caller = require_token(Scope.UPDATE)
    params = await _read_params()
    return _certificate(await services().certificates.update(caller, params), caller, 200)


@routes.post("/renew")
@describe({200: CertificateAnswer}, body=RenewParams, problems=(400, 401, 403, 404, 408, 413, 429, 500, 503, 504))
@on_leader
async def renew_certificate() -> Response:
    """Renew a certificate now, as it is, and wait for it.

    With the CSR that it was requested with, else with a new key. The old one stays valid. Needs the scope `update`.
    """
    caller = require_token(Scope.UPDATE)
    params = await read_body(RenewParams)
    _note_names(params.issuer, params.domain, params.name)
    return _certificate(await services().certificates.renew_for(caller, params), caller, 200)


@routes.get("/metadata")
@describe({200: MetadataAnswer}, query=MetadataQuery, problems=(400, 401, 404, 503))
async def list_certificates() -> Response:
    """List the owner's certificates without PEM: filtered, sorted and in pages if wanted, else all of them.

    `renewal` says when each is going to be renewed and why.

    `X-Total-Count` is the number of matches, `Link` has the neighbouring pages (RFC 8288). With both `issuer` and
    `domain` it is a look-up of one certificate, which is not found (404) when there is none.
    """
    owner = require_token().username
    query = parse_query(current_request().args)
    page, total = query.select(owner, services().certificates.list(owner))
    response = answer(await read_metadata(page, services().plans))
    response.headers["X-Total-Count"] = str(total)
    if links := link_header(current_request().path, current_request().args, query, total):
        response.headers["Link"] = links
    return response


@routes.get("/attempts")
@describe({200: AttemptsAnswer}, query=AttemptsQuery, problems=(400, 401, 403, 404, 503))
async def list_attempts() -> Response:
    """Show how the last attempts at a certificate went, the newest first, also while one goes on.

    By `issuer` and `domain`, or by `name`; at most three, of the last two weeks. Needs the scope `read`.
    """
    caller = require_token(Scope.READ)
    query = current_request().args
    issuer, domain, name = (query.get(one, "") for one in ("issuer", "domain", "name"))
    if not name and not (issuer and domain):
        raise InvalidRequest("missing 'issuer' and 'domain', or 'name'", "domain" if issuer else "issuer")
    _note_names(issuer, domain, name)
    id = CertificateId(caller.username, issuer, domain, name)
    return answer(services().certificates.attempts(id))


@routes.get("/<issuer>/<domain>")
@describe({200: CertificateAnswer}, query=NameQuery, problems=(401, 403, 404, 500, 503))
async def read_certificate(issuer: str, domain: str) -> Response:
    """Read a certificate by issuer and domain, or by the query's `name`. Needs the scope `read`."""
    return await _read(issuer, domain, current_request().args.get("name", ""))


@routes.get("/<name>")
@describe({200: CertificateAnswer}, problems=(401, 403, 404, 500, 503))
async def read_named_certificate(name: str) -> Response:
    """Read a certificate by its name. Needs the scope `read`."""
    return await _read("", "", name)


@routes.delete("/<issuer>/<domain>")
@describe({204: Nothing}, query=NamedDeleteQuery, problems=(400, 401, 403, 404, 408, 413, 429, 500, 503, 504))
@on_leader
async def delete_certificate(issuer: str, domain: str) -> Response:
    """Delete a certificate by issuer and domain, or by the query's `name`. Needs the scope `delete`.

    With `revoke=true` the CA revokes it first, for the `reason` if one is given.
    """
    return await _delete(issuer, domain, current_request().args.get("name", ""))


@routes.delete("/<name>")
@describe({204: Nothing}, query=DeleteQuery, problems=(400, 401, 403, 404, 408, 413, 429, 500, 503, 504))
@on_leader
async def delete_named_certificate(name: str) -> Response:
    """Delete a certificate by its name. Needs the scope `delete`. With `revoke=true` the CA revokes it first."""
    return await _delete("", "", name)


async def _read(issuer: str, domain: str, name: str) -> Response:
    _note_names(issuer, domain, name)
    caller = require_token(Scope.READ)
    stored = await services().certificates.get(CertificateId(caller.username, issuer, domain, name))
    request = current_request()
    address, _ = where_from(request, services().cluster)
    services().fetches.note(
        stored.certificate.id, by=request.actor, address=address, user_agent=request.headers.get("User-Agent", "")
    )
    return _certificate(stored, caller, 200)


async def _delete(issuer: str, domain: str, name: str) -> Response:
    _note_names(issuer, domain, name)
    caller = require_token(Scope.DELETE)
    query = current_request().args
    revoke, reason = query.get("revoke") == "true", parse_reason(query.get("reason", ""))
    if revoke:
        current_request().action = "certificate.revoke"
    if reason is not None and not revoke:
        raise InvalidRequest("'reason' is one to revoke for: it needs 'revoke=true'", "reason")
    id = CertificateId(caller.username, issuer, domain, name)
    await services().certificates.delete(id, revoke=revoke, reason=reason)
    return Response(b"", 204)


async def _read_params() -> CertificateParams:
    params = await read_body(CertificateParams)
    current_request().names = {"issuer": params.issuer, "domain": params.domain, "name": params.name}
    return params


def _note_names(issuer: str, domain: str, name: str) -> None:
    by_name = {"name": name}
    current_request().names = {"issuer": issuer, "domain": domain, **by_name} if issuer else by_name


def _certificate(stored: StoredCertificate, caller: Token, status: int) -> Response:
    if Scope.READ not in caller.scope:
        stored = attrs.evolve(stored, private_key="")
    return answer(stored_to_json(stored), status)
