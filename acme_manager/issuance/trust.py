"""Which CAs we talk to, and over what: TLS always, unless the CA runs on this very machine."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path

import httpx

from acme_manager.config.model import IssuerConfig
from acme_manager.connections import is_loopback
from acme_manager.errors import Complaint, ConfigInvalid, IssuanceFailed

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
VARIABLES = (
    "LEGO_CA_CERTIFICATES",
    "LEGO_CA_SYSTEM_CERT_POOL",
    "LEGO_CA_SERVER_NAME",
    *_PROXIES,
    *map(str.upper, _PROXIES),
)
"""Everything of the environment that counts for a connection to a CA."""


def check_url(issuer: str, url: str, directory: httpx.URL | None = None) -> httpx.URL:
    """Parse a URL that we are to send something to: the directory's own, or one that the CA gave us.

    A CA under https can't send us to plain http, and nobody can send us to plain http beyond this machine. Raises
    IssuanceFailed.
    """
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise IssuanceFailed(f"issuer '{issuer}': '{url}' is no URL: {error}") from error
    plain_allowed = directory is None or directory.scheme == "http"
    plain = parsed.scheme == "http" and plain_allowed and is_loopback(parsed.host)
    if not parsed.host or not (parsed.scheme == "https" or plain):
        which = "ca_dir_url" if directory is None else "a URL from the CA"
        raise IssuanceFailed(
            f"issuer '{issuer}': {which} is '{url}'; it must begin with https://"
            " (http:// is only for a CA on this machine)"
        )
    if parsed.userinfo:
        raise IssuanceFailed(f"issuer '{issuer}': URLs with a user name in them are not used")
    return parsed


def tls_context(config: IssuerConfig, environ: Mapping[str, str]) -> ssl.SSLContext:
    """The roots to trust: the system's, `ca_bundle`, and the variables that the Go original's ACME library reads.

    LEGO_CA_CERTIFICATES lists files; with it the system's roots count only if LEGO_CA_SYSTEM_CERT_POOL is true.
    Raises ConfigInvalid when a file can't be read.
    """
    files = [Path(one) for one in environ.get("LEGO_CA_CERTIFICATES", "").split(os.pathsep) if one]
    with_system = not files or _true(environ.get("LEGO_CA_SYSTEM_CERT_POOL", ""))
    context = ssl.create_default_context() if with_system else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for file in [*files, *([config.ca_bundle] if config.ca_bundle else [])]:
        where = "LEGO_CA_CERTIFICATES" if file in files else "ca_bundle"
        try:
            context.load_verify_locations(file)
        except (OSError, ssl.SSLError) as error:
            complaint = Complaint(f"issuer.{config.name}", f"{where} {file}: {error}")
            raise ConfigInvalid("config", [complaint]) from error
    return context


def _true(text: str) -> bool:
    return text.strip().lower() in {"1", "t", "true"}
