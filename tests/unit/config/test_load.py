from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml

from acme_manager.config.load import load
from acme_manager.config.model import Common, Config, IssuerConfig, Plugin, VaultConfig
from acme_manager.domain.budget import PRESETS, Exempt, Limit
from acme_manager.errors import ConfigInvalid

MINIMAL: dict[str, Any] = {
    "common": {"rootpath_account": "/accounts"},
    "issuer": {"le": {"ca_dir_url": "https://ca.example/dir"}},
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
# The administrator guide's example, with its plugin at %(path)s.
GUIDE = """
common:
  # API key hash for token management (SHA256 hash)
  api_key_hash: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
  rootpath_account: /var/lib/acme-manager/accounts
  rootpath_certificate: /var/lib/acme-manager/certificates
  http_client_retry_max: 3
  http_client_retry_wait_min: 1
  http_client_retry_wait_max: 10
  http_client_retry_status_code: [429, 500, 502, 503, 504]
  plugins:
    - name: acme-manager-custom-plugin
      path: %(path)s
      checksum: "%(checksum)s"
      timeout: 30
      env:
        MY_VAR_KEY: "your-var-key"
issuer:
  letsencrypt:
    ca_dir_url: https://acme-v02.api.letsencrypt.org/directory
    eab: false
    certificate_timeout: 300
    overall_request_limit: 20
  letsencrypt-staging:
    ca_dir_url: https://acme-staging-v02.api.letsencrypt.org/directory
    eab: false
    certificate_timeout: 300
  sectigo:
    ca_dir_url: https://acme.sectigo.com/v2/OV
    eab: true
    kid: "your-kid-value"
    hmac: "your-hmac-value"
    certificate_timeout: 600
    overall_request_limit: 10
storage:
  vault:
    role_id: "your-vault-role-id"
    secret_id: "your-vault-secret-id"
    url: "https://vault.example.com"
    secret_engine: "secret"
    certificate_prefix: "certificates"
    token_prefix: "tokens"
    mount_path: "approle"
    retry_max: 3
    retry_wait_min: 1
    retry_wait_max: 10
"""


class File:
    """A configuration file that a test changes before it is read."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "config.yml"
        self.content = copy.deepcopy(MINIMAL)

    @property
    def common(self) -> Any:
        return self.content["common"]

    @property
    def issuer(self) -> Any:
        return self.content["issuer"]["le"]

    @property
    def vault(self) -> Any:
        return self.content["storage"]["vault"]

    def load(self, text: str | None = None, environ: dict[str, str] | None = None, **how: bool) -> Config:
        self.path.write_text(yaml.safe_dump(self.content, sort_keys=False) if text is None else text)
        return load(self.path, environ or {}, **how)

    def complaints(self, text: str | None = None, environ: dict[str, str] | None = None, **how: bool) -> dict[str, str]:
        with pytest.raises(ConfigInvalid) as caught:
            self.load(text, environ, **how)
        return {complaint.where: complaint.message for complaint in caught.value.complaints}


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path)


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "plugin"
    path.write_bytes(b"#!/bin/sh\n")
    path.chmod(0o755)
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- what is right ----------------------------------------------------------------------------------------------


def test_the_guide_s_example_loads_as_it_stands(file: File, plugin: Path) -> None:
    config = file.load(GUIDE % {"path": plugin, "checksum": sha256(plugin)})
    assert list(config.issuers) == ["letsencrypt", "letsencrypt-staging", "sectigo"]
    assert config.issuers["letsencrypt"].certificate_timeout == 300
    assert config.issuers["letsencrypt"].overall_request_limit == 20
    assert config.issuers["sectigo"].eab
    assert config.common.http_client_retry_status_code == (429, 500, 502, 503, 504)
    assert config.common.plugins == (
        Plugin(
            name="acme-manager-custom-plugin",
            path=plugin,
            checksum=sha256(plugin),
            timeout=30,
            env={"MY_VAR_KEY": "your-var-key"},
        ),
    )
    assert config.vault.token_prefix == "tokens"


def test_what_is_not_said_has_the_model_s_default(file: File) -> None:
    config = file.load()
    assert config.common == Common(rootpath_account=Path("/accounts"))
    assert config.issuers == {"le": IssuerConfig(name="le", ca_dir_url="https://ca.example/dir")}
    assert config.vault == VaultConfig(
        url="https://vault.example",
        role_id="r",
        secret_id="s",
        secret_engine="secret",
        certificate_prefix="certificates",
    )


def test_zero_and_nothing_mean_the_default(file: File) -> None:
    file.common.update(http_client_retry_max=0, cert_timeout=0, cert_days_renewal="", plugins=None, api_key_hash="")
    file.issuer.update(certificate_timeout=0, overall_request_limit=0, kid="", hmac=None)
    file.vault.update(retry_max=0, retry_wait_min=0, token_prefix="", mount_path=None)
    config = file.load()
    assert config.common == Common(rootpath_account=Path("/accounts"))
    assert config.issuers["le"] == IssuerConfig(name="le", ca_dir_url="https://ca.example/dir")
    assert (config.vault.retry_max, config.vault.token_prefix, config.vault.mount_path) == (3, "token", "approle")


def test_false_is_not_the_same_as_nothing(file: File) -> None:
    file.common["server_managed_keys"] = False
    assert file.load().common.server_managed_keys is False


@pytest.mark.parametrize("word", ["yes", "on", "true", "True"])
def test_the_booleans_of_yaml_1_1_are_booleans(file: File, word: str) -> None:
    text = yaml.safe_dump(MINIMAL).replace("ca_dir_url:", f"unregister: {word}\n    ca_dir_url:")
    assert file.load(text).issuers["le"].unregister is True


def test_the_times_of_renewals_are_lists_of_spans_in_a_time_zone(file: File) -> None:
    file.common.update(renewal_windows=["tue 06:00-10:00"], renewal_freezes=["dec"], renewal_timezone="Europe/Berlin")
    common = file.load().common
    assert (common.renewal_windows, common.renewal_freezes) == (("tue 06:00-10:00",), ("dec",))
    assert common.renewal_timezone == "Europe/Berlin"


@pytest.mark.parametrize(("value", "read"), [("20-30", "20-30"), (30, "30"), ("7", "7")])
def test_renewal_days_may_be_a_number(file: File, value: object, read: str) -> None:
    file.common["cert_days_renewal"] = value
    assert file.load().common.cert_days_renewal == read


def test_a_checksum_may_have_a_prefix_and_capitals(file: File, plugin: Path) -> None:
    file.common["plugins"] = [{"name": "p", "path": str(plugin), "checksum": "sha256:" + sha256(plugin).upper()}]
    (read,) = file.load().common.plugins
    assert read.checksum == sha256(plugin)


def test_a_plugin_without_checksum_loads_only_where_that_is_allowed(file: File, plugin: Path) -> None:
    file.common["plugins"] = [{"name": "p", "path": str(plugin)}]
    assert "-allow-unverified-plugins" in file.complaints()["common.plugins[0].checksum"]
    assert file.load(allow_unverified_plugins=True).common.plugins[0].timeout == 30


@pytest.mark.parametrize("url", ["http://127.0.0.1:14000/dir", "http://localhost/dir", "http://[::1]:1/", "https://ca"])
def test_plain_http_is_for_a_ca_on_this_machine(file: File, url: str) -> None:
    file.issuer["ca_dir_url"] = url
    assert file.load().issuers["le"].ca_dir_url == url


def test_external_account_binding_takes_the_ca_s_key_in_either_base64(file: File) -> None:
    file.issuer.update(eab=True, kid="k", hmac="ab+/cd==")
    assert file.load().issuers["le"].hmac == "ab-_cd"


def test_loading_again_knows_nothing_of_the_first_time(file: File) -> None:
    first = file.load()
    file.content["issuer"]["other"] = {"ca_dir_url": "https://other.example"}
    assert set(file.load().issuers) == {"le", "other"}
    assert set(first.issuers) == {"le"}


def test_no_secret_is_in_a_repr(file: File) -> None:
    file.vault.update(role_id="planted-1", secret_id="planted-2")
    file.common["api_key_hash"] = "ab" * 32
    file.issuer.update(eab=True, kid="k", hmac="planted-33")
    shown = repr(file.load(environ={"KEY": "planted-4"}))
    assert "planted" not in shown
    assert "abab" not in shown


# --- what is wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "key", "value", "remedy"),
    [
        ("common", "cert_timout", 3, "did you mean 'cert_timeout'?"),
        ("common", "entirely_else", 3, "there are: api_key_hash, "),
        ("common", "api_key_hash", "abc", "64 hex digits"),
        ("common", "cert_days_renewal", "30-20", "'min-days' could not be higher"),
        ("common", "cert_days_renewal", "a-b", "like '20-30'"),
        ("common", "cert_days_renewal", "1-2-3", "like '20-30'"),
        ("common", "cert_timeout", -1, "between 1 and 86400 seconds"),
        ("common", "cert_timeout", float("nan"), "between 1 and 86400 seconds"),
        ("common", "cert_timeout", "240", "a number of seconds without quotes or unit, not text"),
        ("common", "renewal_windows", "tue", "must be a list, not text"),
        ("common", "renewal_windows", ["mon", "toe 06:00-10:00"], "entry 2 has days that are none: write days, hours"),
        ("common", "renewal_windows", ["mon 10:00-25:00"], "from 00:00 to 24:00"),
        ("common", "renewal_freezes", ["2026-12-20..2026-12-01"], "write the earlier date first"),
        ("common", "renewal_freezes", [12], "put it in quotes"),
        ("common", "renewal_timezone", "Mars/Olympus", "like UTC, Europe/Berlin"),
        ("common", "rootpath_account", 5, "put it in quotes"),
        ("common", "http_client_retry_max", 1.5, "a whole number without quotes"),
        ("common", "http_client_retry_max", True, "a whole number without quotes, not true or false"),
        ("common", "http_client_retry_max", -1, "between 1 and 1000"),
        ("common", "http_client_retry_wait_min", 20, "not be above 'http_client_retry_wait_max', which is 10"),
        ("common", "http_client_retry_status_code", 429, "must be a list, not a number"),
        ("common", "http_client_debug", "no thanks", "true or false, not text"),
        ("common", "rate_limit_window", "1d", "1d is 24h"),
        ("common", "rate_limit_window", 5, "with a unit"),
        ("common", "rate_limit_window", "-1h", "above zero"),
        ("common", "rate_limit_max_requests", -1, "between 1 and"),
        ("common", "plugins", {"name": "p"}, "must be a list, not a mapping"),
        ("issuer.le", "name", "x", "is no key of ours"),
        ("issuer.le", "ca_dir_url", "http://ca.example/dir", "https URL; plain http is allowed to loopback only"),
        ("issuer.le", "ca_dir_url", "https://", "https URL"),
        ("issuer.le", "ca_dir_url", "https://user:hidden@ca", "without blanks, user or password"),
        ("issuer.le", "ca_dir_url", "https://ca:99999/", "must be a URL like"),
        ("issuer.le", "ca_dir_url", "", "is missing: the URL of the CA's ACME directory"),
        ("issuer.le", "eab", "true", "true or false, not text"),
        ("issuer.le", "kid", 12345, "must be text, but YAML reads it as a number: put it in quotes"),
        ("issuer.le", "contact", ["a@b.c"], "must be text, not a list"),
        ("issuer.le", "hmac", "hidden!", "base64url"),
        ("issuer.le", "certificate_timeout", 10**6, "between 1 and 86400 seconds"),
        ("issuer.le", "max_orders", 5000, "between 1 and 1000"),
        ("issuer.le", "ca_bundle", "/nonexistent", "can't be read: No such file or directory"),
        ("issuer.le", "limits", "zerossl", "must be one of letsencrypt, letsencrypt-staging, none"),
        ("issuer.le", "limits", 300, "must be a preset (letsencrypt, letsencrypt-staging, none) or a mapping"),
        ("storage.vault", "url", "vault.example:8200", "begins with https:// or http://"),
        ("storage.vault", "role_id", "", "is missing"),
        ("storage.vault", "secret_id", 12345, "put it in quotes"),
        ("storage.vault", "secret_engine", "/", "a path in the store"),
        ("storage.vault", "certificate_prefix", "a/../b", "a path in the store"),
        ("storage.vault", "namespace", "x", "is no key of ours"),
        ("storage.vault", "retry_wait_max", 0.5, "not be below 'retry_wait_min', which is 1"),
        ("storage.vault", "ca_file", __file__, "that file has none"),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_right(
    file: File, section: str, key: str, value: object, remedy: str
) -> None:
    place = {"common": file.common, "issuer.le": file.issuer, "storage.vault": file.vault}[section]
    place[key] = value
    said = file.complaints()
    assert remedy in said[f"{section}.{key}"]
    assert "hidden" not in str(said)
    assert len(said) == 1


@pytest.mark.parametrize(
    ("key", "value", "remedy"),
    [
        ("preset", None, "is missing: the limits to start from, one of letsencrypt, letsencrypt-staging, none"),
        ("preset", "le", "must be one of letsencrypt"),
        ("new_orders", 300, "must be text"),
        ("new_orders", "300", "how many in which time, like 300/3h or 50/7d, or none"),
        ("new_orders", "0/3h", "how many in which time"),
        ("new_orders", "300/0", "how many in which time"),
        ("new_orders", "300/3 hours", "how many in which time"),
        ("new_order", "300/3h", "did you mean 'new_orders'?"),
        ("renewals_exempt", True, "must be text, but YAML reads it as true or false"),
        ("renewals_exempt", "some", "must be one of none, ari, all"),
    ],
)
def test_a_wrong_limit_is_named_with_what_would_be_right(file: File, key: str, value: object, remedy: str) -> None:
    file.issuer["limits"] = {"preset": "none", key: value}
    said = file.complaints()
    assert remedy in said[f"issuer.le.limits.{key}"]
    assert len(said) == 1


@pytest.mark.parametrize(
    ("url", "preset"),
    [
        ("https://acme-v02.api.letsencrypt.org/directory", "letsencrypt"),
        ("https://ACME-staging-v02.api.letsencrypt.org/directory", "letsencrypt-staging"),
        ("https://letsencrypt.org.example/directory", "none"),
    ],
)
def test_limits_that_are_not_configured_are_those_of_the_ca(file: File, url: str, preset: str) -> None:
    file.issuer["ca_dir_url"] = url
    assert file.load().issuers["le"].limits == PRESETS[preset]


def test_limits_are_a_preset_with_or_without_figures_of_ones_own(file: File) -> None:
    file.issuer["limits"] = "letsencrypt"
    assert file.load().issuers["le"].limits == PRESETS["letsencrypt"]
    own = {"preset": "letsencrypt", "new_orders": "900/1h30m", "certificates_per_set": "none", "renewals_exempt": "ari"}
    file.issuer["limits"] = {**own, "certificates_per_domain": None}
    assert file.load().issuers["le"].limits == attrs.evolve(
        PRESETS["letsencrypt"],
        new_orders=Limit(900, 5400.0),
        certificates_per_set=None,
        renewals_exempt=Exempt.ARI,
    )


def test_everything_wrong_is_said_at_once_each_with_its_line(file: File) -> None:
    said = file.complaints(
        "comon: {}\n"
        "common:\n"
        "  cert_timeout: fast\n"
        "  plugins:\n"
        "    - name: p\n"
        "      path: relative\n"
        "      checksum: 12\n"
        "      env: {PORT: 53}\n"
        "    - name: p\n"
        "      path: /nonexistent\n"
        "      checksum: none\n"
        "  http_client_retry_status_code: [429, x, 200]\n"
        "issuer:\n"
        "  le: {dns_challenge: a, http_challenge: b, eab: true}\n"
        "  12: {}\n"
        "  a/b: {ca_dir_url: https://ca}\n"
        "storage: {vault: {url: https://v, nested: {}}, memory: {}}\n",
        {"ACME_MANAGER_DNS_TIMEOUT": "10s"},
    )
    assert {where: message.rpartition("(line ")[2].rstrip(")") for where, message in said.items()} == {
        "comon": "1",
        "common.cert_timeout": "3",
        "common.plugins[0].path": "6",
        "common.plugins[0].checksum": "7",
        "common.plugins[0].env.PORT": "8",
        "common.plugins[1].name": "9",
        "common.plugins[1].path": "10",
        "common.plugins[1].checksum": "11",
        "common.http_client_retry_status_code[1]": "12",
        "common.http_client_retry_status_code[2]": "12",
        "issuer.le": "14",
        "issuer.le.ca_dir_url": "14",
        "issuer.le.kid": "14",
        "issuer.le.hmac": "14",
        "issuer.12": "15",
        "issuer.a/b": "16",
        "storage.memory": "17",
        "storage.vault.nested": "17",
        "storage.vault.role_id": "17",
        "storage.vault.secret_id": "17",
        "storage.vault.secret_engine": "17",
        "storage.vault.certificate_prefix": "17",
        "ACME_MANAGER_DNS_TIMEOUT": said["ACME_MANAGER_DNS_TIMEOUT"],
    }


def test_two_challenges_of_one_issuer_are_refused_in_the_go_original_s_words(file: File) -> None:
    file.issuer.update(dns_challenge="rfc2136", http_challenge="kvring")
    assert file.complaints()["issuer.le"].startswith(
        "invalid config in 'le' issuer, 'dns_challenge' and 'http_challenge' are mutually exclusive"
    )


def test_a_store_for_answers_without_its_settings_is_refused(file: File) -> None:
    file.issuer.pop("dns_challenge", None)
    file.issuer.update(http_challenge="s3")
    told = file.complaints()["issuer.le.http_challenge_config"]
    assert told.startswith("is missing: 's3' needs 'bucket' (docs/http-01.md)")


def test_a_plugin_that_was_changed_is_refused(file: File, plugin: Path) -> None:
    file.common["plugins"] = [{"name": "p", "path": str(plugin), "checksum": "0" * 64}]
    for allowed in (False, True):
        said = file.complaints(allow_unverified_plugins=allowed)["common.plugins[0].checksum"]
        assert sha256(plugin) in said


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "common:\nissuer:\nstorage:\n"])
def test_an_empty_file_lacks_every_part(file: File, text: str) -> None:
    said = file.complaints(text)
    assert said["issuer"].startswith("is empty: configure at least one CA")
    assert "storage.vault.url" in said


@pytest.mark.parametrize(
    ("text", "where", "remedy"),
    [
        ("a: b: c\n", "", "is not YAML: mapping values are not allowed here (line 1, column 5)"),
        ("a: *hidden\n", "", "a value that begins with * or & must be in quotes"),
        ("a: !hidden x\n", "", "(line 1, column 4)"),
        ("a: \x07\n", "", "characters that can't be printed"),
        ("a: 2024-99-99\n", "", "put it in quotes"),
        ("a: [" + "[" * 5000, "", "is nested too deeply"),
        ("---\na: 1\n---\nb: 2\n", "", "expected a single document"),
        ("- a\n", "", "must be a mapping, lines of 'key: value', not a list"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_without_showing_what_it_holds(
    file: File, text: str, where: str, remedy: str
) -> None:
    said = file.complaints(text)
    assert remedy in said[where]
    assert "hidden" not in str(said)


def test_a_key_given_twice_is_refused_with_both_lines(file: File) -> None:
    text = yaml.safe_dump(MINIMAL, sort_keys=False) + "common:\n  cert_timeout: fast\n"
    said = file.complaints(text)
    assert said["common"] == "is given twice: first on line 1, again on line 13"
    assert "common.cert_timeout" in said  # of the one that YAML has kept


def test_a_merge_key_is_no_key_given_twice(file: File) -> None:
    text = yaml.safe_dump(MINIMAL) + "  \n"
    text = text.replace("issuer:\n  le:\n", "issuer:\n  le: &le\n").replace(
        "storage:", "  b:\n    <<: *le\n    max_orders: 2\nstorage:"
    )
    assert file.load(text).issuers["b"].max_orders == 2


def test_aliases_that_grow_without_end_cost_nothing(file: File) -> None:
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
    assert "a29" in file.complaints(f"a0: &a0 [x]\n{levels}loop: &loop [*loop]\n")


def test_a_missing_file_is_named_with_the_flag_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"nope\.yml: can't be read: No such file or directory; -config-path"):
        load(tmp_path / "nope.yml", {})


def test_a_file_in_another_encoding_is_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_bytes(b"common:\n  a: \xe9\n")
    with pytest.raises(ConfigInvalid, match=r"is not UTF-8 \(line 2\)"):
        load(path, {})


def test_a_fallback_has_to_be_another_issuer_of_the_file(file: File) -> None:
    file.content["issuer"]["other"] = {"ca_dir_url": "https://other.example/dir"}
    file.content["issuer"]["le"]["fallback"] = ["other"]
    assert file.load().issuers["le"].fallback == ("other",)
    file.content["issuer"]["le"]["fallback"] = ["other", "le", "nobody"]
    said = file.complaints()
    assert sorted(said) == ["issuer.le.fallback[1]", "issuer.le.fallback[2]"]
    assert said["issuer.le.fallback[1]"].startswith("must be another issuer")
    assert said["issuer.le.fallback[2]"].startswith("'nobody' is no issuer of this file; there are: le, other")
