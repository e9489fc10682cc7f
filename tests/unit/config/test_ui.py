from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from acme_manager.config.changes import changes
from acme_manager.config.load import load
from acme_manager.config.model import Config
from acme_manager.config.ui import OidcConfig, UiConfig
from acme_manager.domain.oidc import OidcOwner
from acme_manager.domain.token import Scope
from acme_manager.errors import ConfigInvalid

OIDC = {"issuer_url": "https://login.example/realm", "client_id": "acme", "admin_groups": ["admins"]}
UI: dict[str, Any] = {"external_url": "https://acme.example", "oidc": OIDC}


def read(folder: Path, ui: Any) -> Config:
    path = folder / "config.yml"
    vault = {"role_id": "r", "secret_id": "s", "secret_engine": "kv", "certificate_prefix": "c"}
    content = {
        "issuer": {"le": {"ca_dir_url": "https://ca.example/dir"}},
        "storage": {"vault": {"url": "https://vault.example", **vault}},
        "ui": ui,
    }
    path.write_text(yaml.safe_dump(content))
    return load(path, {})


def complaints(folder: Path, ui: Any) -> dict[str, str]:
    with pytest.raises(ConfigInvalid) as caught:
        read(folder, ui)
    return {complaint.where: complaint.message for complaint in caught.value.complaints}


def test_without_the_section_nothing_is_public_and_nobody_logs_in_elsewhere(tmp_path: Path) -> None:
    assert read(tmp_path, None).ui == UiConfig(public_read=False, session_duration=43200.0, external_url="", oidc=None)


def test_everything_of_the_section_is_read(tmp_path: Path) -> None:
    oidc = {
        **OIDC,
        "client_secret": "planted",
        "scopes": ["openid", "roles"],
        "username_claim": "upn",
        "groups_claim": "roles",
        "owners": [{"group": "web-team", "owner": "web", "scope": ["read", "create"]}],
        "own_username_scope": ["read"],
        "label": "Example SSO",
    }
    ui = {"public_read": True, "session_duration": "30m", "external_url": "https://example.com/acme/", "oidc": oidc}
    config = read(tmp_path, ui).ui
    assert config == UiConfig(
        public_read=True,
        session_duration=1800.0,
        external_url="https://example.com/acme",
        oidc=OidcConfig(
            issuer_url="https://login.example/realm",
            client_id="acme",
            client_secret="planted",
            scopes=("openid", "roles"),
            username_claim="upn",
            groups_claim="roles",
            admin_groups=("admins",),
            owners=(OidcOwner("web-team", "web", (Scope.READ, Scope.CREATE)),),
            own_username_scope=(Scope.READ,),
            label="Example SSO",
        ),
    )
    assert "planted" not in repr(config)


def test_the_slash_at_the_end_of_an_issuer_is_part_of_its_name(tmp_path: Path) -> None:
    config = read(tmp_path, {**UI, "oidc": {**OIDC, "issuer_url": "https://login.example/"}})
    assert config.ui.oidc is not None
    assert config.ui.oidc.issuer_url == "https://login.example/"


@pytest.mark.parametrize(
    ("key", "value", "remedy"),
    [
        ("public_raed", True, "did you mean 'public_read'?"),
        ("public_read", "true", "true or false, not text"),
        ("session_duration", 43200, "with a unit, like 1h"),
        ("session_duration", "1d", "1d is 24h"),
        ("session_duration", "1s", "between 1m and 720h"),
        ("session_duration", "1000h", "between 1m and 720h"),
        ("external_url", None, "is missing: the URL of this server in browsers"),
        ("external_url", "http://acme.example", "must be an https URL; plain http is allowed to loopback only"),
        ("external_url", "https://acme.example?x", "without '?' and '#'"),
        ("oidc", "https://login.example", "must be a mapping"),
        ("oidc", {"issuer_url": "https://login.example", "client_id": "acme"}, "lets nobody in: set 'admin_groups', "),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_right(tmp_path: Path, key: str, value: object, remedy: str) -> None:
    said = complaints(tmp_path, {**UI, key: value})
    assert remedy in said[f"ui.{key}"]
    assert len(said) == 1


@pytest.mark.parametrize(
    ("key", "value", "remedy"),
    [
        ("issuer_url", None, "is missing: the provider's issuer URL"),
        ("issuer_url", "http://login.example", "must be an https URL"),
        ("issuer_url", "https://login.example?tenant=1", "neither '?' nor '#'"),
        ("client_id", None, "is missing: the id under which this server is registered"),
        ("client_secret", 12345, "put it in quotes"),
        ("scopes", [], "must have 'openid' among them"),
        ("scopes", "openid", "must be a list, not text"),
        ("admin_groups", "admins", "must be a list, not text"),
        ("own_username_scope", ["write"], "some of create, read, update, delete"),
        ("ca_file", "/nonexistent", "can't be read: No such file"),
        ("owners[0].group", None, "is missing: a group, as the provider names it"),
        ("owners[0].owner", "a/b", "without slashes"),
        ("owners[0].owner", ".acme-manager", "without a dot at its start"),
        ("owners[0].scope", [], "must have at least one of create, read, update, delete"),
        ("owners[0].scope", ["raed"], "some of create, read, update, delete"),
    ],
)
def test_a_wrong_value_of_the_provider_is_named_with_what_would_be_right(
    tmp_path: Path, key: str, value: object, remedy: str
) -> None:
    owner: dict[str, object] = {"group": "web-team", "owner": "web", "scope": ["read"]}
    oidc: dict[str, object] = {**OIDC, "owners": [owner]}
    (owner if "." in key else oidc)[key.rpartition(".")[2]] = value
    said = complaints(tmp_path, {**UI, "oidc": oidc})
    assert remedy in said[f"ui.oidc.{key}"]
    assert len(said) == 1


def test_changes_are_told_without_the_secret(tmp_path: Path) -> None:
    without, first = read(tmp_path, None), read(tmp_path, {**UI, "oidc": {**OIDC, "client_secret": "planted-1"}})
    owners = [{"group": "web-team", "owner": "web", "scope": ["read"]}]
    second = read(tmp_path, {**UI, "oidc": {**OIDC, "client_secret": "planted-2", "owners": owners}})
    assert [str(change) for change in changes(without, first)] == [
        "ui.external_url: none -> https://acme.example",
        "ui.oidc: added",
    ]
    assert [str(change) for change in changes(first, second)] == [
        "ui.oidc.client_secret: changed",
        "ui.oidc.owners: none -> web-team is web (read)",
    ]
    assert [str(change) for change in changes(second, without)] == [
        "ui.external_url: https://acme.example -> none",
        "ui.oidc: removed",
    ]
