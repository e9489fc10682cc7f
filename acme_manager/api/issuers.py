"""`/api/v1/issuers`: the CAs that a caller may use, how they are, and what is left of our budgets there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio
from quart import Blueprint, Response

from acme_manager.api.auth import require_api_key, require_token
from acme_manager.api.encoding import answer
from acme_manager.api.openapi import API_KEY, BEARER, describe
from acme_manager.api.request import current_request, services
from acme_manager.api.schemas.issuers import IssuersAnswer
from acme_manager.config.model import IssuerConfig
from acme_manager.domain.budget import Kind, Limits
from acme_manager.domain.gotime import rfc3339
from acme_manager.domain.names import outside
from acme_manager.domain.token import Token
from acme_manager.errors import AcmeManagerError
from acme_manager.services.budget_report import IssuerBudget, report
from acme_manager.structure import together

routes = Blueprint("issuers", __name__, url_prefix="/api/v1/issuers")

_PATIENCE = 1.0  # seconds for a CA to tell what this node does not remember of it


@routes.get("")
@describe({200: IssuersAnswer}, security=(API_KEY, BEARER), problems=(401, 503))
async def list_issuers() -> Response:
    """List the issuers that the caller may use: all with the API key, with a token those of its allow-list.

    Limits of single domains and names are told with the API key only: they may be another owner's.
    """
    names = "X-API-Key" in current_request().headers
    return answer(await issuer_records(_allowed(), names=names))


async def issuer_records(allowed: Callable[[str], bool], *, names: bool) -> list[dict[str, Any]]:
    """The issuers that are allowed, by name. With `names` what is said of single domains is told too."""
    budgets = {name: one if names else one.without_names() for name, one in report(services().budgets).items()}
    configs = [config for name, config in sorted(services().budgets.configs().items()) if allowed(name)]
    accounts = await together(_account, configs)
    return [_shown(one, account, budgets[one.name]) for one, account in zip(configs, accounts, strict=True)]


def issuers_of(token: Token | None) -> Callable[[str], bool]:
    """Which names a token's allow-list lets pass; without a token all."""
    globs = token.issuers if token else ()
    return lambda name: not globs or not outside([name], globs)


def _allowed() -> Callable[[str], bool]:
    if "X-API-Key" in current_request().headers:
        require_api_key()
        return issuers_of(None)
    return issuers_of(require_token())


async def _account(config: IssuerConfig) -> str:
    """Its URL. An issuer that has not been found in order is not asked: that could make an account, or take long."""
    finding = services().issuer_findings.get(config.name)
    if finding is not None and finding.ok:
        with trio.move_on_after(_PATIENCE):
            try:
                return (await services().issuers.get(config.name).facts()).account
            except AcmeManagerError:
                return ""  # the next look says what is wrong
    return ""


def _shown(config: IssuerConfig, account: str, budget: IssuerBudget) -> dict[str, Any]:
    facts = {"account": account, "fallback": list(config.fallback), "health": _health(config.name)}
    return {
        "name": config.name,
        "ca_dir_url": config.ca_dir_url,
        **{member: value for member, value in facts.items() if value},
        "limits": _limits(budget.limits),
        "budget": [
            {"limit": one.kind}
            | ({"about": one.about} if one.about else {})
            | {"count": one.count, "left": one.left}
            | ({"next_free": rfc3339(one.next_free)} if one.next_free else {})
            for one in budget.levels
        ],
        "paused": [
            ({"about": one.about} if one.about else {}) | {"until": rfc3339(one.until)} for one in budget.pauses
        ],
    }


def _health(issuer: str) -> dict[str, Any] | None:
    found = services().issuer_findings.get(issuer)
    if found is None:
        return None
    told = {"error": found.error} if found.error else {}
    return {"ok": found.ok, **told, "since": rfc3339(found.since), "checked_at": rfc3339(found.checked_at)}


def _limits(limits: Limits) -> dict[str, str]:
    figures = {kind.value: str(limits.of(kind) or "none") for kind in Kind}
    return {"preset": limits.preset, **figures, "renewals_exempt": limits.renewals_exempt}
