"""The server's own flags."""

from __future__ import annotations

import attrs
import pytest

from acme_manager.cli.goflags import read_or_exit
from acme_manager.cli.values import format_value
from acme_manager.config.flag import Kind, flags_of
from acme_manager.config.model import Flags

TABLE = {flag.name: flag for flag in flags_of(Flags)}


@pytest.mark.parametrize(
    ("name", "kind", "default"),
    [
        ("log.level", "string", "info"),
        ("log.format", "string", "logfmt"),
        ("server.listen-address", "string", ":8989"),
        ("server.tls-cert-file", "string", ""),
        ("server.tls-key-file", "string", ""),
        ("server.tls-client-ca-file", "string", ""),
        ("server.http-read-timeout", "int", "300"),
        ("server.http-read-header-timeout", "int", "10"),
        ("config-path", "string", "config.yml"),
        ("env-config-path", "string", ".env"),
        ("check-renewal-interval", "duration", "30m"),
        ("check-config-interval", "duration", "30s"),
        ("check-token-interval", "duration", "1m"),
        ("check-issuer-interval", "duration", "10m"),
        ("ring.instance-id", "string", ""),
        ("ring.instance-addr", "string", ""),
        ("ring.instance-port", "int", "7946"),
        ("ring.join-members", "string", ""),
        ("ring.heartbeat-period", "duration", "5s"),
        ("ring.heartbeat-timeout", "duration", "1m"),
        ("cleanup", "bool", "false"),
        ("cleanup.interval", "duration", "1h"),
        ("cleanup.cert-expire-days", "int", "10"),
        ("cleanup.cert-revoke-last-version", "bool", "false"),
    ],
)
def test_every_flag_of_the_guide_is_there_in_the_short_help_with_its_default(
    name: str, kind: str, default: str
) -> None:
    flag = TABLE[name]
    assert (flag.kind.value, format_value(flag.kind, flag.default), flag.common) == (kind, default, True)


def test_no_name_is_used_twice() -> None:
    assert len(TABLE) == len(flags_of(Flags))


@pytest.mark.parametrize("flag", TABLE.values(), ids=lambda flag: flag.name)
def test_a_default_is_of_its_flag_s_kind_and_its_help_is_a_sentence(flag: object) -> None:
    types = {Kind.STRING: str, Kind.STRINGS: tuple, Kind.INT: int, Kind.BOOL: bool, Kind.DURATION: float}
    declared = TABLE[getattr(flag, "name", "")]
    assert type(declared.default) is types[declared.kind]
    assert declared.help.endswith(".")


def test_a_field_has_the_type_of_its_flag() -> None:
    types = {Kind.STRING: "str", Kind.INT: "int", Kind.BOOL: "bool", Kind.DURATION: "float"}
    for field in attrs.fields(Flags):
        if "prefix" not in field.metadata:
            (flag,) = field.metadata["flags"]
            assert str(field.type) == types[flag.kind], field.name
            assert field.default == flag.default


def test_the_gossip_flags_of_an_existing_unit_file_are_accepted() -> None:
    flags = read_or_exit(
        Flags,
        "acme-manager-server",
        [
            "-ring.memberlist.join=a:7946",
            "-ring.memberlist.join=b:7946",
            "-ring.memberlist.bind-addr=127.0.0.1",
            "-ring.memberlist.compression-enabled=false",
            "-ring.memberlist.gossip-interval=1s",
            "-ring.memberlist.tls-enabled",
            "-ring.keep-instance-in-ring-on-shutdown=false",
            "-ring.instance-interface-names=eth0",
        ],
    )
    gossip = flags.ring_memberlist
    assert gossip["join"] == ("a:7946", "b:7946")
    assert gossip["bind-addr"] == ("127.0.0.1",)
    assert (gossip["compression-enabled"], gossip["gossip-interval"], gossip["tls-enabled"]) == (False, 1.0, True)
    assert gossip["packet-dial-timeout"] == 0.5
    assert flags.ring_keep_instance_in_ring_on_shutdown is False
    assert len(gossip) == 44  # the 43 of the Go original, and delegate-version


def test_what_the_go_original_hides_from_the_short_help_is_hidden() -> None:
    assert not any(flag.common for name, flag in TABLE.items() if name.startswith("ring.memberlist."))
    assert not TABLE["allow-unverified-plugins"].common
