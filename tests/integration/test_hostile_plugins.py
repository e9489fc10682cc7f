"""Plugins that do harm in every way they can find, while the node that runs them goes on."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from time import perf_counter

import attrs
import httpx
import trio
import yaml

from acme_manager.config.model import Plugin
from tests.fakes.plugins import plugin
from tests.integration.site import Site, eventually, open_site
from tests.parts.node import AS_ADMINISTRATOR
from tests.unit.confined.programs import runs

HOSTILE = {
    # Ignores SIGTERM, has children in other sessions that hold its pipes, closes its input.
    "clinging": "trap '' TERM; exec <&-; setsid sleep 300 & (setsid setsid sleep 300 &); sleep 300; sleep 300",
    "flooding": 'while :; do echo "$SECRET"; echo "$SECRET" >&2; done',
    "daemon": '(setsid sleep 300 &); echo "failed with $SECRET" >&2; echo "$SECRET"; exit 9',
}
HONEST = """
import json, os, sys
import dns.query, dns.tsigkeyring, dns.update
if sys.argv[1] == "describe":
    print(json.dumps({"version": 1, "summary": "honest work", "timing": {"timeout": 30, "interval": 0.2}}))
    sys.exit()
action, name, value, zone = sys.argv[1:]
keys = dns.tsigkeyring.from_text({os.environ["KEY"]: (os.environ["ALGORITHM"], os.environ["SECRET"])})
update = dns.update.Update(zone, keyring=keys)
if action == "present":
    update.add(name, 60, "TXT", value)
else:
    update.delete(name, "TXT", value)
