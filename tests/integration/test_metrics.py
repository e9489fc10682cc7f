"""What a running node shows at `/metrics`, against everything that relies on its names."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import trio
from prometheus_client import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from acme_manager.client.metrics import ClientMetrics
from acme_manager.clock import SystemClock
from acme_manager.metrics import new_registry
from tests.integration.site import eventually, open_site

ROOT = Path(__file__).parents[2]

# The guide's chapter "Monitoring" without `acme_manager_local_…`, which are the agent's; and the labels of its queries.
OF_THE_GUIDE = {
    "certificate_total": {"issuer"},
    "certificate_created": set(),
    "certificate_revoke": set(),
    "certificate_renewed": set(),
    "certificate_expiry": {"issuer", "domain"},
    "vault_get_secret_success_total": set(),
    "vault_put_secret_success_total": set(),
    "vault_delete_secret_success_total": set(),
    "vault_get_secret_failed_total": set(),
    "vault_put_secret_failed_total": set(),
    "vault_delete_secret_failed_total": set(),
    "config_reload": set(),
    "config_error": set(),
    "issuer_config_error": {"issuer"},
    "build_info": {"version", "revision", "branch", "goversion"},
    "node_role": set(),
    "memberlist_client_cas_attempt_total": set(),
    "memberlist_client_cas_failure_total": set(),
    "memberlist_client_cas_success_total": set(),
    "memberlist_client_cluster_members_count": set(),
    "memberlist_client_cluster_node_health_score": set(),
    "memberlist_client_kv_store_count": set(),
    "memberlist_client_kv_store_value_tombstones": set(),
    "memberlist_client_kv_store_value_tombstones_removed_total": set(),
    "memberlist_client_messages_in_broadcast_queue": set(),
    "memberlist_client_messages_in_broadcast_queue_bytes": set(),
    "memberlist_client_messages_to_broadcast_dropped_total": set(),
    "memberlist_client_pending_key_notifications": set(),
    "memberlist_client_received_broadcasts_bytes_total": set(),
    "memberlist_client_received_broadcasts_dropped_total": set(),
    "memberlist_client_received_broadcasts_invalid_total": set(),
    "memberlist_client_received_broadcasts_total": set(),
    "memberlist_client_state_pulls_bytes_total": set(),
    "memberlist_client_state_pulls_total": set(),
    "memberlist_client_state_pushes_bytes_total": set(),
    "ring_member_heartbeats_total": set(),
    "ring_member_tokens_owned": set(),
    "ring_member_tokens_to_own": set(),
    "ring_members": set(),
    "ring_oldest_member_timestamp": set(),
    "ring_tokens_total": set(),
}

# What later versions of the Go program call it.
_ID = {"issuer", "owner", "domain", "name"}
OF_THE_GO_PROGRAM = {
    "managed_certificates": _ID,
    "certificate_operations_total": _ID | {"operation", "status"},
    "certificate_renewals": _ID,
    "certificate_expiry": _ID | {"expires", "encryption", "serial", "team"},
    "token_expiry": {"id", "username", "scope", "expires"},
    "kv_keys": {"type"},
    "vault_secret_operations_total": {"secret_type", "operation", "status"},
    "server_build_info": {"version", "revision", "branch", "goversion", "goos", "goarch", "tags"},
    "http_requests_total": {"method", "path", "status_code"},
    "http_request_duration_seconds_count": {"method", "path"},
    "http_requests_in_flight": set(),
}

# Names of the guide that `promtool check metrics` would rather have otherwise.
_NO_COUNTER = 'non-counter metrics should not have "_total" suffix'
_NOT_A_COUNT = 'non-histogram and non-summary metrics should not have "_count" suffix'
OBJECTIONS = {
    f"acme_manager_certificate_total {_NO_COUNTER}",
    f"acme_manager_ring_tokens_total {_NO_COUNTER}",
    f"acme_manager_memberlist_client_cluster_members_count {_NOT_A_COUNT}",
    f"acme_manager_memberlist_client_kv_store_count {_NOT_A_COUNT}",
}


@attrs.frozen
class Shown:
    """What a node has answered: label names by sample name, type by family, whether it has a sample or not."""

    text: str
    openmetrics: str
    samples: dict[str, set[str]]
    families: dict[str, str]

    def knows(self, name: str) -> bool:
        return name in self.samples or name in self.families


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """A node that has issued a certificate with labels of every kind."""
    return trio.run(_look, tmp_path_factory.mktemp("metrics"))


async def _look(folder: Path) -> Shown:
    async with open_site(folder) as site, site.node.client() as client:
        wish = {"issuer": "pebble", "domain": "www.example.test", "labels": "team=web,issuer=mine,job=mine"}
        (await client.post("/api/v1/certificate", json=wish)).raise_for_status()

        async def scrape(accept: str) -> str:
            answer = await client.get("/metrics", headers={"Accept": accept})
            assert answer.headers["Content-Encoding"] == "gzip"
            return answer.raise_for_status().text

        async def counted() -> bool:
            return re.search(r"certificate_created\{.*} 1\n", await scrape("text/plain")) is not None

        await eventually(counted)
        text = await scrape("text/plain")
        openmetrics = await scrape("application/openmetrics-text; version=1.0.0")
    samples: dict[str, set[str]] = {}
    for family in parse_text(text):
        for sample in family.samples:
            samples.setdefault(sample.name, set()).update(sample.labels)
    return Shown(text, openmetrics, samples, dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE)))


@pytest.mark.parametrize("expected", [OF_THE_GUIDE, OF_THE_GO_PROGRAM], ids=["guide", "go"])
def test_names_that_dashboards_know_are_there_with_their_labels(shown: Shown, expected: dict[str, set[str]]) -> None:
    missing = {
        name: labels
        for name, labels in expected.items()
        if f"acme_manager_{name}" not in shown.samples or labels - shown.samples[f"acme_manager_{name}"]
    }
    assert missing == {}


def test_labels_of_callers_do_not_take_the_place_of_ours(shown: Shown) -> None:
    (line,) = [line for line in shown.text.splitlines() if line.startswith("acme_manager_certificate_expiry{")]
    assert 'issuer="pebble"' in line
    assert 'label_issuer="mine"' in line
    assert ' job="' not in line.replace(",", " ")


def test_promtool_objects_to_nothing_but_the_guides_own_names(shown: Shown) -> None:
    command = ["promtool", "check", "metrics"]
    said = subprocess.run(
        command, input=shown.text, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ).stdout
    assert set(filter(None, said.splitlines())) == OBJECTIONS


def test_both_formats_say_the_same(shown: Shown) -> None:
    families = parse_openmetrics(shown.openmetrics)  # type: ignore[no-untyped-call]
    modern = {sample.name for family in families for sample in family.samples}
    assert modern == set(shown.samples)


@pytest.mark.parametrize("file", ["config/alerts.yml", "config/dashboard.json", *ROOT.glob("docs/*.md")], ids=str)
def test_every_metric_that_is_spoken_of_exists(shown: Shown, file: str) -> None:
    spoken = set(re.findall(r"\bacme_manager_[a-z_]+", (ROOT / file).read_text()))
    families = "".join(f"{name}\n" for name in {**shown.samples, **shown.families})
    spoken -= _of_the_agent()
    # A name that ends in an underscore is the beginning of several.
    unknown = {name for name in spoken if not (shown.knows(name) or (name.endswith("_") and name in families))}
    assert unknown == set()


def test_the_table_of_metrics_is_complete_and_right(shown: Shown) -> None:
    told = {name: (type, labels) for name, type, labels in _rows()}
    there = {name: type for name, type in shown.families.items() if name.startswith("acme_manager_")}
    assert set(told) ^ set(there) == set(), "docs/monitoring.md and the node do not agree on these"
    for name, type in there.items():
        samples = [one for one in (name, f"{name}_count") if one in shown.samples]
        labels = set().union(*(shown.samples[one] for one in samples)) - {"team", "label_issuer", "label_job"}
        assert told[name][0] == type, name
        assert not samples or told[name][1] == labels, name


def _rows() -> Iterator[tuple[str, str, set[str]]]:
    for line in (ROOT / "docs/monitoring.md").read_text().splitlines():
        row = re.match(r"\| `(acme_manager_\w+)` \| (\w+) \| ([^|]*) \|", line)
        if row:
            yield row[1], row[2], set(re.findall(r"`(\w+)`", row[3]))


def test_the_dashboards_queries_are_promql(tmp_path: Path) -> None:
    panels = json.loads((ROOT / "config/dashboard.json").read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    assert len(queries) > 20
    rules = [
        {"record": f"r{number}", "expr": query.replace("$__rate_interval", "5m").replace("$job", "acme-manager")}
        for number, query in enumerate(queries)
    ]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    subprocess.run(["promtool", "check", "rules", str(file)], check=True, capture_output=True)


def _of_the_agent() -> set[str]:
    """What acme-manager-client shows at an address of its own."""
    registry = new_registry("client")
    ClientMetrics(registry, SystemClock().now)
    return set(re.findall(r"^# TYPE (\S+)", generate_latest(registry).decode(), re.MULTILINE))
