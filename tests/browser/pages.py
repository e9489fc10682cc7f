"""All pages, with something on them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import attrs
import httpx

from tests.browser.stage import Stage
from tests.parts.node import AS_ADMINISTRATOR

CERTIFICATES = "/api/v1/certificate"
SHOP = {"owner": "alice", "issuer": "pebble", "domain": "www.example.test"}
NOWHERE = {"owner": "alice", "issuer": "pebble", "domain": "www.nowhere.example"}  # no server has this zone


@attrs.frozen(kw_only=True)
class Furniture:
    """What is there to be shown besides what each test makes."""

    token_id: str


async def furnish(stage: Stage) -> Furniture:
    """A certificate, a request that has come to nothing, a token that ends soon, and an operation."""
    wanted = {
        "issuer": "pebble",
        "domain": SHOP["domain"],
        "san": "shop.example.test,xn--bcher-kva.example.test",
        "labels": "env=prod,team=web",
    }
    async with stage.node.client() as client:
        (await client.post(CERTIFICATES, json=wanted)).raise_for_status()
        refused = await client.post(CERTIFICATES, json={"issuer": "pebble", "domain": NOWHERE["domain"]})
        assert refused.is_error
    async with stage.node.anonymous(**AS_ADMINISTRATOR) as client:
        token: dict[str, Any] = {"username": "bob", "scope": ["read"], "duration": "5d", "domains": ["*.example.test"]}
        made = (await client.post("/api/v1/token", json=token)).raise_for_status().json()
        operation = await client.post("/api/v1/operations/replace", json={"owners": ["alice"]})
        assert operation.status_code == httpx.codes.ACCEPTED, operation.text
    return Furniture(token_id=made["id"])


def of_administrator(furniture: Furniture) -> dict[str, str]:
    """Addresses by the names of what they show."""
    token = urlencode({"id": furniture.token_id})
    return {
        **of_owner(),
        "audit-verify": "audit-verify",
        "token-create": "token-create",
        "token-replace": f"token-replace?{token}",
        "token-revoke": f"token-revoke?{token}",
        "tokens": "tokens",
        "no token": "tokens?q=nobody",
        "operations": "operations",
        "operation": "operation?id=1",
        "operation-abort": "operation-abort?id=1",
        "operation-new": "operation-new?owners=alice",
        "cluster": "cluster",
    }


def of_owner() -> dict[str, str]:
    """The same for what owners see too."""
    shop = urlencode(SHOP)
    return {
        "home": "",
        "certificates": "certificates?columns=domain&columns=issuer&columns=condition&columns=expires&columns=labels",
        "no certificate": "certificates?q=nothing",
        "certificate": f"certificate?{shop}",
        "request that failed": f"certificate?{urlencode(NOWHERE)}",
        "certificate-request": "certificate-request?domain=new.example.test&issuer=pebble",
        "certificate-update": f"certificate-update?{shop}",
        "certificate-revoke": f"certificate-revoke?{shop}",
        "certificate-delete": f"certificate-delete?{shop}",
        "inventory": "inventory",
        "issuers": "issuers",
        "dns": "dns",
        "ratelimits": "ratelimits",
        "audit": "audit",
    }
