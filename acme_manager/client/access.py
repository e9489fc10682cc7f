"""How the servers are reached: URLs, token and TLS, from flags, variables, files and systemd's credentials."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path

import structlog

from acme_manager.client.flags import DEFAULT_URL, ClientFlags
from acme_manager.client.manager import Access, Retries
from acme_manager.client.model import Common
from acme_manager.config import readers
from acme_manager.errors import Complaint, ConfigInvalid

CREDENTIAL = "acme-manager-token"
"""The name of systemd's credential that is our token (`LoadCredential=` in the unit)."""

_log = structlog.get_logger(__name__)


def access(flags: ClientFlags, environ: Mapping[str, str], common: Common) -> Access:
    """Raises ConfigInvalid."""
    return Access(
        urls=_urls(flags, environ),
        token=_token(flags, environ),
        verify=_tls(flags),
        wait_timeout=common.certificate_timeout,
    )


def retries(common: Common) -> Retries:
    """What the configuration says of repeated requests."""
    return Retries(
        most=common.http_client_retry_max,
        wait_min=common.http_client_retry_wait_min,
        wait_max=common.http_client_retry_wait_max,
        statuses=frozenset(common.http_client_retry_status_code),
    )


def _urls(flags: ClientFlags, environ: Mapping[str, str]) -> tuple[str, ...]:
    """As in the Go original, the variable counts only while the flag has its default."""
    given = flags.manager_url
    if given == DEFAULT_URL:
        given = environ.get("ACME_MANAGER_URL", "").strip() or given
    try:
        urls = tuple(readers.http_url(one.strip()) for one in given.split(",") if one.strip())
    except ValueError as error:
        raise _wrong("-client.manager-url", str(error)) from None
    if not urls:
        raise _wrong("-client.manager-url", f"is empty: it must be like {DEFAULT_URL}")
    for url in urls:
        if not url.endswith("/api/v1"):
            raise _wrong("-client.manager-url", f"'{url}' must end with /api/v1")
    return urls


def _token(flags: ClientFlags, environ: Mapping[str, str]) -> str:
    """The first that is there of: flag, file, systemd's credential, variable."""
    if flags.manager_token:
        return flags.manager_token
    if flags.token_file:
        return _content("-client.token-file", Path(flags.token_file))
    folder = environ.get("CREDENTIALS_DIRECTORY", "")
    if folder and (credential := Path(folder) / CREDENTIAL).exists():
        return _content("CREDENTIALS_DIRECTORY", credential)
    token = environ.get("ACME_MANAGER_TOKEN", "").strip()
    if not token:
        raise _wrong(
            "-client.token-file",
            f"no token is given: name a file by it, set ACME_MANAGER_TOKEN, or load systemd's credential {CREDENTIAL}",
        )
    return token


def _content(where: str, path: Path) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise _wrong(where, f"{path} can't be read: {error}") from None
    if not token:
        raise _wrong(where, f"{path} is empty")
    return token


def _tls(flags: ClientFlags) -> ssl.SSLContext:
    if flags.tls_skip_verify:  # as in the Go original the other files do not count then
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    try:
        context = ssl.create_default_context(cafile=flags.tls_ca_file or None)
    except OSError as error:
        raise _wrong("-client.tls-ca-file", f"'{flags.tls_ca_file}' can't be used: {error}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if bool(flags.client_cert_file) != bool(flags.client_key_file):
        raise _wrong("-client.tls-cert-file", "and -client.tls-key-file must be given together")
    if flags.client_cert_file:
        try:
            context.load_cert_chain(flags.client_cert_file, flags.client_key_file)
        except OSError as error:
            files = f"'{flags.client_cert_file}' and '{flags.client_key_file}'"
            raise _wrong("-client.tls-cert-file", f"can't use {files}: {error}") from None
    return context


def _wrong(flag: str, message: str) -> ConfigInvalid:
    return ConfigInvalid("command line", [Complaint(flag, message)])
