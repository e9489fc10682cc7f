from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from acme_manager.config.changes import RESTART, changes
from acme_manager.config.model import Common, Config, IssuerConfig, Plugin, VaultConfig

CA = IssuerConfig(name="le", ca_dir_url="https://ca.example/dir", eab=True, kid="k", hmac="first secret")
VAULT = VaultConfig(url="https://vault", role_id="r", secret_id="s", secret_engine="kv", certificate_prefix="c")
CONFIG = Config(common=Common(), issuers={"le": CA}, vault=VAULT, environ={"PROXY": "p", "GONE": "g"})


def told(**sections: Any) -> list[str]:
    return [str(change) for change in changes(CONFIG, attrs.evolve(CONFIG, **sections))]


def test_nothing_is_told_of_what_is_equal() -> None:
    assert told(common=Common(), issuers={"le": attrs.evolve(CA)}) == []


def test_values_that_are_no_secrets_are_told() -> None:
    common = Common(
        cert_timeout=300,
        rootpath_account=Path("/var/lib/am"),
        http_client_debug=True,
        http_client_retry_status_code=(418, 425),
        cert_days_renewal="30",
    )
    assert told(common=common) == [
        "common.cert_days_renewal: 20-30 -> 30",
        "common.cert_timeout: 240 -> 300",
        "common.http_client_debug: false -> true",
        "common.http_client_retry_status_code: none -> 418, 425",
        "common.rootpath_account: none -> /var/lib/am",
    ]


def test_secrets_are_named_and_not_told() -> None:
    found = told(
        common=Common(api_key_hash="hash", ring_keys=("key",)),
        issuers={"le": attrs.evolve(CA, hmac="second secret", kid="l")},
        vault=attrs.evolve(VAULT, role_id="other", secret_id="new"),
        environ={"PROXY": "other", "NEW": "n"},
    )
    assert found == [
        "GONE: removed",
        "NEW: added",
        "PROXY: changed",
        "common.api_key_hash: changed",
        "common.ring_keys: changed",
        "issuer.le.hmac: changed",
        "issuer.le.kid: k -> l",
        "storage.vault.role_id: changed",
        "storage.vault.secret_id: changed",
    ]


def test_whole_sections_come_and_go_by_their_names() -> None:
    plugin = Plugin(name="dns", path=Path("/bin/dns"), env={"TOKEN": "secret"})
    assert told(issuers={"other": CA}, common=Common(plugins=(plugin,))) == [
        "common.plugins.dns: added",
        "issuer.le: removed",
        "issuer.other: added",
    ]
    before = attrs.evolve(CONFIG, common=Common(plugins=(plugin,)))
    changed = attrs.evolve(plugin, timeout=60.0, env={"TOKEN": "other"})
    after = attrs.evolve(CONFIG, common=Common(plugins=(changed,)))
    assert [str(one) for one in changes(before, after)] == [
        "common.plugins.dns.env: changed",
        "common.plugins.dns.timeout: 30 -> 60",
    ]


@pytest.mark.parametrize("path", sorted(RESTART))
def test_every_key_that_needs_a_restart_exists(path: str) -> None:
    section, _, key = path.rpartition(".")
    assert key in attrs.fields_dict({"common": Common, "storage.vault": VaultConfig}[section])
