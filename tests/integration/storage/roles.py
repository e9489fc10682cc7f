"""Roles of a real OpenBao under the policy that we ship, and configurations that use them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from acme_manager.config.model import VaultConfig
from tests.parts.openbao import CERTIFICATES, ENGINE, TOKENS, OpenBao

SHIPPED_POLICY = Path(__file__).parents[3] / "config" / "vault-policy.hcl"


async def set_policy(bao: OpenBao, name: str, text: str) -> None:
    await bao.api("POST", f"sys/policies/acl/{name}", {"policy": text})


async def make_role(bao: OpenBao, name: str = "test", **settings: Any) -> VaultConfig:
    """Make a role, or change it, and return a configuration with short pauses that logs in as that role."""
    await set_policy(bao, "shipped", SHIPPED_POLICY.read_text())
    path = f"auth/approle/role/{name}"
    await bao.api("POST", path, {"token_policies": ["shipped"], "token_ttl": "1h", "token_max_ttl": "24h"} | settings)
    return VaultConfig(
        url=bao.url,
        role_id=(await bao.api("GET", f"{path}/role-id"))["data"]["role_id"],
        secret_id=(await bao.api("POST", f"{path}/secret-id"))["data"]["secret_id"],
        secret_engine=ENGINE,
        certificate_prefix=CERTIFICATES,
        token_prefix=TOKENS,
        retry_wait_min=0.02,
        retry_wait_max=0.1,
    )
