"""`/api/v1/token`: administrators make, read, replace and revoke tokens; a caller may look at its own."""

from __future__ import annotations

from typing import Any

from quart import Blueprint, Response

from acme_manager.api.auth import require_api_key, require_token
from acme_manager.api.decoding import read_body
from acme_manager.api.encoding import answer
from acme_manager.api.forward import on_leader
from acme_manager.api.openapi import API_KEY, BEARER, describe
from acme_manager.api.request import current_request, services
from acme_manager.api.schemas.common import Nothing
from acme_manager.api.schemas.tokens import NewTokenAnswer, TokenAnswer, TokenListAnswer
from acme_manager.domain.request import TokenParams
from acme_manager.domain.token import Token, token_to_json

routes = Blueprint("tokens", __name__, url_prefix="/api/v1/token")


@routes.post("")
@describe({201: NewTokenAnswer}, body=TokenParams, security=API_KEY, problems=(400, 401, 408, 413, 500, 503, 504))
@on_leader
async def create_token() -> Response:
    """Make a token. The answer has its bearer value, which is shown this once."""
    require_api_key()
    token, bearer = await services().tokens.create(await read_body(TokenParams))
    current_request().audited = token.id
    return answer(_with_bearer(token, bearer), 201)


@routes.put("")
@describe(
    {200: NewTokenAnswer}, body=TokenParams, security=API_KEY, problems=(400, 401, 404, 408, 409, 413, 500, 503, 504)
)
@on_leader
async def replace_token() -> Response:
    """Replace everything about the token `id`, its secret included."""
    require_api_key()
    params = await read_body(TokenParams)
    current_request().audited = params.id
    token, bearer = await services().tokens.replace(params)
    return answer(_with_bearer(token, bearer))


@routes.get("")
@describe({200: TokenListAnswer}, security=API_KEY, problems=(401, 503))
async def list_tokens() -> Response:
    """List all tokens, without their hashes."""
    require_api_key()
    return answer([_listed(token) for token in services().tokens.list()])


@routes.get("/self")
@describe({200: TokenAnswer}, security=(BEARER, API_KEY), problems=(401, 404, 503))
async def read_own_token() -> Response:
    """Read the caller's own token; no scope is needed."""
    if "Authorization" in current_request().headers:
        return answer(token_to_json(require_token()))
    return await read_token("self")


@routes.get("/<token_id>")
@describe({200: TokenAnswer}, security=API_KEY, problems=(401, 404, 503))
async def read_token(token_id: str) -> Response:
    """Read a token by its id."""
    require_api_key()
    return answer(token_to_json(services().tokens.get(token_id)))


@routes.delete("/<token_id>")
@describe({204: Nothing}, security=API_KEY, problems=(400, 401, 404, 408, 413, 500, 503, 504))
@on_leader
async def revoke_token(token_id: str) -> Response:
    """Revoke a token and destroy every stored version of it."""
    require_api_key()
    await services().tokens.revoke(token_id)
    return Response(b"", 204)


def _with_bearer(token: Token, bearer: str) -> dict[str, Any]:
    """All of the Go original's members, in its order and with zero values; ours only where they are used."""
    record: dict[str, Any] = {
        "duration": token.duration,
        "expires": token.expires,
        "id": token.id,
        "rate_limit_max_requests": token.rate_limit_max_requests,
        "rate_limit_window": token.rate_limit_window,
        "scope": token.scope,
        "token": bearer,
        "tokenHash": token.token_hash,
        "username": token.username,
    }
    allowed = {"domains": token.domains, "issuers": token.issuers}
    return record | {name: globs for name, globs in allowed.items() if globs}


def _listed(token: Token) -> dict[str, Any]:
    record = token_to_json(token)
    del record["tokenHash"]
    return {"id": token.id} | record
