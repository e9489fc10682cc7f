"""`client-config.yml`: files of the Go original as they are, and every mistake with its place and remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from acme_manager.client.config import load_client
from acme_manager.client.model import ClientConfig, Common, Format, KeyRenewal
from acme_manager.errors import ConfigInvalid

GOS = """
common:
  cert_days: 90
  cert_days_renewal: "20-30"
  certificate_backup: true
  certificate_deploy: true
  certificate_dir: "/etc/ssl/certificates/"
  certificate_dir_perm: 0700
  certificate_file_perm: 0640
  certificate_keyfile_perm: 0600
  certificate_file_ext: ".pem"
  certificate_keyfile_ext: ".key"
  certificate_ca_file_ext: ".ca.pem"
  certificate_timeout: 270
  cmd_enabled: true
  pre_cmd_run: "/usr/bin/systemctl is-active nginx"
  pre_cmd_timeout: 30
  post_cmd_run: "/usr/bin/systemctl reload nginx"
  post_cmd_timeout: 0
  revoke_on_update: false
  revoke_on_delete: true
  delay_before_delete: 1w
  http_client_retry_max: 3
  http_client_retry_wait_min: 1
  http_client_retry_wait_max: 10
  http_client_retry_status_code: [429, 500, 502, 503, 504]
certificate:
  - domain: testfgx01.example.com
    issuer: letsencrypt
    bundle: false
    san: www.example.com,api.example.com
    days: 30
    renewal_days: "10-20"
    dns_challenge: ns1
    labels: environment=production,team=web
    key_type: RSA2048
    profile: shortlived
  - domain: "*.example.com"
    issuer: letsencrypt
  - domain: testfgx01.example.com
    issuer: letsencrypt
    name: second
    http_challenge: kvring
storage:
  vault:
    role_id: a-role
    secret_id: a-secret
    url: http://localhost:8200
    secret_engine: secret
    certificate_prefix: client
    mount_path: approle
    retry_max: 3
    retry_wait_min: 1
    retry_wait_max: 10
"""


def read(tmp_path: Path, text: str | dict[str, Any]) -> ClientConfig:
    path = tmp_path / "client-config.yml"
    path.write_text(text if isinstance(text, str) else yaml.safe_dump(text))
    return load_client(path, {}).config


def complaints(tmp_path: Path, content: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(ConfigInvalid) as caught:
        read(tmp_path, content)
    return {one.where: one.message for one in caught.value.complaints}


def test_a_file_of_the_go_original_means_what_it_meant(tmp_path: Path) -> None:
    config = read(tmp_path, GOS)
    common = config.common
    assert (common.certificate_dir, common.certificate_file_perm) == (Path("/etc/ssl/certificates"), 0o640)
    assert (common.delay_before_delete, common.post_cmd_timeout) == (7 * 86400.0, 60.0)
    assert list(config.wanted) == ["letsencrypt/testfgx01.example.com", "letsencrypt/*.example.com", "second"]
    assert config.certificates[0].key_type == "RSA2048"
    assert config.vault is not None


def test_an_empty_file_has_the_defaults(tmp_path: Path) -> None:
    assert read(tmp_path, "") == ClientConfig(common=Common())


def test_further_keys_of_ours(tmp_path: Path) -> None:
    (wanted,) = read(
        tmp_path,
        {
            "certificate": [
                {"domain": "EXAMPLE.com", "issuer": "ca", "formats": ["jks", "der"], "key_renewal": "renew"},
            ]
        },
    ).certificates
    assert (wanted.domain, wanted.formats, wanted.key_renewal) == (
        "example.com",
        (Format.JKS, Format.DER),
        KeyRenewal.RENEW,
    )


def test_an_unknown_key_is_a_warning_with_a_guess(tmp_path: Path) -> None:
    path = tmp_path / "client-config.yml"
    path.write_text(
        "common:\n  certificate_dirr: /x\ncertificate:\n- {domain: a.example, issuer: ca, sann: b}\nmore: 1\n"
    )
    warnings = {one.where: one.message for one in load_client(path, {}).warnings}
    assert set(warnings) == {"common.certificate_dirr", "certificate[0].sann", "more"}
    assert "did you mean 'certificate_dir'? (line 2)" in warnings["common.certificate_dirr"]


def test_every_mistake_is_found_at_once(tmp_path: Path) -> None:
    found = complaints(
        tmp_path,
        {
            "common": {
                "certificate_deploy": True,
                "certificate_backup": True,
                "certificate_dir_perm": "9",
                "cmd_enabled": "yes",
                "delay_before_delete": "soon",
                "http_client_retry_status_code": [200],
            },
            "certificate": [
                {"domain": "a b", "issuer": "ca/x", "name": "../x", "key_type": "dsa", "labels": "__a=b"},
                {"issuer": "ca", "formats": ["zip"], "key_renewal": "often", "check": "nowhere", "days": -1},
            ],
        },
    )
    assert set(found) == {
        "common.certificate_dir_perm",
        "common.cmd_enabled",
        "common.delay_before_delete",
        "common.http_client_retry_status_code",
        *(f"certificate[0].{key}" for key in ("domain", "issuer", "name", "key_type", "labels")),
        *(f"certificate[1].{key}" for key in ("domain", "formats", "key_renewal", "check", "days")),
    }


@pytest.mark.parametrize(
    ("common", "certificates", "where"),
    [
        ({"certificate_deploy": True}, [], "common.certificate_dir"),
        ({"certificate_backup": True}, [], "storage.vault"),
        ({"certificate_keyfile_ext": ".crt"}, [], "common.certificate_file_ext"),
        ({"http_client_retry_wait_min": 40}, [], "common.http_client_retry_wait_min"),
        ({"post_cmd_run": "echo 'x"}, [], "common.post_cmd_run"),
        ({}, [{"name": "a"}, {"name": "a", "domain": "b.example"}], "certificate[1]"),
        ({}, [{}, {"domain": "A.example"}], "certificate[1]"),
        ({}, [{"dns_challenge": "x", "http_challenge": "y"}], "certificate[0]"),
        ({"cert_days": 30}, [{"renewal_days": "20-30"}], "certificate[0].renewal_days"),
        ({}, [{"post_cmd_run": "'"}], "certificate[0].post_cmd_run"),
    ],
)
def test_values_that_do_not_go_together(
    tmp_path: Path, common: dict[str, Any], certificates: list[dict[str, Any]], where: str
) -> None:
    listed = [{"domain": "a.example", "issuer": "ca", **one} for one in certificates]
    assert set(complaints(tmp_path, {"common": common, "certificate": listed})) == {where}


def test_the_folder_of_certificates_is_not_that_of_the_configuration(tmp_path: Path) -> None:
    assert set(complaints(tmp_path, {"common": {"certificate_dir": f"{tmp_path}/"}})) == {"common.certificate_dir"}
