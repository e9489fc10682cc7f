"""From lego's variables to lexicon's options."""

from __future__ import annotations

from base64 import b64encode
from importlib.util import find_spec
from pathlib import Path

import pytest

from acme_manager.dns.lexicon import LexiconProvider, lexicon_providers
from acme_manager.dns.table import lego_providers
from acme_manager.errors import ConfigInvalid

SPEC = find_spec("lexicon")
assert SPEC
PROVIDERS = Path(SPEC.origin or "").parent / "_private" / "providers"
MAIN = [one for name, one in lexicon_providers().items() if name == one.name]


@pytest.mark.parametrize("one", MAIN, ids=lambda one: one.name)
def test_lexicon_has_the_provider_and_all_of_its_options_and_lego_the_variables(one: LexiconProvider) -> None:
    text = (PROVIDERS / f"{one.lexicon}.py").read_text()
    wanted = {*(option.name for option in one.options), *(option.more for option in one.options), *one.fixed} - {""}
    assert {name for name in wanted if f"--{name}" not in text and f"--{name.replace('_', '-')}" not in text} == set()
    lego = lego_providers().get(one.name)
    if lego is None:
        assert one.name == "dnspod" or not one.options
    else:
        assert all(lego.reads(option.variable) for option in one.options)


@pytest.mark.parametrize(
    ("name", "environ", "expected"),
    [
        ("digitalocean", {"DO_AUTH_TOKEN": "t", "DO_TTL": "30"}, {"DIGITALOCEAN_AUTH_TOKEN": "t", "TTL": "30"}),
        ("cloudflare", {"CF_DNS_API_TOKEN": "t"}, {"CLOUDFLARE_AUTH_TOKEN": "t"}),
        (
            "cloudflare",
            {"CLOUDFLARE_EMAIL": "e", "CF_API_KEY": "k"},
            {"CLOUDFLARE_AUTH_USERNAME": "e", "CLOUDFLARE_AUTH_TOKEN": "k"},
        ),
        ("gandiv5", {"GANDIV5_API_KEY": "k"}, {"GANDI_AUTH_TOKEN": "k", "GANDI_API_PROTOCOL": "rest"}),
        ("ns1", {"NS1_API_KEY": "k", "NS1_HTTP_TIMEOUT": "9"}, {"NSONE_AUTH_TOKEN": "k"}),
        ("dnspod", {"DNSPOD_API_KEY": "12, 34"}, {"DNSPOD_AUTH_USERNAME": "12", "DNSPOD_AUTH_TOKEN": "34"}),
        ("hover", {"LEXICON_HOVER_AUTH_USERNAME": "u"}, {"HOVER_AUTH_USERNAME": "u"}),
        ("azure", {"AZURE_CLIENT_ID": "1", "AZURE_CLIENT_SECRET": "2", "AZURE_TENANT_ID": "3",
                   "AZURE_SUBSCRIPTION_ID": "4", "AZURE_RESOURCE_GROUP": "5"},
         {"AZURE_AUTH_CLIENT_ID": "1", "AZURE_AUTH_CLIENT_SECRET": "2", "AZURE_AUTH_TENANT_ID": "3",
          "AZURE_AUTH_SUBSCRIPTION_ID": "4", "AZURE_RESOURCE_GROUP": "5"}),
    ],
)  # fmt: skip
def test_variables_become_options(name: str, environ: dict[str, str], expected: dict[str, str]) -> None:
    one = lexicon_providers()[name]
    found = one.environment({**environ, "HOME": "/root", "VAULT_TOKEN": "secret"})
    assert found == {"LEXICON_PROVIDER": one.lexicon, **{f"LEXICON_{key}": value for key, value in expected.items()}}


def test_the_content_of_a_file_is_handed_over_where_lexicon_wants_content(tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text('{"type": "service_account"}')
    found = lexicon_providers()["gcloud"].environment({"GCE_SERVICE_ACCOUNT_FILE": str(tmp_path / "key.json")})
    content = b64encode(b'{"type": "service_account"}').decode()
    assert found["LEXICON_GOOGLECLOUDDNS_AUTH_SERVICE_ACCOUNT_INFO"] == f"base64::{content}"


def test_what_is_missing_and_what_lexicon_can_not_use_are_named() -> None:
    ovh = {"OVH_ENDPOINT": "ovh-eu", "OVH_APPLICATION_KEY": "a", "OVH_APPLICATION_SECRET": "b"}
    with pytest.raises(ConfigInvalid, match="OVH_CONSUMER_KEY: is not set"):
        lexicon_providers()["ovh"].environment(ovh)
    with pytest.raises(ConfigInvalid, match=r"OVH_CLIENT_ID: can't be used with lexicon; install lego"):
        lexicon_providers()["ovh"].environment({**ovh, "OVH_CONSUMER_KEY": "c", "OVH_CLIENT_ID": "d"})
    with pytest.raises(ConfigInvalid, match="LEXICON_HOVER_"):
        lexicon_providers()["hover"].environment({})
