"""A server with a past, for pictures of it: owners, CAs, lifetimes, something that fails, and something under way."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import yaml

from acme_manager.domain.gotime import format_time, milliseconds
from tests.browser.stage import Stage, open_stage
from tests.fakes.secrets import DAY, pem, secret
from tests.integration.site import eventually
from tests.parts.cluster import Cluster
from tests.parts.faults import Delay, fault_proxy
from tests.parts.node import AS_ADMINISTRATOR
from tests.parts.pebble import pebble

SHOP = {"owner": "web", "issuer": "public", "domain": "www.example.test"}
_CERTIFICATES = "/api/v1/certificate"
_FLEET = 3  # more certificates that an operation replaces while the pictures are taken
_EVERYTHING = ["create", "read", "update", "delete"]

# Owner, issuer, name, days left, days of life, labels.
_KEPT = (
    ("web", "public", "shop.example.test", 71, 90, "env=prod,team=web"),
    ("web", "public", "api.example.test", 48, 90, "env=prod,team=web"),
    ("web", "public", "static.example.test", 32, 90, "env=prod,team=web"),
    ("web", "public", "staging.example.test", 88, 90, "env=staging,team=web"),
    ("web", "short-lived", "edge-1.example.test", 5.8, 6, "env=prod,team=edge"),
    ("web", "short-lived", "edge-2.example.test", 4.4, 6, "env=prod,team=edge"),
    ("mail", "public", "imap.example.test", 63, 90, "env=prod,team=mail"),
    ("mail", "public", "mx-1.example.test", 40, 90, "env=prod,team=mail"),
    ("mail", "public", "old.nowhere.example", 4, 90, "env=prod,team=mail"),  # no server has that zone
    ("db", "internal", "postgres.example.test", 301, 398, "env=prod,team=db"),
    ("db", "internal", "vault.example.test", 122, 398, "env=prod,team=db"),
)


@asynccontextmanager
async def open_demo(folder: Path) -> AsyncIterator[Stage]:
    """Start it, and wait until all of it is to be seen."""
    async with (
        pebble(folder, always_valid=True, validity=6 * 86400) as short_lived,
        pebble(folder, always_valid=True, validity=398 * 86400) as internal,
        fault_proxy(internal.directory.removesuffix("/dir")) as to_internal,
    ):
        directories = {"short-lived": short_lived.directory, "internal": f"{to_internal.url}/dir"}
        async with open_stage(folder, prepare=partial(_prepare, directories)) as stage:
            await _live(stage)
            to_internal.plan(Delay(0), on="order-plz", times=2)
            to_internal.plan(Delay(25), on="order-plz", times=math.inf)
            await _replace_fleet(stage)
            yield stage


async def _prepare(directories: Mapping[str, str], cluster: Cluster) -> None:
    for node in cluster.nodes:
        path = node.folder / "config.yml"
        config = yaml.safe_load(path.read_text())
        public, http = config["issuer"].pop("pebble"), config["issuer"].pop("web")
        config["issuer"] = {
            "public": {**public, "limits": "letsencrypt"},
            "public-http": http,
            **{name: {**public, "ca_dir_url": url} for name, url in directories.items()},
        }
        config["common"]["rootpath_certificate"] = "certificates"  # the same file on every node
        config["common"]["rate_limit_enabled"] = True
        path.write_text(yaml.safe_dump(config))
    now = datetime.now(UTC)  # noqa: TID251 the nodes have no other clock either
    fleet = tuple(
        ("db", "internal", f"db-{number}.example.test", 200, 398, "team=db") for number in range(1, _FLEET + 1)
    )
    for owner, issuer, name, left, life, labels in (*_KEPT, *fleet):
        facts: dict[str, Any] = {
            "owner": owner,
            "issuer": issuer,
            "domain": name,
            "labels": labels,
            "encryption": "ECDSA-256",
        }
        facts["issued_at"] = milliseconds(now + (left - life) * DAY)
        facts["renewal_date"] = format_time(now + (left - 0.28 * life) * DAY)
        cert = pem(left * DAY, life * DAY, now=now)
        await cluster.bao.write(f"certificates/{owner}/{issuer}/{name}", secret(left, now=now, cert=cert, **facts))


async def _live(stage: Stage) -> None:
    """What people and hosts have done today."""
    soon = await stage.leader.new_token("mail", scope=["read"], duration="5d", domains=["*.example.test"])
    web = await stage.leader.new_token(
        "web", scope=_EVERYTHING, duration="365d", domains=["example.test", "*.example.test", "*.nowhere.example"]
    )
    await stage.leader.new_token("db", scope=["create", "read"], duration="90d", issuers=["internal"])
    async with stage.leader.client(web) as client:
        wanted = {"issuer": "public", "domain": SHOP["domain"], "san": "example.test,xn--bcher-kva.example.test"}
        made = await client.post(_CERTIFICATES, json=wanted | {"labels": "env=prod,team=web"})
        shop = made.raise_for_status().json()
        for host, old in (("web-1", False), ("web-2", False), ("web-3", True)):
            await client.post(f"{_CERTIFICATES}/report", json=_report(host, shop, old=old))
        await client.get(f"{_CERTIFICATES}/public/{SHOP['domain']}")
        await client.post(_CERTIFICATES, json={"issuer": "public", "domain": "new.nowhere.example"})
    async with stage.leader.client(soon) as client:
        await client.get(f"{_CERTIFICATES}/metadata")


def _report(host: str, certificate: Mapping[str, Any], *, old: bool) -> dict[str, Any]:
    now = datetime.now(UTC)  # noqa: TID251 as above
    fingerprint = "0" * 64 if old else certificate["fingerprint"]
    served = {"ok": not old, "why": "shows a certificate of another serial" if old else "", "at": now.isoformat()}
    installed = {
        "issuer": certificate["issuer"],
        "domain": certificate["domain"],
        "fingerprint": fingerprint,
        "installed_at": (now - timedelta(days=40) if old else now).isoformat(),
        "check": f"{host}.example.test:443",
        "served": served,
    }
    return {"host": f"{host}.example.test", "version": "1.0.0", "certificates": [installed]}


async def _replace_fleet(stage: Stage) -> None:
    async with stage.leader.anonymous(**AS_ADMINISTRATOR) as client:
        begun = await client.post("/api/v1/operations/replace", json={"issuers": ["internal"]})
        assert begun.status_code == httpx.codes.ACCEPTED, begun.text

        async def some_are_done() -> bool:
            told = (await client.get(begun.headers["Location"])).json()
            return int(told["done"]) == 2

        await eventually(some_are_done, within=120)
