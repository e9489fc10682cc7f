"""DNS credentials with names: two keys for two zones in one order, secrets in Vault and in files, seen by nobody."""

from __future__ import annotations

import hashlib
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx

from tests.integration.site import eventually, names
from tests.parts.bind import bind
from tests.parts.dns_server import DnsServer, TsigKey
from tests.parts.node import Node, node
from tests.parts.openbao import POLICY, OpenBao, openbao
from tests.parts.pebble import pebble

_MAY_READ = 'path "secret/data/dns/*" { capabilities = ["read"] }\n'
_TELLS_ALL = """#!/bin/sh
out=$OUT
env | sort > "$out/environment"
cat /proc/[0-9]*/cmdline | tr '\\0' '\\n' > "$out/command-lines"
env >&2
echo "{\\"error\\": \\"the API refused $CONFIG_TOKEN, $FILE_PASSWORD, $VAULT_SECRET and $WHOLE_KEY\\"}"
exit 1
"""
PLANTED = ("planted-in-config", "planted-in-a-file", "planted-in-vault", "planted-in-a-whole-secret")


def _rfc2136(dns: DnsServer, key: TsigKey) -> dict[str, str]:
    return {
        "RFC2136_NAMESERVER": f"{dns.address}:{dns.port}",
        "RFC2136_TSIG_KEY": key.name,
        "RFC2136_TSIG_ALGORITHM": key.algorithm,
    }


def _sections(folder: Path, dns: DnsServer, a: TsigKey, b: TsigKey) -> dict[str, Any]:
    (folder / "a.secret").write_text(f"{a.secret}\n")
    (folder / "planted").write_text("planted-in-a-file\n")
    spy = {
        "provider": "spy",
        "env": {"OUT": str(folder), "CONFIG_TOKEN": "planted-in-config"},
        "env_from": {"FILE_PASSWORD": f"file:{folder / 'planted'}", "VAULT_SECRET": "vault:dns/spy#token"},
        "vault": "dns/spy-whole",
        "owners": ["alice"],
    }
    return {
        "dns_credentials": {
            "a": {
                "provider": "rfc2136",
                "env": _rfc2136(dns, a),
                "env_from": {"RFC2136_TSIG_SECRET": f"file:{folder / 'a.secret'}"},
                "zones": ["a.test"],
            },
            "b": {
                "provider": "rfc2136",
                "env": _rfc2136(dns, b),
                "env_from": {"RFC2136_TSIG_SECRET": "vault:dns/b#secret"},
                "zones": ["b.test"],
            },
            "spy": spy,
        },
        "dns_zones": {"b.test": {"servers": ["{}:{}".format(*dns.at)], "timeout": 30}},
    }


async def test_sets_are_chosen_by_zone_follow_their_secrets_and_keep_them(tmp_path: Path) -> None:
    a, b = TsigKey(name="key-a."), TsigKey(name="key-b.")
    plugin = tmp_path / "spy"
    plugin.write_text(_TELLS_ALL)
    plugin.chmod(0o755)
    checksum = hashlib.sha256(plugin.read_bytes()).hexdigest()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        zones = dict.fromkeys(("a.test", "b.test"), "zonesub TXT")
        dns = await enter(bind(tmp_path, zones, keys={"a.test": a, "b.test": b}))
        bao = await enter(openbao(tmp_path))
        await bao.api("POST", "sys/policies/acl/acme-manager", {"policy": POLICY.read_text() + _MAY_READ})
        await bao.write("dns/b", {"secret": TsigKey().secret})
        await bao.write("dns/spy", {"token": "planted-in-vault"})
        await bao.write("dns/spy-whole", {"WHOLE_KEY": "planted-in-a-whole-secret"})
        ca = await enter(pebble(tmp_path, dns=dns.at, nonce_reject=0))
        issuer = {"ca_dir_url": ca.directory, "ca_bundle": str(ca.ca_pem), "dns_challenge": "auto"}
        common = {"plugins": [{"name": "spy", "path": str(plugin), "checksum": checksum}]}
        running = await enter(
            node(
                tmp_path,
                bao=bao,
                issuers={"ca": issuer},
                common=common,
                sections=_sections(tmp_path, dns, a, b),
                environ={
                    "ACME_MANAGER_DNS_RESOLVERS": f"{dns.address}:{dns.port}",
                    "ACME_MANAGER_DNS_AUTHORITATIVE_PORT": str(dns.port),
                },
                flags=("-log.level=debug",),
            )
        )
        client = await enter(running.client())
        await _follows_a_rotated_secret(client, bao, b)
        assert await dns.txt("_acme-challenge.www.a.test") == set()
        assert await dns.txt("_acme-challenge.www.b.test") == set()
        await _is_used_for_its_zones_by_its_owners(client, running)
        await _keeps_its_secrets(client, running, tmp_path, (a.secret, b.secret))


