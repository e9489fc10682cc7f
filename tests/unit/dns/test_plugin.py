from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from acme_manager.config.model import Common, Config, IssuerConfig, Plugin, VaultConfig
from acme_manager.dns.descriptions import Descriptions
from acme_manager.dns.lookup import Lookup
from acme_manager.dns.metrics import DnsMetrics
from acme_manager.dns.plugin import PluginProvider, PluginSource
from acme_manager.dns.propagation import Timing
from acme_manager.dns.protocol import read_description, read_refusal
from acme_manager.dns.providers import BuiltIn
from acme_manager.dns.registry import Registry, sources_of
from acme_manager.dns.solver import DnsSolvers
from acme_manager.domain.causes import classify
from acme_manager.errors import ConfigInvalid, DnsFailed, InvalidRequest
from tests.fakes.dns import MemoryLookup
from tests.fakes.plugins import plugin, plugin_runner
from tests.unit.dns.fakes import MemoryProvider

NAME = "_acme-challenge.www.example.com"
LOOKUP = MemoryLookup({}, zones=("example.com",))


def provider(plugin: Plugin, lookup: Lookup = LOOKUP) -> PluginProvider:
    return PluginProvider(plugin=plugin, runner=plugin_runner(), zone_of=lookup.zone_of)


def config(*plugins: Plugin, **issuer: Any) -> Config:
    vault = VaultConfig(url="https://v", role_id="r", secret_id="s", secret_engine="kv", certificate_prefix="c")
    ca = IssuerConfig(name="le", ca_dir_url="https://ca.example/dir", **issuer)
    return Config(common=Common(plugins=plugins), issuers={"le": ca}, vault=vault)


async def test_a_plugin_is_told_the_change_by_its_arguments_and_by_its_input(tmp_path: Path) -> None:
    told = tmp_path / "told"
    writer = provider(plugin(tmp_path, f'printf "%s|" "$@" >>{told}; cat >>{told}'))
    await writer.put_txt(NAME, "value")
    await provider(writer.plugin, MemoryLookup({})).remove_txt(NAME, "value")
    first, second = told.read_text().splitlines()
    arguments, _, document = first.rpartition("|")
    assert arguments == f"present|{NAME}.|value|example.com."
    assert json.loads(document) == {
        "version": 1, "action": "present", "name": f"{NAME}.", "value": "value", "zone": "example.com.", "ttl": 60,
    }  # fmt: skip
    arguments, _, document = second.rpartition("|")
    assert arguments == f"cleanup|{NAME}.|value|"
    assert json.loads(document)["zone"] == ""


async def test_a_zone_that_can_t_be_found_keeps_nobody_from_writing(tmp_path: Path) -> None:
    class Lost(MemoryLookup):
        async def zone_of(self, name: str) -> str:
            raise DnsFailed(f"{name} can't be looked up")

    await provider(plugin(tmp_path, '[ -z "$4" ]'), Lost({})).put_txt(NAME, "value")


@pytest.mark.parametrize(
    ("body", "said", "cause", "retry_after"),
    [
        ("exit 3", "exit code 3; the server's log has what it wrote", "dns", None),
        ("echo 'planted nonsense'; exit 1", "exit code 1; ", "dns", None),
        ("""echo '{"error": "no such zone", "cause": "zone"}'; exit 1""", "no such zone", "unknown_zone", None),
        ("""echo '{"error": "bad key $TOKEN", "cause": "credentials"}'; exit 1""", "bad key", "credentials", None),
        ("""echo '{"error": "busy", "cause": "unavailable", "retry_after": 90}'; exit 1""", "busy", "dns", 90.0),
        ("""echo '{"error": "odd", "cause": ["x"], "retry_after": "soon"}'; exit 1""", "odd", "dns", None),
        ("echo '{\"error\": \"it says '$TOKEN'\"}'; exit 1", "it says ****", "dns", None),
    ],
)
async def test_a_failure_has_the_plugin_s_own_words_where_it_has_any(
    tmp_path: Path, body: str, said: str, cause: str, retry_after: float | None
) -> None:
    writer = provider(plugin(tmp_path, f"echo planted-stderr >&2; {body}", env={"TOKEN": "planted"}))
    with pytest.raises(DnsFailed) as caught:
        await writer.put_txt(NAME, "value")
    assert f"plugin 'p' failed to present the record of {NAME}: {said}" in str(caught.value)
    assert "planted" not in str(caught.value)
    found = classify(caught.value)
    assert (found.name, found.retry_after) == (cause, retry_after)


