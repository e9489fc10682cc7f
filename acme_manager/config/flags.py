"""The server's flags (guide, "Command-Line Flags"): a field's default is its flag's, durations are seconds."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from acme_manager.config.flag import FlagValue, Kind, flag, flag_group
from acme_manager.config.memberlist import MEMBERLIST_FLAGS, PREFIX

_SOON = 0.001  # the shortest period that is not a busy loop by mistake


@attrs.frozen(kw_only=True)
class Flags:
    """The server's command line."""

    log_level: str = flag("log.level", Kind.STRING, "info", "Log level: debug, info, warn, error. Others mean info.")
    log_format: str = flag("log.format", Kind.STRING, "logfmt", "Log format: logfmt or json. Others mean logfmt.")

    listen_address: str = flag(
        "server.listen-address",
        Kind.STRING,
        ":8989",
        "Address to serve HTTP on: host:port, or :port for all addresses.",
    )
    tls_cert_file: str = flag("server.tls-cert-file", Kind.STRING, "", "TLS certificate chain of the server, PEM.")
    tls_key_file: str = flag("server.tls-key-file", Kind.STRING, "", "TLS key of the server, PEM.")
    tls_client_ca_file: str = flag(
        "server.tls-client-ca-file", Kind.STRING, "", "CAs that clients must have a certificate of, PEM."
    )
    tls_alpn_address: str = flag(
        "server.tls-alpn-address",
        Kind.STRING,
        "",
        "Address to answer tls-alpn-01 on besides -server.listen-address with TLS: host:port, or :port. Empty: none.",
        common=False,
    )
    http_read_timeout: int = flag(
        "server.http-read-timeout", Kind.INT, 300, "Seconds a client has to send a whole request. 0: no limit.", low=0
    )
    http_read_header_timeout: int = flag(
        "server.http-read-header-timeout",
        Kind.INT,
        10,
        "Seconds a client has to send a request's headers. 0: as long as for the whole.",
        low=0,
    )

    config_path: str = flag("config-path", Kind.STRING, "config.yml", "Configuration file.")
    env_config_path: str = flag(
        "env-config-path", Kind.STRING, ".env", "File with variables; those of the process win. It may be missing."
    )
    config_check: bool = flag("config-check", Kind.BOOL, False, "Check the configuration file, then exit.")
    version: bool = flag("version", Kind.BOOL, False, "Print the version, then exit.")

    check_renewal_interval: float = flag(
        "check-renewal-interval", Kind.DURATION, 1800.0, "How often to look for certificates to renew.", low=_SOON
    )
    check_config_interval: float = flag(
        "check-config-interval", Kind.DURATION, 30.0, "How often to look for changes of the configuration.", low=_SOON
    )
    check_token_interval: float = flag(
        "check-token-interval", Kind.DURATION, 60.0, "How often to look for expired tokens.", low=_SOON
    )
    check_issuer_interval: float = flag(
        "check-issuer-interval", Kind.DURATION, 600.0, "How often to check the issuers' health.", low=_SOON
    )

    ring_instance_id: str = flag(
        "ring.instance-id", Kind.STRING, "", "Unique id of this instance. Empty: the host's name."
    )
    ring_instance_addr: str = flag(
        "ring.instance-addr", Kind.STRING, "", "IP address other instances reach this one at. Empty: found by itself."
    )
    ring_instance_port: int = flag(
        "ring.instance-port", Kind.INT, 7946, "Port of the ring, TCP and UDP; 0 is any free one.", low=0, high=65535
    )
    ring_join_members: str = flag(
        "ring.join-members", Kind.STRING, "", "Instances to join: host:port, separated by commas."
    )
    ring_heartbeat_period: float = flag(
        "ring.heartbeat-period", Kind.DURATION, 5.0, "How often an instance renews what /ring shows of it.", low=_SOON
    )
    ring_heartbeat_timeout: float = flag(
        "ring.heartbeat-timeout",
        Kind.DURATION,
        60.0,
        "A third of the time after which a dead voter is given up.",
        low=_SOON,
    )
    ring_instance_interface_names: str = flag(
        "ring.instance-interface-names",
        Kind.STRING,
        "",
        "Network interfaces to find the instance's address on, separated by commas. Empty: all.",
        common=False,
    )
    ring_force_new_cluster: bool = flag(
        "ring.force-new-cluster",
        Kind.BOOL,
        False,
        "Make this instance the only voter: for the day when a majority is gone for good. Use it for one start.",
        common=False,
    )
    ring_keep_instance_in_ring_on_shutdown: bool = flag(
        "ring.keep-instance-in-ring-on-shutdown",
        Kind.BOOL,
        True,
        "Stay in the ring as LEAVING after a stop instead of being removed.",
        common=False,
    )
    ring_memberlist: Mapping[str, FlagValue] = flag_group(PREFIX, MEMBERLIST_FLAGS)

    cleanup: bool = flag("cleanup", Kind.BOOL, False, "Remove old versions of certificates from storage.")
    cleanup_interval: float = flag(
        "cleanup.interval", Kind.DURATION, 3600.0, "How often to look for old versions.", low=_SOON
    )
    cleanup_cert_expire_days: int = flag(
        "cleanup.cert-expire-days",
        Kind.INT,
        10,
        "Days before its expiry from which a version may be removed.",
        low=0,
        high=36500,
    )
    cleanup_cert_revoke_last_version: bool = flag(
        "cleanup.cert-revoke-last-version",
        Kind.BOOL,
        False,
        "Let cleanup remove the newest version too, when nobody has renewed it in time.",
    )
    cleanup_dry_run: bool = flag(
        "cleanup.dry-run", Kind.BOOL, False, "Print what cleanup would do now, and why, then exit.", common=False
    )
    audit_keep: float = flag(
        "audit.keep",
        Kind.DURATION,
        9600 * 3600.0,
        "How long to keep entries of the audit log. Older ones are removed.",
        low=3600.0,
        common=False,
    )

    allow_unverified_plugins: bool = flag(
        "allow-unverified-plugins", Kind.BOOL, False, "Accept plugins without a checksum.", common=False
    )
    account_rollover: str = flag(
        "account.rollover", Kind.STRING, "", "Give our account at this issuer a new key, then exit.", common=False
    )
    dns_list: bool = flag(
        "dns.list", Kind.BOOL, False, "Print the DNS providers and how far each is tested, then exit."
    )
    dns_show: str = flag(
        "dns.show", Kind.STRING, "", "Print the variables of this DNS provider, then exit.", common=False
    )
    dns_check: str = flag(
        "dns.check",
        Kind.STRING,
        "",
        "Write a TXT record, see it and remove it, then exit: PROVIDER:ZONE, such as ovh:example.com.",
    )
    dev: bool = flag("dev", Kind.BOOL, False, "Development: run with a store and a CA of our own on this machine.")
    dev_data: str = flag(
        "dev.data", Kind.STRING, "", "Development: folder to keep data in. Empty: thrown away at the end."
    )
    dev_first_certificate: str = flag(
        "dev.first-certificate",
        Kind.STRING,
        "demo.example.test",
        "Development: name to get a certificate for at the start. Empty: none.",
    )