async def _order(client: httpx.AsyncClient, domain: str, **more: str) -> httpx.Response:
    return await client.post("/api/v1/certificate", json={"issuer": "ca", "domain": domain, **more})


async def _attempts(client: httpx.AsyncClient, domain: str) -> list[dict[str, Any]]:
    where = {"issuer": "ca", "domain": domain}
    answer = await client.get("/api/v1/certificate/attempts", params=where)
    found: list[dict[str, Any]] = answer.raise_for_status().json()
    return found


async def _follows_a_rotated_secret(client: httpx.AsyncClient, bao: OpenBao, key: TsigKey) -> None:
    """One order in two zones: it fails while the secret of one is wrong, and succeeds once it is right in Vault."""
    failed = await _order(client, "www.a.test", san="www.b.test")
    assert failed.status_code == 500
    assert f"knows the TSIG key '{key.name.rstrip('.')}' with another secret" in failed.json()["detail"]
    (attempt,) = await _attempts(client, "www.a.test")
    assert (attempt["outcome"], attempt["error"]) == ("failed", failed.json()["detail"])

    await bao.write("dns/b", {"secret": key.secret})

    async def issued() -> bool:
        answer = await _order(client, "www.a.test", san="www.b.test")
        return answer.status_code == 201 and names(answer.json()) == {"www.a.test", "www.b.test"}

    await eventually(issued)
    attempt = (await _attempts(client, "www.a.test"))[0]
    assert attempt["outcome"] == "issued"
    assert [one["step"] for one in attempt["steps"]][:2] == ["ordered", "challenge presented"]
    written = {one["name"]: one for one in attempt["records"]}
    assert {name: one["credentials"] for name, one in written.items()} == {
        "_acme-challenge.www.a.test": "a",
        "_acme-challenge.www.b.test": "b",
    }
    assert all(server["complete"] for one in written.values() for server in one["servers"])
    assert all(one["servers"] for one in written.values())


async def _is_used_for_its_zones_by_its_owners(client: httpx.AsyncClient, running: Node) -> None:
    outside = await _order(client, "one.b.test", dns_challenge="a")
    assert "DNS credentials 'a' are for a.test, and _acme-challenge.one.b.test is not in there" in outside.text
    nowhere = await _order(client, "www.c.test")
    assert "c.test" in nowhere.json()["detail"]
    async with running.client(await running.new_token("bob")) as other:
        refused = await _order(other, "two.a.test", dns_challenge="spy")
    assert refused.status_code == 400
    assert "'spy' may not be used by 'bob'" in refused.json()["detail"]


async def _keeps_its_secrets(client: httpx.AsyncClient, running: Node, folder: Path, keys: tuple[str, ...]) -> None:
    """A plugin sees all of its own set and nothing else, tells it to its standard error, and it shows nowhere."""
    answer = await _order(client, "three.a.test", dns_challenge="spy")
    assert "the API refused ****, ****, **** and ****" in answer.json()["detail"]
    environment = dict(line.split("=", 1) for line in (folder / "environment").read_text().splitlines())
    own = {name: environment.pop(name, "") for name in ("CONFIG_TOKEN", "FILE_PASSWORD", "VAULT_SECRET", "WHOLE_KEY")}
    assert tuple(own.values()) == PLANTED
    assert set(environment) - {"_", "SHLVL", "OLDPWD"} == {"LANG", "OUT", "PATH", "PWD"}
    async with running.anonymous() as anybody:
        metrics = (await anybody.get("/metrics")).text
    attempts = str(await _attempts(client, "three.a.test"))
    assert "plugin ended" in running.program.log()
    shown = (running.program.log(), metrics, answer.text, attempts, (folder / "command-lines").read_text())
    assert "three.a.test" in shown[-1]
    for secret in (*PLANTED, *keys):
        assert [secret in text for text in shown] == [False] * len(shown), secret