async def test_a_plugin_that_hangs_is_a_dns_failure_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(DnsFailed, match=r"plugin 'p' did not end within 0\.1 s"):
        await provider(plugin(tmp_path, "exec sleep 100", timeout=0.1)).put_txt(NAME, "value")


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{", b"[" * 100_000, b'{"error": 5}', b'{"error": "  "}', b"\xff\xfe", b'{"error": NaN}']
)
def test_nothing_that_a_plugin_writes_is_taken_for_more_than_it_is(text: bytes) -> None:
    assert read_refusal(text) is None
    assert read_description(text) is None


def test_a_description_of_another_version_says_nothing_and_odd_members_of_one_are_left_out() -> None:
    assert read_description(b'{"version": 2, "name": "x"}') is None
    found = read_description(
        b'{"version": 1, "name": 5, "required": ["A", 5], "timing": {"timeout": -1, "interval": true}}'
    )
    assert found is not None
    assert (found.name, found.required, found.timeout, found.interval) == ("", ("A",), 0.0, 0.0)


DESCRIBED = """[ "$1" = describe ] || exit 1; echo x >>"$COUNT"
echo '{"version": 1, "summary": "Mine", "timing": {"timeout": 300, "interval": 7}}'"""


async def described(descriptions: Descriptions, *plugins: Plugin) -> None:
    """Return once each has been asked."""
    descriptions.go_by(config(*plugins))
    with trio.fail_after(10):
        while not all(map(descriptions._is_known, plugins)):  # noqa: ASYNC110 processes set no event of ours
            await trio.sleep(0.01)


async def test_each_plugin_is_asked_once_about_itself_and_again_when_it_changes(tmp_path: Path) -> None:
    count = tmp_path / "count"
    mine = plugin(tmp_path, DESCRIBED, "mine", env={"COUNT": str(count)})
    silent, gone = plugin(tmp_path, "exit 1", "silent"), plugin(tmp_path, "", "gone", checksum="0" * 64)
    descriptions = Descriptions(plugin_runner())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(descriptions.run)
        with capture_logs() as logs:
            await described(descriptions, mine, silent, gone)
        source = PluginSource(plugin_runner(), descriptions).at(config(mine, silent, gone))
        assert [one.summary for one in source.providers()] == [str(gone.path), "Mine", str(silent.path)]
        timings = {name: source.provider(name, {}, LOOKUP) for name in ("mine", "silent", "gone")}
        assert {name: found and found.timing for name, found in timings.items()} == {
            "mine": Timing(timeout=300.0, interval=7.0), "silent": Timing(), "gone": Timing(),
        }  # fmt: skip
        warned = [line for line in logs if line["log_level"] == "warning"]
        assert [(line["event"], line["plugin"]) for line in warned] == [("plugin can't be asked about itself", "gone")]

        await described(descriptions, mine)
        changed = attrs.evolve(mine, timeout=3.0)
        await described(descriptions, changed)
        assert (descriptions.of(mine), descriptions.of(changed) is None) == (None, False)
        nursery.cancel_scope.cancel()
    assert count.read_text().count("x") == 2


def registry(*plugins: Plugin, **factories: MemoryProvider) -> Registry:
    built_in = BuiltIn(dict.fromkeys(factories, lambda name, _environ, _lookup: factories[name]))
    runner = plugin_runner()
    return Registry([PluginSource(runner, Descriptions(runner)), built_in]).at(config(*plugins))


def test_a_plugin_of_the_configuration_comes_before_what_has_the_same_name(tmp_path: Path) -> None:
    found = registry(plugin(tmp_path, "", "same"), same=MemoryProvider(), other=MemoryProvider())
    assert isinstance(found.provider("same", {}, LOOKUP), PluginProvider)
    assert isinstance(found.provider("other", {}, LOOKUP), MemoryProvider)
    assert [(one.name, one.source) for one in found.providers()] == [("same", "plugin"), ("other", "built in")]


def test_the_log_says_once_and_at_each_change_where_a_name_was_found(tmp_path: Path) -> None:
    with capture_logs() as logs:
        found = registry(same=MemoryProvider())
        for _ in range(2):
            found.provider("same", {}, LOOKUP)
        found.check("same", {}, LOOKUP)
        found = found.at(config(plugin(tmp_path, "", "same")))
        for _ in range(2):
            found.provider("same", {}, LOOKUP)
    told = [(line["provider"], line["source"]) for line in logs if line["event"] == "DNS provider found"]
    assert told == [("same", "built in"), ("same", "plugin")]


def test_a_name_that_nobody_has_is_answered_with_what_may_have_been_meant(tmp_path: Path) -> None:
    hook = plugin(tmp_path, "", "hook", type="hook")
    found = registry(hook, powerdns=MemoryProvider(), knot=MemoryProvider())
    for name, words in {"powerdn": "did you mean 'powerdns'?", "hook": "there are: knot, powerdns"}.items():
        with pytest.raises(InvalidRequest) as caught:
            found.provider(name, {}, LOOKUP)
        assert words in str(caught.value)
        assert caught.value.where == "dns_challenge"


async def test_plugins_come_and_go_with_the_configuration(tmp_path: Path) -> None:
    mine = plugin(tmp_path, "", "mine")
    before, after = config(), config(mine, dns_challenge="mine")
    runner = plugin_runner()
    solvers = DnsSolvers(before.dns, {}, DnsMetrics(CollectorRegistry()), Registry(sources_of(runner)).at(before))
    with pytest.raises(InvalidRequest):
        solvers.provider("mine")
    async with solvers.prepared(before, after) as step:
        step()
    written = solvers.provider("mine")
    assert isinstance(written, PluginProvider)
    assert written.plugin == mine
    with pytest.raises(ConfigInvalid) as caught:
        async with solvers.prepared(after, config(dns_challenge="mine")):
            pytest.fail("it was taken to be ready")
    assert [one.where for one in caught.value.complaints] == ["issuer.le.dns_challenge"]
    assert solvers.provider("mine") == written
