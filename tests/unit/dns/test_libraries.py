"""Which source a name leads to, with and without the extras; and the lists that people see."""

from __future__ import annotations

from pathlib import Path

import pytest

from acme_manager.config.model import DnsConfig
from acme_manager.dns import catalogue
from acme_manager.dns.lexicon import lexicon_providers
from acme_manager.dns.libraries import LegoSource, LexiconSource
from acme_manager.dns.lookup import Lookup
from acme_manager.dns.plugin import PluginProvider
from acme_manager.dns.providers import BuiltIn, Tier
from acme_manager.dns.registry import Registry
from acme_manager.dns.shipped import ShippedSource
from acme_manager.dns.table import lego_providers
from acme_manager.errors import InvalidRequest
from tests.integration.dns.shipped import runner
from tests.unit.dns.pages import dns_providers

DOCS = Path(__file__).parents[3] / "docs"
LOOKUP = Lookup(DnsConfig(resolvers=(("127.0.0.1", 9),)))
DO = {"DO_AUTH_TOKEN": "t", "VAULT_TOKEN": "secret", "https_proxy": "http://proxy:3128"}


def registry(*, lego: bool, lexicon: bool) -> Registry:
    shared = runner()
    libraries = (LegoSource(shared, installed=lego), LexiconSource(shared, installed=lexicon))
    return Registry((BuiltIn(), ShippedSource(shared), *libraries))


def env_of(sources: Registry, name: str, environ: dict[str, str]) -> dict[str, str]:
    provider = sources.provider(name, environ, LOOKUP)
    assert isinstance(provider, PluginProvider)
    return dict(provider.plugin.env)


def test_lego_is_asked_first_and_lexicon_where_lego_is_not_installed() -> None:
    shared = {"https_proxy": "http://proxy:3128"}
    with_lego = env_of(registry(lego=True, lexicon=True), "digitalocean", DO)
    assert with_lego == {
        "DO_AUTH_TOKEN": "t",
        "LEGO_PROVIDER": "digitalocean",
        "ACME_MANAGER_DNS_RESOLVERS": "127.0.0.1:9",
        **shared,
    }
    without = env_of(registry(lego=False, lexicon=True), "digitalocean", DO)
    assert without == {
        "LEXICON_PROVIDER": "digitalocean",
        "LEXICON_DIGITALOCEAN_AUTH_TOKEN": "t",
        **shared,
    }


def test_what_comes_with_us_is_preferred_to_the_libraries() -> None:
    provider = registry(lego=True, lexicon=True).provider(
        "pdns", {"PDNS_API_URL": "http://127.0.0.1", "PDNS_API_KEY": "k"}, LOOKUP
    )
    assert isinstance(provider, PluginProvider)
    assert provider.plugin.name == "pdns"


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("ovh", r"lego has it: pip install 'acme-manager\[lego\]'; or lexicon has it: .*\[lexicon\]"),
        ("hover", r"does not exist; lexicon has it"),
        ("digitalocaen", "did you mean 'digitalocean'"),
    ],
)
def test_an_unknown_name_is_answered_with_the_extra_that_has_it_or_the_nearest(name: str, error: str) -> None:
    with pytest.raises(InvalidRequest, match=error):
        registry(lego=False, lexicon=False).provider(name, {}, LOOKUP)


def test_a_provider_whose_records_go_with_their_process_is_held() -> None:
    sources = registry(lego=True, lexicon=False)
    held = sources.provider("digitalocean", DO, LOOKUP)
    plain = sources.provider("netcup", {}, LOOKUP)
    assert isinstance(held, PluginProvider)
    assert isinstance(plain, PluginProvider)
    assert held.holder is not None
    assert plain.holder is None


def test_the_page_of_providers_is_made_from_the_tables() -> None:
    assert (DOCS / "dns-providers.md").read_text() == dns_providers(), "run scripts/dns-providers"


def test_the_numbers_in_the_documentation_are_those_of_the_tables() -> None:
    lego = set(lego_providers().values())
    lexicon = {one.name for one in lexicon_providers().values()}
    shared = lexicon & {one.name for one in lego}
    text = (DOCS / "dns.md").read_text()
    assert f"{len(lego)} providers" in text
    assert (
        f"{len(shared)} of lego's names, and {sum(not one.options for one in lexicon_providers().values())} more"
        in text
    )
    assert f"- {sum(one.in_memory for one in lego)} of lego's providers can remove" in text


def test_a_provider_that_needs_an_extra_says_so_and_counts_once() -> None:
    listed = list(registry(lego=False, lexicon=True).providers())
    by_name = {one.name: one for one in listed}
    assert (by_name["digitalocean"].source, by_name["digitalocean"].extra) == ("lexicon", "")
    assert (by_name["abion"].source, by_name["abion"].extra) == ("lego", "lego")
    lines = list(catalogue.lines(listed))
    assert any(line.startswith("abion ") and line.endswith("needs pip install 'acme-manager[lego]'") for line in lines)
    mapped = sum(one.tier is Tier.MAPPED and not one.same_as for one in listed)
    assert any(f"{mapped} mapped" in line for line in lines)
