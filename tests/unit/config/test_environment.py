from __future__ import annotations

from pathlib import Path

import pytest

from acme_manager.config.environment import read_dns, with_vault_variables
from acme_manager.config.model import DnsConfig, VaultConfig
from acme_manager.errors import Complaint

VAULT = VaultConfig(url="https://v", role_id="r", secret_id="s", secret_engine="e", certificate_prefix="c")
PEM = "-----BEGIN CERTIFICATE-----\n"


def dns(environ: dict[str, str]) -> DnsConfig:
    complaints: list[Complaint] = []
    config = read_dns(environ, complaints)
    assert complaints == []
    return config


def wrong(environ: dict[str, str]) -> dict[str, str]:
    complaints: list[Complaint] = []
    read_dns(environ, complaints)
    return {complaint.where: complaint.message for complaint in complaints}


def test_without_variables_everything_has_its_default() -> None:
    assert dns({}) == DnsConfig()


def test_an_empty_variable_is_as_good_as_none() -> None:
    assert dns({"ACME_MANAGER_DNS_TIMEOUT": "", "ACME_MANAGER_DNS_RESOLVERS": " "}) == DnsConfig()


def test_the_guide_s_variables_are_read() -> None:
    config = dns(
        {
            "ACME_MANAGER_DNS_RESOLVERS": "8.8.8.8:53,1.1.1.1:53",
            "ACME_MANAGER_DNS_TIMEOUT": "10",
            "ACME_MANAGER_DNS_PROPAGATIONWAIT": "120",
        }
    )
    assert config == DnsConfig(resolvers=(("8.8.8.8", 53), ("1.1.1.1", 53)), timeout=10, propagation_wait=120)


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("192.0.2.1:5353", ("192.0.2.1", 5353)),
        (" 192.0.2.1 ,", ("192.0.2.1", 53)),
        ("2001:db8::1", ("2001:db8::1", 53)),
        ("[2001:db8::1]", ("2001:db8::1", 53)),
        ("[2001:db8::1]:5353", ("2001:db8::1", 5353)),
    ],
)
def test_a_resolver_has_port_53_unless_it_says_otherwise(text: str, server: tuple[str, int]) -> None:
    assert dns({"ACME_MANAGER_DNS_RESOLVERS": text}).resolvers == (server,)


def test_the_switches_are_read() -> None:
    config = dns(
        {
            "ACME_MANAGER_DNS_PROPAGATIONDISABLEANS": "true",
            "ACME_MANAGER_DNS_PROPAGATIONRNS": "1",
            "LEGO_DISABLE_CNAME_SUPPORT": "T",
            "ACME_MANAGER_DNS_AUTHORITATIVE_PORT": "5353",
        }
    )
    assert config == DnsConfig(ask_authoritative=False, ask_resolvers=True, follow_cname=False, authoritative_port=5353)


def test_a_value_may_be_in_a_file_but_the_variable_itself_wins(tmp_path: Path) -> None:
    file = tmp_path / "timeout"
    file.write_text("7\n")
    assert dns({"ACME_MANAGER_DNS_TIMEOUT_FILE": str(file)}).timeout == 7
    assert dns({"ACME_MANAGER_DNS_TIMEOUT_FILE": str(file), "ACME_MANAGER_DNS_TIMEOUT": "8"}).timeout == 8


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("ACME_MANAGER_DNS_RESOLVERS", "dns.example:53", "must be an IP address"),
        ("ACME_MANAGER_DNS_RESOLVERS", "192.0.2.1:0", "must be an IP address with an optional port"),
        ("ACME_MANAGER_DNS_RESOLVERS", "192.0.2.1:99999", "must be an IP address with an optional port"),
        ("ACME_MANAGER_DNS_TIMEOUT", "10s", "between 1 and 300, without a unit"),
        ("ACME_MANAGER_DNS_TIMEOUT", "0", "between 1 and 300"),
        ("ACME_MANAGER_DNS_TIMEOUT_FILE", "/nonexistent", "names a file that can't be read"),
        ("ACME_MANAGER_DNS_PROPAGATIONWAIT", "-1", "between 0 and 3600"),
        ("ACME_MANAGER_DNS_PROPAGATIONDISABLEANS", "yes", "true or false"),
        ("ACME_MANAGER_DNS_PROPAGATIONRNS", "2", "true or false"),
        ("ACME_MANAGER_DNS_AUTHORITATIVE_PORT", "dns", "between 1 and 65535"),
        ("LEGO_DISABLE_CNAME_SUPPORT", "maybe", "true or false"),
    ],
)
def test_a_value_that_can_not_be_read_is_a_complaint_not_a_silent_default(name: str, value: str, remedy: str) -> None:
    said = wrong({name: value})
    assert list(said) == [name]
    assert remedy in said[name]


@pytest.mark.parametrize("switch", ["ACME_MANAGER_DNS_PROPAGATIONDISABLEANS", "ACME_MANAGER_DNS_PROPAGATIONRNS"])
def test_a_fixed_wait_excludes_the_switches_of_the_checks(switch: str) -> None:
    said = wrong({"ACME_MANAGER_DNS_PROPAGATIONWAIT": "5", switch: "true"})
    assert "replaces every check" in said["ACME_MANAGER_DNS_PROPAGATIONWAIT"]
    assert dns({"ACME_MANAGER_DNS_PROPAGATIONWAIT": "0", switch: "true"}).propagation_wait == 0


def test_vault_s_own_variables_are_read_and_the_file_wins(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.pem", tmp_path / "theirs.pem"
    for path in (ours, theirs):
        path.write_text(PEM)
    complaints: list[Complaint] = []
    environ = {"VAULT_NAMESPACE": "/team/", "VAULT_CACERT": str(theirs)}
    read = with_vault_variables(VAULT, environ, complaints)
    assert (read.namespace, read.ca_file) == ("team", theirs)
    configured = VaultConfig(
        url="https://v", role_id="r", secret_id="s", secret_engine="e", certificate_prefix="c", ca_file=ours
    )
    assert with_vault_variables(configured, environ, complaints).ca_file == ours
    assert with_vault_variables(VAULT, {}, complaints) == VAULT
    assert complaints == []


def test_a_missing_ca_file_of_vault_s_variable_is_a_complaint() -> None:
    complaints: list[Complaint] = []
    with_vault_variables(VAULT, {"VAULT_CACERT": "/nonexistent"}, complaints)
    assert [complaint.where for complaint in complaints] == ["VAULT_CACERT"]
