"""A node's configuration changes while it runs: no restart, and nothing by halves."""

from __future__ import annotations

import hashlib
import re
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import trio
import yaml

from tests.integration.site import Site, eventually, leaf, open_site
from tests.parts.node import API_KEY, AS_ADMINISTRATOR

ROLE = "auth/approle/role/acme-manager"
NEW_KEY = "another key of the administrator's"


@attrs.frozen
class Desk:
    """Where an administrator sits: the node's files, its signal, its metrics."""

    site: Site
    client: httpx.AsyncClient

    async def change(self, edit: Callable[[dict[str, Any]], object], becomes: str = "reload") -> None:
        """Change `config.yml` and have it looked at; wait until that metric tells of it."""
        config = yaml.safe_load(self.file.read_text())
        edit(config)
        await self.write(self.file, yaml.safe_dump(config), becomes)

    async def write(self, file: Path, text: str, becomes: str = "reload") -> None:
        before = await self.shown(f"config_{becomes}")
        await trio.Path(file).write_text(text)
        self.site.node.program.send(signal.SIGHUP)

        async def told() -> bool:
            return await self.shown(f"config_{becomes}") != before

        await eventually(told)

    async def shown(self, name: str) -> float | None:
        """The value of one metric."""
        text = (await self.client.get("/metrics")).text
        found = re.search(rf"^acme_manager_{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else None

    async def request(self, host: str, issuer: str = "pebble") -> httpx.Response:
        wish = {"issuer": issuer, "domain": f"{host}.example.test"}
        return await self.client.post("/api/v1/certificate", json=wish)

    @property
    def file(self) -> Path:
        return self.site.node.folder / "config.yml"

    @property
    def variables(self) -> Path:
        return self.site.node.folder / ".env"


@asynccontextmanager
async def open_desk(folder: Path) -> AsyncIterator[Desk]:
    flags = ("-check-config-interval=1h", "-check-issuer-interval=1h")  # SIGHUP alone is what has it look
    quick = {"http_client_retry_max": 1, "http_client_retry_wait_max": 1}
    async with open_site(folder, flags=flags, common=quick) as site, site.node.client() as client:
        yield Desk(site, client)


async def test_issuers_come_and_go_without_a_restart(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        assert (await desk.request("early", "second")).status_code == 400
        pebble = yaml.safe_load(desk.file.read_text())["issuer"]["pebble"]
        await desk.change(lambda config: config["issuer"].update(second=pebble))
        created = await desk.request("new", "second")
        assert created.status_code == 201, created.text
        health = 'issuer_config_error{issuer="second"}'

        async def healthy() -> bool:
            return await desk.shown(health) == 0

        await eventually(healthy)
        away = {**pebble, "ca_dir_url": "https://127.0.0.1:1/dir"}
        await desk.change(lambda config: config["issuer"].update(second=away))

        async def unhealthy() -> bool:
            return await desk.shown(health) == 1

        await eventually(unhealthy)
        ready = (await desk.client.get("/ready")).text
        assert "127.0.0.1:1" in ready
        await desk.change(lambda config: config["issuer"].pop("second"))
        assert await desk.shown(health) is None
        refused = await desk.request("late", "second")
        assert (refused.status_code, "must be one of [pebble web]" in refused.text) == (400, True)
        kept = await desk.client.get("/api/v1/certificate/second/new.example.test")
        assert leaf(kept.json()).serial_number == leaf(created.json()).serial_number
        assert (await desk.request("still")).status_code == 201
        assert desk.site.node.program.alive


async def test_what_can_not_be_applied_changes_nothing_until_it_is_mended(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        good, hash_ = desk.file.read_text(), await desk.shown("config_hash")
        await desk.write(desk.file, good.replace("issuer:", "issuer: ["), "error")
        assert await desk.shown("config_error") == 1
        assert (await desk.request("a")).status_code == 201
        await desk.write(desk.file, good, "error")
        assert await desk.shown("config_error") == 0

        def half_wrong(config: dict[str, Any]) -> None:
            """A good key of the administrator's beside a login that does not work."""
            config["common"]["api_key_hash"] = hashlib.sha256(NEW_KEY.encode()).hexdigest()
            config["storage"]["vault"]["secret_id"] = "no such secret"

        await desk.change(half_wrong, "error")
        tokens = await desk.client.get("/api/v1/token", headers={"X-API-Key": NEW_KEY})
        assert tokens.status_code == 401
        await desk.write(desk.file, good, "error")

        def moved(config: dict[str, Any]) -> None:
            half_wrong(config)
            config["storage"]["vault"]["certificate_prefix"] = "elsewhere"

        await desk.change(moved, "restart_required")
        assert await desk.shown("config_restart_required") == 1
        assert (await desk.request("b")).status_code == 201
        assert (await desk.shown("config_hash"), await desk.shown("config_reload")) == (hash_, 0)
        log = desk.site.node.program.log()
        assert "storage.vault.certificate_prefix: certificates -> elsewhere" in log
        assert "Check role_id, secret_id" in log
        assert "no such secret" not in log


async def test_secrets_are_changed_without_a_restart(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        bao = desk.site.bao
        secret_id = (await bao.api("POST", f"{ROLE}/secret-id"))["data"]["secret_id"]
        await bao.api("POST", f"{ROLE}/secret-id/destroy", {"secret_id": bao.secret_id})

        def rotate(config: dict[str, Any]) -> None:
            config["storage"]["vault"]["secret_id"] = secret_id
            config["common"]["api_key_hash"] = hashlib.sha256(NEW_KEY.encode()).hexdigest()

        await desk.change(rotate)
        for key, status in ((API_KEY, 401), (NEW_KEY, 201)):
            body = {"username": "bob", "scope": ["read"]}
            made = await desk.client.post("/api/v1/token", json=body, headers={**AS_ADMINISTRATOR, "X-API-Key": key})
            assert made.status_code == status, made.text

        right = desk.variables.read_text()
        tsig = desk.site.dns.key.secret
        await desk.write(desk.variables, right.replace(tsig, "bm90IHRoZSBzZWNyZXQgb2YgdGhlIHNlcnZlcg=="))
        refused = await desk.request("refused")
        assert (refused.is_success, "TSIG" in refused.text or "BADSIG" in refused.text) == (False, True), refused.text
        await desk.write(desk.variables, right)
        created = await desk.request("signed")
        assert created.status_code == 201, created.text
        await desk.write(desk.variables, right.replace("RFC2136_NAMESERVER", "NAMESERVER_OF_OLD"), "error")
        assert (await desk.request("old")).status_code == 201

        log = desk.site.node.program.log()
        assert "common.api_key_hash: changed; storage.vault.secret_id: changed" in log
        assert "RFC2136_TSIG_SECRET: changed" in log
        for secret in (secret_id, tsig, bao.secret_id):
            assert secret not in log
