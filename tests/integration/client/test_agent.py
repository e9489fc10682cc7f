"""The agent as a process, beside a real node with a real CA and a real store."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from acme_manager.client.install import check_together
from acme_manager.client.run import COMMAND_FAILED, OK, UNREACHABLE
from tests.integration.site import eventually, open_site
from tests.parts.agent import Agent, agent_of
from tests.parts.program import free_port

WWW: dict[str, Any] = {"domain": "www.example.test", "issuer": "pebble", "san": "api.example.test"}


def serial(agent: Agent, name: str = "pebble/www.example.test") -> int:
    """Of what is installed, which must belong together."""
    text = [(agent.certificates / f"{name}{ending}").read_text() for ending in (".crt", ".ca.crt", ".key")]
    check_together(*text)
    return x509.load_pem_x509_certificate(text[0].encode()).serial_number


async def test_a_host_gets_keeps_changes_and_gives_up_its_certificates(tmp_path: Path) -> None:  # noqa: PLR0915 one life
    async with open_site(tmp_path, nonce_reject=0) as site, site.node.client() as client:
        agent = agent_of(tmp_path, site.node.url, site.node.token)
        told = agent.folder / "told"
        command = f"sh -c 'echo \"$ACME_MANAGER_CHANGED\" >> {told}'"
        agent.configure(WWW, cmd_enabled=True, post_cmd_run=command)
        dry = await agent.run("-dry-run", "-json")
        assert [(one["certificate"], one["action"]) for one in json.loads(dry.stdout)] == [
            ("pebble/www.example.test", "create")
        ]
        assert not agent.certificates.exists()

        assert (await agent.once()).problems == []
        first = serial(agent)
        assert told.read_text() == "pebble/www.example.test\n"
        key = (agent.certificates / "pebble/www.example.test.key").read_text()
        assert key.startswith("-----BEGIN EC PRIVATE KEY-----")
        assert await agent.plan() == {"pebble/www.example.test": "keep"}
        assert (await agent.once()).problems == []
        assert told.read_text() == "pebble/www.example.test\n"

        # A renewal by the server keeps the key, facts keep the certificate.
        body = {"issuer": "pebble", "domain": "www.example.test"}
        assert (await client.post("/api/v1/certificate/renew", json=body)).is_success
        assert await agent.plan() == {"pebble/www.example.test": "fetch"}
        assert (await agent.once()).problems == []
        second = serial(agent)
        assert second != first
        assert (agent.certificates / "pebble/www.example.test.key").read_text() == key
        labelled = {**WWW, "labels": "env=prod", "renewal_days": "10-20"}
        agent.configure(labelled)
        assert await agent.plan() == {"pebble/www.example.test": "change"}
        assert (await agent.once()).problems == []
        assert serial(agent) == second
        assert await agent.plan() == {"pebble/www.example.test": "keep"}

        # Another type of key: what is there stays until what comes in its place is installed.
        stronger = {**labelled, "key_type": "rsa2048", "formats": ["combined", "pkcs12"]}
        agent.configure(stronger)
        assert (await agent.once()).problems == []
        third = serial(agent)
        assert third != second
        key = (agent.certificates / "pebble/www.example.test.key").read_text()
        assert key.startswith("-----BEGIN RSA PRIVATE KEY-----")
        assert isinstance(load_pem_private_key(key.encode(), None), rsa.RSAPrivateKey)
        assert (agent.certificates / "pebble/www.example.test.combined.pem").read_text().startswith(key)

        # A command that fails with a new version: back to the version before, and the run says so.
        agent.configure({**stronger, "san": "", "rollback": True}, post_cmd_run="false")
        ran = await agent.run("-client.once")
        assert ran.returncode == COMMAND_FAILED
        assert b"rolled back to the version before: pebble/www.example.test" in ran.stdout
        assert serial(agent) == third
        assert await agent.plan() == {"pebble/www.example.test": "keep"}

        # People without an agent.
        shown = await agent.run("list", "-json")
        assert [one["certificate"] for one in json.loads(shown.stdout)] == ["pebble/www.example.test"]
        renewed = await agent.run("renew", "www.example.test")
        assert (renewed.returncode, b"renewed" in renewed.stdout) == (0, True), renewed.stderr
        got = await agent.run("get", "pebble/www.example.test")
        assert x509.load_pem_x509_certificates(got.stdout)
        asked = await agent.run("revoke", "pebble/www.example.test")
        assert (asked.returncode, b"-yes" in asked.stderr) == (1, True)
        status = await agent.run("status")
        assert b"outdated" in status.stdout

        # The server away: nothing changes, and it says so.
        away = agent_of(tmp_path, f"http://127.0.0.1:{free_port()}", site.node.token)
        away.content = agent.content
        agent.configure(post_cmd_run="true", http_client_retry_max=1, http_client_retry_wait_min=0.01)
        away.configure()
        assert (await away.once()).code == UNREACHABLE
        assert serial(agent) == third

        # No longer wanted: deleted, unless that is not allowed.
        assert (await agent.once("-client.max-deletions=0")).code == OK
        assert serial(agent) == third
        assert (await agent.once()).problems == []
        assert [one.name for one in agent.certificates.rglob("*.*") if one.is_file()] == [".acme-manager-client.json"]
        assert (await client.get("/api/v1/certificate/metadata")).json() == []


async def test_a_service_follows_its_configuration_and_signals_and_ends_in_order(tmp_path: Path) -> None:
    async with open_site(tmp_path, nonce_reject=0) as site, site.node.client() as client:
        agent, port = agent_of(tmp_path, site.node.url, site.node.token), free_port()
        agent.configure()
        with agent.serving(f"-server.listen-address=127.0.0.1:{port}", "-client.check-config-interval=1h") as service:

            async def metrics() -> str:
                return (await client.get(f"http://127.0.0.1:{port}/metrics")).text

            async def answers() -> None:
                if "acme_manager_client_role 1.0" not in await metrics():
                    raise ConnectionError("no run yet")

            await service.ready(answers)
            agent.configure(WWW)

            async def installed() -> bool:
                return (agent.certificates / "pebble/www.example.test.ca.crt").exists()

            await eventually(installed)
            first = serial(agent)
            body = {"issuer": "pebble", "domain": "www.example.test"}
            assert (await client.post("/api/v1/certificate/renew", json=body)).is_success
            service.send(signal.SIGUSR1)

            async def another() -> bool:
                return serial(agent) != first

            await eventually(another)
            shown = await metrics()
            assert "acme_manager_local_certificate_created_total 1.0" in shown
            assert 'acme_manager_local_certificate_operations_total{issuer="pebble",operation="created"} 1.0' in shown
            assert "acme_manager_certificate_expiry{" in shown
            assert "acme_manager_client_build_info{" in shown
            await service.stop()
            assert service.returncode == 0
            assert site.node.token not in service.log()
