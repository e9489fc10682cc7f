"""The plugins that come with us: where they are, what they get to see, and what they say about themselves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from acme_manager.config.model import DnsConfig
from acme_manager.dns.lookup import Lookup
from acme_manager.dns.plugin import PluginProvider
from acme_manager.dns.shipped import SHIPPED, Shipped, plugin_file, read_variables
from acme_manager.errors import ConfigInvalid
from tests.integration.dns.shipped import shipped_source

PDNS = {"PDNS_API_URL": "http://127.0.0.1:8081", "PDNS_API_KEY": "the key"}
BY_NAME = {one.name: one for one in SHIPPED}
SHARED = ("# --- The same in every", "# --- From here on")


@pytest.mark.parametrize("shipped", SHIPPED, ids=lambda one: one.name)
def test_a_plugin_says_of_itself_what_we_know_of_it(shipped: Shipped) -> None:
    command = [sys.executable, "-I", str(plugin_file(shipped.name)), "describe"]
    described = json.loads(subprocess.run(command, env={}, capture_output=True, check=True).stdout)
    assert (described["version"], described["name"], described["summary"]) == (1, shipped.name, shipped.summary)
    assert described["required"] == list(shipped.required)
    assert sorted(described["required"] + described["optional"]) == sorted(shipped.variables)
    assert described["timing"] == {"timeout": shipped.patience, "interval": 2}
    assert set(shipped.one_of) <= set(shipped.optional)


def test_what_plugins_share_is_the_same_in_all_of_them() -> None:
    parts = set()
    for name in ("acmedns", "cloudflare", "httpreq", "pdns"):
        text = plugin_file(name).read_text()
        parts.add(text[text.index(SHARED[0]) : text.index(SHARED[1])])
    assert len(parts) == 1


def test_a_plugin_gets_its_own_variables_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("the key\n")
    mine = {"PDNS_API_URL": "http://127.0.0.1:8081", "PDNS_API_KEY_FILE": str(tmp_path / "key"), "PDNS_TTL": "60"}
    others = {"HOME": "/root", "VAULT_TOKEN": "secret", "CLOUDFLARE_API_KEY": "secret", "PDNS_SERVER_NAME": ""}
    env, timing = read_variables(BY_NAME["pdns"], {**mine, **others, "https_proxy": "http://proxy:3128"})
    assert env == {**mine, "https_proxy": "http://proxy:3128"}
    assert (timing.timeout, timing.interval) == (120, 2)


def test_the_waits_of_the_server_are_those_of_legos_variables() -> None:
    _, timing = read_variables(
        BY_NAME["pdns"], {**PDNS, "PDNS_PROPAGATION_TIMEOUT": "300", "PDNS_POLLING_INTERVAL": "5"}
    )
    assert (timing.timeout, timing.interval) == (300, 5)


def test_everything_that_is_wrong_with_the_variables_is_said_at_once() -> None:
    environ = {"PDNS_API_KEY_FILE": "/nowhere", "PDNS_SERVER": "x", "PDNS_POLLING_INTERVAL": "often"}
    with pytest.raises(ConfigInvalid) as caught:
        read_variables(BY_NAME["pdns"], environ)
    assert [one.where for one in caught.value.complaints] == [
        "PDNS_API_URL",
        "PDNS_API_KEY_FILE",
        "PDNS_SERVER",
        "PDNS_POLLING_INTERVAL",
    ]


def test_a_variable_without_effect_is_let_pass() -> None:
    read_variables(BY_NAME["exec"], {"EXEC_PATH": "/bin/true", "EXEC_SEQUENCE_INTERVAL": "60"})


def test_cloudflare_wants_a_token_or_a_key() -> None:
    with pytest.raises(
        ConfigInvalid, match=r"CLOUDFLARE_DNS_API_TOKEN: is not set; .* Others do as well: .*CF_API_KEY"
    ):
        read_variables(BY_NAME["cloudflare"], {"CLOUDFLARE_EMAIL": "ops@example.org"})
    for name in BY_NAME["cloudflare"].one_of:
        read_variables(BY_NAME["cloudflare"], {name: "x"})


def test_a_provider_is_set_up_with_the_checksum_of_the_file_as_it_was_at_the_start() -> None:
    source, lookup = shipped_source(), Lookup(DnsConfig())
    assert source.provider("no-such-provider", PDNS, lookup) is None
    provider = source.provider("pdns", {**PDNS, "OTHER": "x"}, lookup)
    assert isinstance(provider, PluginProvider)
    assert provider.plugin.env == PDNS
    assert len(provider.plugin.checksum) == 64
    assert provider.interpreter == (sys.executable, "-I")


def test_both_of_legos_names_for_acme_dns_are_known() -> None:
    assert {one.name for one in shipped_source().providers()} == {*BY_NAME, "acme-dns"}


def test_a_plugin_that_an_installation_lacks_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"lacks the plugin .*_plugins/none; install it again"):
        plugin_file("none")