answer = dns.query.tcp(update, os.environ["HOST"], port=int(os.environ["PORT"]), timeout=10)
sys.exit(answer.rcode())
"""
SECRET = "planted-secret-value"


def told(one: Plugin) -> dict[str, object]:
    """As `common.plugins` has it."""
    return {
        "name": one.name, "path": str(one.path), "checksum": one.checksum, "type": one.type,
        "env": dict(one.env), "timeout": int(one.timeout),
    }  # fmt: skip


async def request(client: httpx.AsyncClient, provider: str) -> httpx.Response:
    wish = {"issuer": "pebble", "domain": f"{provider}.example.test", "dns_challenge": provider}
    return await client.post("/api/v1/certificate", json=wish)


async def test_a_node_serves_while_plugins_do_their_worst_and_nothing_of_them_is_left(tmp_path: Path) -> None:
    env = {"MARK": str(tmp_path), "SECRET": SECRET}
    plugins = [plugin(tmp_path, body, name, env=env, timeout=1.0) for name, body in HOSTILE.items()]
    async with open_site(tmp_path, common={"plugins": list(map(told, plugins))}, flags=("-log.level=debug",)) as site:
        answers: dict[str, httpx.Response] = {}
        slowest = 0.0

        async with site.node.client() as client:

            async def ask(provider: str) -> None:
                answers[provider] = await request(client, provider)

            async with trio.open_nursery() as nursery:
                async with trio.open_nursery() as orders:
                    nursery.start_soon(_read, client, slow := [0.0])
                    for provider in HOSTILE:
                        orders.start_soon(ask, provider)
                nursery.cancel_scope.cancel()
            slowest = slow[0]

        assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(HOSTILE, 500)
        said = {name: answer.json()["detail"] for name, answer in answers.items()}
        assert "plugin 'clinging' did not end within 1 s (timeout)" in said["clinging"]
        assert "plugin 'flooding' wrote more than it may, and was ended" in said["flooding"]
        assert "exit code 9; the server's log has what it wrote" in said["daemon"]
        assert slowest < 1.0
        assert not any(SECRET in answer.text for answer in answers.values())
        log = site.node.program.log()
        assert "failed with ****" in log
        assert SECRET not in log

        async def clean() -> bool:
            return not runs(f"MARK={tmp_path}") and not list(site.node.folder.glob("acme-manager-run-*"))

        await eventually(clean)  # descriptions may still be asked for
        assert _children(site) == []
        await _see(site)


async def _read(client: httpx.AsyncClient, slowest: list[float]) -> None:
    """Read again and again, and note the longest time that it took."""
    while True:
        began = perf_counter()
        answer = await client.get("/api/v1/certificate/metadata")
        assert answer.status_code == 200
        slowest[0] = max(slowest[0], perf_counter() - began)
        await trio.sleep(0.02)


def _children(site: Site) -> list[str]:
    tasks = Path(f"/proc/{site.node.program.pid}/task").iterdir()
    return [word for task in tasks for word in (task / "children").read_text().split()]


async def _see(site: Site) -> None:
    """The facts that administrators get."""
    async with site.node.anonymous(**AS_ADMINISTRATOR) as admin:
        shown = await admin.get("/api/v1/plugins")
        metrics = (await admin.get("/metrics")).text
    assert SECRET not in shown.text + metrics
    assert [one["name"] for one in shown.json()] == list(HOSTILE)
    for name, outcome in {"clinging": "timeout", "flooding": "output", "daemon": "9"}.items():
        assert (
            f'acme_manager_plugin_runs_total{{action="present",exit_code="{outcome}",plugin="{name}"}} 1.0' in metrics
        )


async def test_an_honest_plugin_and_a_hook_get_a_certificate_from_a_ca_and_a_swapped_file_gets_none(
    tmp_path: Path,
) -> None:
    notes = tmp_path / "notes"
    hook = plugin(tmp_path, f'echo "$@" >>{notes}; [ "$1" != refused.example.test ]', "hook", type="hook")
    writer = plugin(tmp_path, HONEST, "honest", first=f"#!{sys.executable}")
    async with open_site(tmp_path, nonce_reject=0) as site, site.node.client() as client:
        key = {"KEY": site.dns.key.name, "SECRET": site.dns.key.secret, "ALGORITHM": site.dns.key.algorithm}
        env = {**key, "HOST": site.dns.address, "PORT": str(site.dns.port)}
        await _bring_in(site, hook, attrs.evolve(writer, env=env))
        answer = await client.post(
            "/api/v1/certificate",
            json={"issuer": "pebble", "domain": "a.example.test", "san": "*.a.example.test", "dns_challenge": "honest"},
        )
        assert answer.status_code == 201, answer.text
        assert await site.dns.txt("_acme-challenge.a.example.test") == set()
        assert notes.read_text() == "a.example.test,*.a.example.test pebble dns\n"
        assert "provider=honest source=plugin" in site.node.program.log()

        refused = await client.post("/api/v1/certificate", json={"issuer": "web", "domain": "refused.example.test"})
        assert refused.json()["type"] == "/problems/order-refused"
        assert notes.read_text().endswith("refused.example.test web http\n")

        plugin(tmp_path, HONEST + "\n# swapped", "honest", first=f"#!{sys.executable}")
        swapped = await client.post(
            "/api/v1/certificate", json={"issuer": "pebble", "domain": "b.example.test", "dns_challenge": "honest"}
        )
        assert swapped.status_code == 500
        assert "is not the file that was checked" in swapped.json()["detail"]
        assert site.dns.key.secret not in site.node.program.log()


async def _bring_in(site: Site, *plugins: Plugin) -> None:
    """Have the running node take these up, and wait until it has asked them about themselves."""
    file = site.node.folder / "config.yml"
    config = yaml.safe_load(file.read_text())
    config["common"]["plugins"] = list(map(told, plugins))
    file.write_text(yaml.safe_dump(config))
    site.node.program.send(signal.SIGHUP)

    async def described() -> bool:
        async with site.node.anonymous(**AS_ADMINISTRATOR) as admin:
            return "honest work" in (await admin.get("/api/v1/plugins")).text

    await eventually(described)
