"""The page about DNS: who writes records with what. Nobody sees a value, and owners see neither variables nor paths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs

from acme_manager.config.dns import DnsCredentials, DnsZone, SecretSource
from acme_manager.config.model import Common, IssuerConfig
from acme_manager.config.ui import UiConfig
from acme_manager.dns.protocol import Description
from tests.fakes.plugins import plugin
from tests.unit.api.served import Follower, Recorder, serving
from tests.unit.api.world import ADMIN, Api, open_api
from tests.unit.services.cataloguing import certificate
from tests.unit.services.world import NOW
from tests.unit.web.browser import Browser, administrator, owner

SECRET = "planted-value"
SETS = (
    DnsCredentials(
        name="corp",
        provider="cloudflare",
        env={"CLOUDFLARE_TTL": SECRET},
        env_from={
            "CLOUDFLARE_DNS_API_TOKEN": SecretSource("dns/corp", "token"),
            "CLOUDFLARE_EMAIL": SecretSource("/etc/acme/mail"),
        },
        vault="dns/whole",
        zones=("corp.example",),
        owners=("team-*",),
    ),
    DnsCredentials(name="everyone", provider="pdns", env={"PDNS_API_KEY": SECRET}),
)


def configure(api: Api, **changes: Any) -> None:
    settings = api.services.settings
    issuers = (
        IssuerConfig(name="auto", ca_dir_url="https://ca.test/dir", dns_challenge="auto"),
        IssuerConfig(name="named", ca_dir_url="https://ca.test/dir", dns_challenge="corp"),
        IssuerConfig(name="zoned", ca_dir_url="https://ca.test/dir", dns_challenge="cloudflare"),
        IssuerConfig(name="broken", ca_dir_url="https://ca.test/dir", dns_challenge="dns-account-01/rfc2136"),
        IssuerConfig(name="persist", ca_dir_url="https://ca.test/dir", dns_challenge="dns-persist-01"),
        IssuerConfig(name="plug", ca_dir_url="https://ca.test/dir", dns_challenge="quiet"),
        IssuerConfig(name="web", ca_dir_url="https://ca.test/dir", http_challenge="kvring"),
    )
    zones = {
        "corp.example": DnsZone(name="corp.example", check="authoritative", servers=(("192.0.2.1", 53),), timeout=120),
        "slow.example": DnsZone(name="slow.example", wait=300),
    }
    settings.go_by(
        attrs.evolve(
            settings.config,
            issuers={one.name: one for one in issuers},
            dns_credentials={one.name: one for one in SETS},
            dns=attrs.evolve(settings.config.dns, zones=zones),
            environ={"RFC2136_NAMESERVER": "192.0.2.7", "RFC2136_TSIG_SECRET_FILE": SECRET, "HTTPS_PROXY": SECRET},
            **changes,
        )
    )


def plugins(folder: Path) -> Common:
    quiet = plugin(folder, "true", "quiet", env={"IPAM_TOKEN": SECRET}, limits={"nofile": 64})
    refusing = plugin(folder, "exit 3", "refusing", type="hook", checksum="")
    return Common(plugins=(quiet, refusing))


async def test_an_administrator_sees_what_is_configured_by_name_and_place_and_no_value(tmp_path: Path) -> None:
    async with open_api(common=plugins(tmp_path)) as api:
        configure(api)
        admin = await administrator(api)
        page, answer = await admin.get("dns"), await admin.json("dns")
        assert SECRET not in page.body + answer.body
        credentials = page.id("credentials").text
        for words in (
            "CLOUDFLARE_TTL config.yml",
            "CLOUDFLARE_DNS_API_TOKEN vault:dns/corp#token",
            "CLOUDFLARE_EMAIL file:/etc/acme/mail",
            "All fields of vault:dns/whole",
            "corp.example",
            "team-*",
        ):
            assert words in credentials
        assert answer.json["credentials"][1] == {
            "name": "everyone",
            "provider": "pdns",
            "zones": [],
            "owners": [],
            "variables": {"PDNS_API_KEY": "config.yml"},
            "vault": "",
        }
        zones = [[cell.text for cell in row.all("td")] for row in page.id("zones").one("tbody").all("tr")]
        assert zones[0][:2] == ["authoritative", "192.0.2.1:53"]
        assert zones[1][0] == "nobody: waits 5 minutes"
        ready = page.id("ready").one("tbody").text
        assert ready == "rfc2136 Verified built in RFC2136_NAMESERVER, RFC2136_TSIG_SECRET_FILE"


async def test_it_says_what_each_issuer_proves_names_with_and_whether_that_can_work(tmp_path: Path) -> None:
    async with open_api(common=plugins(tmp_path)) as api:
        configure(api)
        admin = await administrator(api)
        shown = {one["name"]: one for one in (await admin.json("dns")).json["issuers"]}
        assert {name: one["by"] for name, one in shown.items()} == {
            "auto": "the credentials for the zone",
            "broken": "built in",
            "named": "credentials",
            "persist": "records that stay",
            "plug": "plugin",
            "web": "",
            "zoned": "the credentials for the zone, else variables of the server",
        }
        # This world's registry knows no plugins, as if one had been taken away.
        assert [name for name, one in shown.items() if not one["usable"]] == ["broken", "plug"]
        assert "RFC2136_NAMESERVER" in shown["broken"]["error"]
        bob = await owner(api, username="bob", issuers=("broken", "web"))
        mine = (await bob.json("dns")).json["issuers"]
        assert [(one["name"], one["usable"], "error" in one) for one in mine] == [
            ("broken", False, False),
            ("web", True, False),
        ]


async def test_plugins_are_shown_with_their_checksum_their_lacks_and_their_last_run(tmp_path: Path) -> None:
    async with open_api(common=plugins(tmp_path)) as api:
        known, said = api.services.plugins, Description(summary="our IPAM", required=("IPAM_TOKEN", "IPAM_URL"))
        known.descriptions._known["quiet"] = known.settings.common.plugins[0], said
        admin = await administrator(api)
        assert "Has not run since this node started" in (await admin.get("dns")).id("plugins").text
        order = {"domain": "a.example", "issuer": "test"}
        assert (await api.client.post("/api/v1/certificate", headers=api.token(), json=order)).status_code == 500
        page = await admin.get("dns")
        quiet, refusing = page.id("plugins").one("ul", class_="list").all("li")
        assert known.settings.common.plugins[0].checksum in quiet.text
        for words in ("our IPAM", "Lacks variables IPAM_URL", "Verified before each run", str(tmp_path), "nofile 64"):
            assert words in quiet.text
        for words in ("Not verified", "Exit code 3", "hook", "whatever is in the file is run"):
            assert words in refusing.text
        assert "Runs are those on node-1, which leads" in page.id("plugins").text
        run = (await admin.json("dns")).json["plugins"][1]["last_run"]
        assert (run["action"], run["outcome"], run["at"][:10]) == ("hook", "3", NOW.date().isoformat())


async def test_owners_see_what_they_may_name_without_variables_paths_and_other_owners(tmp_path: Path) -> None:
    async with open_api(common=plugins(tmp_path)) as api:
        configure(api, ui=UiConfig(public_read=True))
        for browser, sets in (
            (await owner(api, username="bob"), ["everyone"]),
            (await owner(api, username="team-a"), ["corp", "everyone"]),
            (Browser(api), ["corp", "everyone"]),
        ):
            page, answer = await browser.get("dns"), await browser.json("dns")
            assert [one["name"] for one in answer.json["credentials"]] == sets
            assert [one["name"] for one in answer.json["plugins"]] == ["quiet"]
            assert "rfc2136" in page.id("ready").text
            for hidden in ("CLOUDFLARE", "PDNS_", "RFC2136_", "IPAM_", "team-*", "vault:", "192.0.2", str(tmp_path)):
                assert hidden not in page.body + answer.body, hidden
            assert "zones" not in answer.json


async def test_the_list_of_all_providers_can_be_searched(tmp_path: Path) -> None:
    async with open_api() as api:
        admin = await administrator(api)
        page = await admin.get("dns")
        assert "open" not in page.id("all-providers").attributes
        found = await admin.submit(page.form("dns"), q="rfc2136_tsig verified")
        assert "open" in found.id("all-providers").attributes
        rows = {row.one("th").text: row.text for row in found.id("known-list").one("tbody").all("tr")}
        assert list(rows) == ["dnsupdate", "rfc2136"]
        assert "as rfc2136" in rows["dnsupdate"]
        assert "RFC2136_TSIG_KEY" in rows["rfc2136"]
        assert "No provider fits" in (await admin.get("dns?q=nothing-like-it")).id("known-list").text
        bob = await owner(api, username="bob")
        assert (await bob.json("dns?q=tsig_key")).json["known"] == []  # no way to ask about variables


async def test_what_is_wrong_with_dns_stands_on_top_for_those_whose_it_is() -> None:
    async with open_api() as api:
        for one in (certificate("a.example", issuer="test"), certificate("b.example", issuer="test", owner="bob")):
            api.world.state.publish(one)
        fail(api, "alice/test/c.example", "the zone is not ours", "unknown_zone")
        fail(api, "bob/test/d.example", "too many", "rate_limit")
        admin = await administrator(api)
        assert "the zone is not ours" in (await admin.get("dns")).id("troubles").text
        assert "too many" not in (await admin.get("dns")).body
        assert [one["certificates"][0]["owner"] for one in (await admin.json("dns")).json["troubles"]] == ["alice"]
        bob = await owner(api, username="bob")
        assert (await bob.json("dns")).json["troubles"] == []


def fail(api: Api, key: str, error: str, cause: str) -> None:
    """What a request leaves that has come to nothing."""
    record = {"outcome": "failed", "began": "2026-11-24T12:00:00Z", "reason": "requested", "error": error}
    api.world.cluster.put(f"attempt/{key}", json.dumps([record | {"cause": cause}]).encode())


async def test_records_are_counted_by_provider() -> None:
    async with open_api() as api:
        metrics = api.services.request_choices.dns.metrics
        with metrics.change("pdns", "put"):
            pass
        try:
            with metrics.change("pdns", "remove"):
                raise OSError
        except OSError:
            metrics.left_behind.labels("pdns").inc()
        page = await (await administrator(api)).get("dns")
        (row,) = page.id("changes").one("tbody").all("tr")
        assert row.text == "pdns 1 0 0 1 1"


async def test_runs_are_those_of_the_leader_or_of_this_node_where_none_can_be_asked(tmp_path: Path) -> None:
    leader = Recorder()
    async with serving(leader.app) as served:
        follower = Follower(served.url)
        async with open_api(replaced={"cluster": follower}, common=plugins(tmp_path)) as api:
            browser = Browser(api)
            assert (await browser.get("dns", **ADMIN)).body == "{}"
            assert leader.headers("X-API-Key") == [b"admin"]
            assert "quiet" in (await browser.get("dns", **api.token())).id("plugins").text
            assert len(leader.bodies) == 1  # an owner is not shown any run
            follower.url = None
            page = await browser.get("dns", **ADMIN)
            assert "Runs are those on node-1, which does not lead" in page.id("plugins").text
            assert (await browser.json("dns")).status == 401
