"""`/ui/issuers`: the CAs, how they are, and how much room our limits leave at each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio
from quart import Blueprint, Response

from acme_manager.api.issuers import issuer_records, issuers_of
from acme_manager.api.request import services
from acme_manager.config.model import IssuerConfig
from acme_manager.errors import AcmeManagerError
from acme_manager.ports import IssuerFacts
from acme_manager.services.catalogue_views import Query
from acme_manager.structure import together
from acme_manager.web.page import page_or_json
from acme_manager.web.viewer import find_viewer

routes = Blueprint("ui_issuers", __name__, url_prefix="/ui")

_PATIENCE = 1.0  # seconds for a CA to say what it offers

LIMITS = {
    "new_orders": "Orders of our account",
    "certificates_per_domain": "Certificates per registered domain",
    "certificates_per_set": "Certificates for the same names",
    "failed_authorizations": "Failed validations per name",
    "consecutive_failures": "Failures in a row per name",
}


@routes.get("/issuers")
async def issuers() -> Response:
    """Those that the viewer may use."""
    viewer = await find_viewer()
    records = await issuer_records(issuers_of(viewer.token), names=viewer.sees_all)
    if viewer.public:
        for one in records:
            one.pop("account", None)
    configs = [services().settings.issuers[one["name"]] for one in records]
    facts = await together(_facts, configs)
    counted = (await services().catalogue.rows(viewer.whose, Query(limit=1))).facets.issuers
    shown = [_shown(*one, counted) for one in zip(records, configs, facts, strict=True)]
    return await page_or_json("issuers.html", viewer, records, shown=shown, limits=LIMITS)


async def _facts(config: IssuerConfig) -> IssuerFacts | None:
    """What the CA says of itself; of one that is not in order nothing is asked."""
    finding = services().issuer_findings.get(config.name)
    if finding is not None and finding.ok:
        with trio.move_on_after(_PATIENCE):
            try:
                return await services().issuers.get(config.name).facts()
            except AcmeManagerError:
                return None  # the next look says what is wrong
    return None


def _shown(
    record: dict[str, Any], config: IssuerConfig, facts: IssuerFacts | None, counted: Mapping[str, int]
) -> dict[str, Any]:
    finding = services().issuer_findings.get(config.name)
    methods = {"dns-01": config.dns_challenge, "http-01": config.http_challenge}
    return {
        "record": record,
        "config": config,
        "facts": facts,
        "finding": finding,
        "certificates": counted.get(config.name, 0),
        "methods": ", ".join(f"{kind} ({by})" for kind, by in methods.items() if by),
        "general": [one for one in record["budget"] if not one.get("about")],
        "low": [one for one in record["budget"] if one.get("about")],
    }
