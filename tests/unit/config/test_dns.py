"""`dns_credentials` and `dns_zones` in the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml

from acme_manager.config.changes import changes
from acme_manager.config.dns import DnsCredentials, DnsZone, SecretSource
from acme_manager.config.load import load
from acme_manager.config.model import Config
from acme_manager.errors import ConfigInvalid

REST = {
    "issuer": {"ca": {"ca_dir_url": "https://ca.example/dir"}},
    "storage": {
        "vault": {
            "url": "https://vault.example",
            "role_id": "r",
            "secret_id": "s",
            "secret_engine": "secret",
            "certificate_prefix": "certificates",
        }
    },
}


def read(folder: Path, **sections: Any) -> Config:
    path = folder / "config.yml"
    path.write_text(yaml.safe_dump({**REST, **sections}))
    return load(path, {})


def test_a_set_is_read_with_its_sources_and_zones_in_our_spelling(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        dns_credentials={
            "corp": {
                "provider": "cloudflare",
                "env": {"A": "1"},
                "env_from": {"B": "file:/run/secrets/b", "C": "vault:/dns/corp#token"},
                "vault": "dns/whole/",
                "zones": ["Example.COM.", "bücher.example"],
                "owners": ["alice", "team-*"],
            }
        },
    )
    assert config.dns_credentials == {
        "corp": DnsCredentials(
            name="corp",
            provider="cloudflare",
            env={"A": "1"},
            env_from={"B": SecretSource("/run/secrets/b"), "C": SecretSource("dns/corp", "token")},
            vault="dns/whole",
            zones=("example.com", "xn--bcher-kva.example"),
            owners=("alice", "team-*"),
        )
    }


def test_a_zone_is_read(tmp_path: Path) -> None:
    zone = {"check": "resolvers", "resolvers": ["192.0.2.1", "[2001:db8::1]:5353"], "timeout": 90, "interval": 0.5}
    config = read(tmp_path, dns_zones={"Corp.Example.": zone, "none.example": {"wait": 5}})
    assert config.dns.zones["corp.example"] == DnsZone(
        name="Corp.Example.",
        check="resolvers",
        resolvers=(("192.0.2.1", 53), ("2001:db8::1", 5353)),
        timeout=90.0,
        interval=0.5,
    )
    assert config.dns.zones["none.example"].wait == 5.0


@pytest.mark.parametrize(
    ("sections", "where", "what"),
    [
        ({"dns_credentials": {"x": {"env": {"A": "1"}}}}, "dns_credentials.x.provider", "is missing"),
        ({"dns_credentials": {"x": {"provider": "p"}}}, "dns_credentials.x", "has no variables"),
        ({"dns_credentials": {"auto": {"provider": "p", "vault": "v"}}}, "dns_credentials.auto", "and not 'auto'"),
        (
            {"dns_credentials": {"x": {"provider": "p", "env": {"A": "1"}, "env_from": {"A": "file:/a"}}}},
            "dns_credentials.x.env_from.A",
            "is in 'env' too",
        ),
        (
            {"dns_credentials": {"x": {"provider": "p", "env_from": {"A": "s3cret"}}}},
            "dns_credentials.x.env_from",
            "must be file:/PATH, or vault:PATH#FIELD",
        ),
        ({"dns_credentials": {"x": {"provider": "p", "env": {"A": 1}}}}, "dns_credentials.x.env", "put it in quotes"),
        ({"dns_credentials": {"x": {"provider": "p", "env": {"a b": "1"}}}}, "dns_credentials.x.env", "names of"),
        (
            {"dns_credentials": {"x": {"provider": "p", "vault": "v", "zones": ["*.example"]}}},
            "dns_credentials.x.zones",
            "must be the name of a zone",
        ),
        ({"dns_zones": {"192.0.2.1": {}}}, "dns_zones.192.0.2.1", "must be the name of a zone"),
        ({"dns_zones": {"a.example": {"check": "all"}}}, "dns_zones.a.example.check", "authoritative, resolvers, none"),
        ({"dns_zones": {"a.example": {"servers": ["ns1"]}}}, "dns_zones.a.example.servers", "must be an IP address"),
        (
            {"dns_zones": {"a.example": {"wait": 5, "check": "none"}}},
            "dns_zones.a.example.wait",
            "replaces every check",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_without_any_value(
    tmp_path: Path, sections: dict[str, Any], where: str, what: str
) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        read(tmp_path, **sections)
    (complaint,) = caught.value.complaints
    assert complaint.where == where
    assert what in complaint.message
    assert "s3cret" not in str(caught.value)


def test_a_change_of_a_secret_is_named_and_not_shown(tmp_path: Path) -> None:
    entry = {"provider": "p", "env": {"A": "old secret"}}
    old = read(tmp_path, dns_credentials={"x": entry}, dns_zones={"a.example": {"wait": 5}})
    credentials = {"x": attrs.evolve(old.dns_credentials["x"], env={"A": "new secret"})}
    new = attrs.evolve(old, dns_credentials=credentials, dns=attrs.evolve(old.dns, zones={}))
    assert [str(one) for one in changes(old, new)] == ["dns_credentials.x.env: changed", "dns_zones.a.example: removed"]
    assert "secret" not in repr(old.dns_credentials)
