"""Which URLs, roots and proxies are used."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import trustme
from prometheus_client import CollectorRegistry

from acme_manager.config.model import Common, IssuerConfig
from acme_manager.connections import proxy_for
from acme_manager.errors import ConfigInvalid, IssuanceFailed
from acme_manager.issuance.issuer import open_issuer
from acme_manager.issuance.trust import check_url, tls_context
from acme_manager.storage.memory import MemoryStorage
from tests.unit.issuance.bench import FixedClock


@pytest.mark.parametrize(
    "url", ["https://ca.example/dir", "http://127.0.0.1:4000/d", "http://[::1]/d", "http://localhost:8200/v1/pki"]
)
def test_tls_or_this_very_machine_is_what_a_directory_needs(url: str) -> None:
    assert str(check_url("ca", url)) == url


@pytest.mark.parametrize(
    "url",
    ["http://ca.example/dir", "http://10.0.0.1/", "ftp://ca.example/", "ca.example", "", "http://localhost.evil/x"],
)
def test_any_other_directory_is_refused(url: str) -> None:
    with pytest.raises(IssuanceFailed, match="https://"):
        check_url("ca", url)


def test_a_password_in_a_url_is_not_repeated() -> None:
    with pytest.raises(IssuanceFailed) as caught:
        check_url("ca", "https://me:hush@ca.example/dir")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1/x", "http://ca.example/x", "//ca.example/x", "file:///etc/passwd"])
def test_a_ca_under_tls_can_not_send_us_elsewhere(url: str) -> None:
    with pytest.raises(IssuanceFailed, match="a URL from the CA"):
        check_url("ca", url, httpx.URL("https://ca.example/dir"))


def test_bundles_add_to_the_systems_roots_and_legos_variable_replaces_them(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.pem", tmp_path / "theirs.pem"
    ours.write_bytes(trustme.CA(organization_name="ours").cert_pem.bytes())
    theirs.write_bytes(trustme.CA(organization_name="theirs").cert_pem.bytes())
    config = IssuerConfig(name="ca", ca_dir_url="https://ca.example", ca_bundle=ours)
    system = len(tls_context(IssuerConfig(name="ca", ca_dir_url="https://ca.example"), {}).get_ca_certs())
    lego = {"LEGO_CA_CERTIFICATES": f"{theirs}"}
    assert len(tls_context(config, {}).get_ca_certs()) == system + 1
    assert len(tls_context(config, lego).get_ca_certs()) == 2
    assert len(tls_context(config, lego | {"LEGO_CA_SYSTEM_CERT_POOL": "true"}).get_ca_certs()) == system + 2


@pytest.mark.parametrize(
    ("settings", "environ", "message"),
    [
        ({"ca_bundle": Path("/nowhere.pem")}, {}, r"ca_bundle /nowhere\.pem"),
        ({}, {"LEGO_CA_CERTIFICATES": "/nowhere.pem"}, r"LEGO_CA_CERTIFICATES /nowhere\.pem"),
        ({"ca_dir_url": "http://ca.example"}, {}, r"issuer\.ca\.ca_dir_url"),
    ],
)
async def test_settings_that_can_not_work_are_told_when_the_issuer_is_opened(
    settings: dict[str, object], environ: dict[str, str], message: str
) -> None:
    config = IssuerConfig(**({"name": "ca", "ca_dir_url": "https://ca.example"} | settings))  # type: ignore[arg-type]
    with pytest.raises(ConfigInvalid, match=message):
        async with open_issuer(
            config, Common(), environ, CollectorRegistry(), FixedClock(), MemoryStorage(FixedClock()), "accounts/ca"
        ):
            pass


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        ("https://ca.example/d", {}, None),
        ("https://ca.example/d", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("https://ca.example/d", {"https_proxy": "p:1"}, "http://p:1"),
        ("https://ca.example/d", {"HTTP_PROXY": "http://p:1"}, None),
        ("https://ca.example/d", {"ALL_PROXY": "http://p:1"}, "http://p:1"),
        ("https://ca.example/d", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "ca.example"}, None),
        ("https://ca.example/d", {"HTTPS_PROXY": "http://p:1", "no_proxy": ".example"}, None),
        ("https://ca.example/d", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, None),
        ("https://127.0.0.1/d", {"HTTPS_PROXY": "http://p:1"}, None),
        ("http://localhost/d", {"HTTP_PROXY": "http://p:1"}, None),
    ],
)
def test_proxies_are_those_of_the_environment_but_never_for_this_machine(
    url: str, environ: dict[str, str], proxy: str | None
) -> None:
    assert proxy_for(httpx.URL(url), environ) == proxy
