from __future__ import annotations

from pathlib import Path

import dns.tsig
import pytest

from acme_manager.dns.propagation import Timing
from acme_manager.dns.rfc2136 import read_settings
from acme_manager.errors import ConfigInvalid

NAMESERVER = {"RFC2136_NAMESERVER": "192.0.2.1"}
SECRET = "c2VjcmV0IG9mIHRoZSBrZXk="


def complaints(environ: dict[str, str], name: str = "rfc2136") -> dict[str, str]:
    with pytest.raises(ConfigInvalid) as caught:
        read_settings(environ, name)
    assert SECRET not in str(caught.value)
    return {complaint.where: complaint.message for complaint in caught.value.complaints}


def test_defaults_are_those_of_the_go_original() -> None:
    settings = read_settings(NAMESERVER)
    assert (settings.host, settings.port, settings.ttl, settings.timeout) == ("192.0.2.1", 53, 120, 10.0)
    assert settings.timing == Timing(timeout=60.0, interval=2.0)
    assert settings.key is None


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("ns.example.test", "ns.example.test", 53),
        ("ns.example.test:5353", "ns.example.test", 5353),
        ("[2001:db8::1]:5353", "2001:db8::1", 5353),
        ("[2001:db8::1]", "2001:db8::1", 53),
        ("2001:db8::1", "2001:db8::1", 53),
    ],
)
def test_the_name_server_is_a_host_with_or_without_port(text: str, host: str, port: int) -> None:
    settings = read_settings({"RFC2136_NAMESERVER": text})
    assert (settings.host, settings.port) == (host, port)


@pytest.mark.parametrize("text", ["ns:", ":53", "ns:dns", "ns:0", "ns:65536", "[::1]:", "[::1]x53", "[::1"])
def test_a_name_server_that_is_none_is_refused(text: str) -> None:
    assert "not of the form host or host:port" in complaints({"RFC2136_NAMESERVER": text})["RFC2136_NAMESERVER"]


def test_a_missing_name_server_names_the_variable_of_the_provider_that_was_asked_for() -> None:
    assert "is not set" in complaints({})["RFC2136_NAMESERVER"]
    assert "is not set" in complaints({}, "dnsupdate")["DNSUPDATE_NAMESERVER"]


def test_both_families_of_variables_work_and_the_providers_own_wins() -> None:
    environ = {"RFC2136_NAMESERVER": "192.0.2.1", "DNSUPDATE_NAMESERVER": "192.0.2.2", "DNSUPDATE_TTL": "7"}
    assert (read_settings(environ).host, read_settings(environ).ttl) == ("192.0.2.1", 7)
    assert read_settings(environ, "dnsupdate").host == "192.0.2.2"


def test_all_that_is_wrong_is_said_at_once() -> None:
    environ = {
        **NAMESERVER,
        "RFC2136_TTL": "-1",
        "RFC2136_DNS_TIMEOUT": "soon",
        "RFC2136_POLLING_INTERVAL": "0",
        "RFC2136_PROPAGATION_TIMEOUT": "nan",
        "RFC2136_TSIG_KEY": "acme",
        "RFC2136_TSIG_SECRET": f"%{SECRET}",
        "RFC2136_TSIG_ALGORITHM": "hmac-md5",
    }
    found = complaints(environ)
    assert set(found) == set(environ) - {"RFC2136_NAMESERVER", "RFC2136_TSIG_KEY"}
    assert "hmac-sha256" in found["RFC2136_TSIG_ALGORITHM"]


@pytest.mark.parametrize("spelling", ["hmac-sha256.", "hmac-sha256", "HMAC-SHA256."])
def test_an_algorithm_may_end_with_a_dot(spelling: str) -> None:
    key = {"RFC2136_TSIG_KEY": "Acme", "RFC2136_TSIG_SECRET": SECRET, "RFC2136_TSIG_ALGORITHM": spelling}
    assert read_settings({**NAMESERVER, **key}).key == dns.tsig.Key("acme.", SECRET, "hmac-sha256.")


def test_a_key_without_algorithm_is_for_sha1() -> None:
    settings = read_settings({**NAMESERVER, "RFC2136_TSIG_KEY": "acme", "RFC2136_TSIG_SECRET": SECRET})
    assert settings.key is not None
    assert settings.key.algorithm == dns.tsig.HMAC_SHA1


def test_half_a_key_means_no_signature() -> None:
    assert read_settings({**NAMESERVER, "RFC2136_TSIG_KEY": "acme"}).key is None


def test_settings_do_not_show_the_secret() -> None:
    settings = read_settings({**NAMESERVER, "RFC2136_TSIG_KEY": "acme", "RFC2136_TSIG_SECRET": SECRET})
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    "text",
    [
        'key "acme" {{\n\talgorithm hmac-sha512;\n\tsecret "{secret}";\n}};\n',
        "key acme {{ algorithm hmac-sha512; secret {secret}; }};",
        '# key "old" {{ secret "x"; }};\nkey "acme" {{ secret "{secret}"; algorithm "hmac-sha512"; }};',
        'options {{ }};\n/* the key */ key "acme" {{ // mine\n algorithm hmac-sha512; secret "{secret}"; }};',
    ],
)
def test_a_key_file_is_read_as_name_servers_read_it(tmp_path: Path, text: str) -> None:
    secret = "ab//" * 8
    (tmp_path / "key").write_text(text.format(secret=secret))
    settings = read_settings({**NAMESERVER, "RFC2136_TSIG_FILE": str(tmp_path / "key")})
    assert settings.key == dns.tsig.Key("acme.", secret, "hmac-sha512.")


def test_a_key_file_without_a_key_or_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f'secret "{SECRET}";')
    assert (
        "has no statement"
        in complaints({**NAMESERVER, "RFC2136_TSIG_FILE": str(tmp_path / "key")})["RFC2136_TSIG_FILE"]
    )
    missing = complaints({**NAMESERVER, "RFC2136_TSIG_FILE": str(tmp_path / "none")})["RFC2136_TSIG_FILE"]
    assert "can't be read: No such file" in missing


def test_a_file_variable_is_read_without_its_final_newline_and_loses_to_the_plain_one(tmp_path: Path) -> None:
    (tmp_path / "ttl").write_text("300\n")
    assert read_settings({**NAMESERVER, "RFC2136_TTL_FILE": str(tmp_path / "ttl")}).ttl == 300
    assert read_settings({**NAMESERVER, "RFC2136_TTL": "5", "RFC2136_TTL_FILE": str(tmp_path / "ttl")}).ttl == 5


def test_a_file_that_can_not_be_read_names_the_variable(tmp_path: Path) -> None:
    (tmp_path / "octets").write_bytes(b"\xff\xfe\x00")
    assert "is no text" in complaints({"RFC2136_NAMESERVER_FILE": str(tmp_path / "octets")})["RFC2136_NAMESERVER_FILE"]
