"""The agent's flags: the Go original's, and further ones. A field's default is its flag's, durations are seconds."""

from __future__ import annotations

import attrs

from acme_manager.config.flag import Kind, flag

DEFAULT_URL = "http://localhost:8989/api/v1"
UNLIMITED = "unlimited"
_SOON = 0.001  # the shortest period that is not a busy loop by mistake


@attrs.frozen(kw_only=True)
class ClientFlags:
    """The agent's command line."""

    log_level: str = flag("log.level", Kind.STRING, "info", "Log level: debug, info, warn, error. Others mean info.")
    log_format: str = flag("log.format", Kind.STRING, "logfmt", "Log format: logfmt or json. Others mean logfmt.")

    listen_address: str = flag(
        "server.listen-address", Kind.STRING, ":8989", "Address to serve /metrics on: host:port, or :port. Empty: none."
    )
    tls_cert_file: str = flag("server.tls-cert-file", Kind.STRING, "", "TLS certificate chain for /metrics, PEM.")
    tls_key_file: str = flag("server.tls-key-file", Kind.STRING, "", "TLS key for /metrics, PEM.")
    http_read_timeout: int = flag(
        "server.http-read-timeout", Kind.INT, 300, "Seconds that a connection for /metrics may be idle.", low=1
    )
    http_read_header_timeout: int = flag(
        "server.http-read-header-timeout", Kind.INT, 10, "Seconds a client has to send a request for /metrics.", low=1
    )

    pull_only: bool = flag(
        "client.pull-only", Kind.BOOL, False, "Install what the server has, and change nothing on the server."
    )
    manager_url: str = flag(
        "client.manager-url",
        Kind.STRING,
        DEFAULT_URL,
        "The server's API, with /api/v1; several with commas between. Else ACME_MANAGER_URL.",
    )
    manager_token: str = flag(
        "client.manager-token",
        Kind.STRING,
        "",
        "The API token. All users of the host can see it here: better use -client.token-file or ACME_MANAGER_TOKEN.",
    )
    token_file: str = flag("client.token-file", Kind.STRING, "", "File that holds the API token; read for each run.")
    tls_ca_file: str = flag("client.tls-ca-file", Kind.STRING, "", "CAs that the server's certificate is of, PEM.")
    client_cert_file: str = flag("client.tls-cert-file", Kind.STRING, "", "TLS client certificate, PEM.")
    client_key_file: str = flag("client.tls-key-file", Kind.STRING, "", "TLS key of the client certificate, PEM.")
    tls_skip_verify: bool = flag(
        "client.tls-skip-verify", Kind.BOOL, False, "Talk to any server, whatever its certificate. For tests only."
    )
    config_path: str = flag("client.config-path", Kind.STRING, "client-config.yml", "Configuration file.")
    check_config_interval: float = flag(
        "client.check-config-interval", Kind.DURATION, 300.0, "How often to look at everything.", low=_SOON
    )
    cleanup_enabled: bool = flag(
        "client.cleanup-enabled",
        Kind.BOOL,
        False,
        "Remove files that the agent wrote for certificates that neither the server nor the configuration has.",
    )
    cleanup_interval: float = flag(
        "client.cleanup-interval", Kind.DURATION, 1800.0, "How often to remove such files.", low=_SOON
    )
    max_deletions: str = flag(
        "client.max-deletions",
        Kind.STRING,
        "1",
        "How many certificates a run may delete; with more due it deletes none. A number, or unlimited.",
    )
    once: bool = flag("client.once", Kind.BOOL, False, "Make one run, then exit with its code.")
    dry_run: bool = flag("dry-run", Kind.BOOL, False, "Print what a run would do and why, then exit.")
    import_from: str = flag(
        "import", Kind.STRING, "", "Take over certificates of certbot, lego or acme.sh from this folder, then exit."
    )
    json: bool = flag("json", Kind.BOOL, False, "Print JSON instead of tables.")
    yes: bool = flag("yes", Kind.BOOL, False, "Do not ask before something is revoked.")
    config_check: bool = flag("config-check", Kind.BOOL, False, "Check the configuration file, then exit.")
    version: bool = flag("version", Kind.BOOL, False, "Print the version, then exit.")

    @property
    def most_deletions(self) -> int | None:
        """`max_deletions` as a number, None for any number. Raises ValueError."""
        if self.max_deletions == UNLIMITED:
            return None
        if not (self.max_deletions.isascii() and self.max_deletions.isdecimal()):
            raise ValueError(f"'{self.max_deletions}' is neither a number nor '{UNLIMITED}'")
        return int(self.max_deletions)
