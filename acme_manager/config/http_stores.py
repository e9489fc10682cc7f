"""`issuer.<name>.http_challenge_config`: where http-01 answers are put for a web server of others.

Which of these it is, `http_challenge` says; where that names no store, its keys do, for certificates that choose one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs

from acme_manager.config import readers
from acme_manager.config.readers import Reader

MEMCACHED_PORT = 11211
AWS_REGION = "us-east-1"

Server = tuple[str, int]


@attrs.frozen(kw_only=True)
class WebrootConfig:
    """`http_challenge: webroot`."""

    roots: tuple[Path, ...]  # document roots; answers go to .well-known/acme-challenge below each


@attrs.frozen(kw_only=True)
class MemcachedConfig:
    """`http_challenge: memcached`."""

    servers: tuple[Server, ...]  # each gets every answer


@attrs.frozen(kw_only=True)
class S3Config:
    """`http_challenge: s3`. The credentials are AWS's variables."""

    bucket: str
    endpoint: str = ""  # URL without a path; empty: AWS's of the region
    region: str = ""  # empty: AWS_REGION or AWS_DEFAULT_REGION, else us-east-1
    prefix: str = ""  # of keys: the path of what the web server takes for its document root
    path_style: bool | None = None  # the bucket is in the path, not in the host's name; None: with an endpoint only
    acl: str = ""  # a canned ACL, like public-read; empty: none, as most buckets of today take none
    ca_bundle: Path | None = None  # PEM; trusted instead of the system's roots


HttpStoreConfig = WebrootConfig | MemcachedConfig | S3Config

STORES: Mapping[str, type[HttpStoreConfig]] = {"webroot": WebrootConfig, "memcached": MemcachedConfig, "s3": S3Config}
NEEDED = {"webroot": "roots", "memcached": "servers", "s3": "bucket"}
"""The key that each store can't do without."""


def store_for(http_challenge: object, raw: Any) -> tuple[str, Any] | None:
    """Which store a value configures, and its keys; None for a text that means nothing, which the Go original ignored.

    A text is the one thing that is needed. Raises ValueError.
    """
    name = str(http_challenge)
    if isinstance(raw, str):
        return (name, {NEEDED[name]: raw}) if name in STORES else None
    if name not in STORES and isinstance(raw, dict):
        name = next((store for store, key in NEEDED.items() if key in raw), "")
    if name not in STORES:
        keys = ", ".join(f"'{key}' ({store})" for store, key in NEEDED.items())
        raise ValueError(f"must be a mapping with one of {keys}")
    return name, raw


def parse_server(text: str) -> Server:
    """`host`, `host:port` or `[v6]:port`. Raises ValueError."""
    host, colon, port = (text, "", "") if text.endswith("]") else text.rpartition(":")
    if not colon:
        host, port = text, str(MEMCACHED_PORT)
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    named = re.fullmatch(r"[^\s/,\[\]]+", bare) is not None and (":" not in bare or bare != host)
    if not (named and port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65536):
        raise ValueError(f"must be a server like host, host:{MEMCACHED_PORT} or [2001:db8::1]:{MEMCACHED_PORT}")
    return bare, int(port)


def _several(value: Any, what: str) -> list[str]:
    found = value if isinstance(value, list) else str(readers.text(value)).split(",")
    if not found:
        raise ValueError(f"must be {what}, or a list of them")
    return [readers.filled(one).strip() for one in found]


def _roots(value: Any) -> tuple[Path, ...]:
    roots = _several(value, "the document root of a web server")
    if any("\n" in root for root in roots):
        raise ValueError("must be paths of one line each")
    return tuple(map(readers.absolute, roots))


def _servers(value: Any) -> tuple[Server, ...]:
    return tuple(map(parse_server, _several(value, "a memcached server")))


def _endpoint(value: Any) -> str:
    url = str(readers.http_url(value))
    parts = urlsplit(url)
    if parts.path or parts.query or parts.fragment:
        raise ValueError("must be a URL without a path, like https://s3.example.com: bucket and prefix are other keys")
    return url


def _matching(pattern: str, what: str) -> Reader:
    def read(value: Any) -> str:
        if not re.fullmatch(pattern, readers.text(value)):
            raise ValueError(f"must be {what}")
        return str(value)

    return read


def _prefix(value: Any) -> str:
    prefix = readers.text(value).strip("/")
    if any(part in {"", ".", ".."} for part in prefix.split("/")) or not prefix.isprintable():
        raise ValueError("must be a path in the bucket, like www or sites/www")
    return prefix


READERS: Mapping[type, Mapping[str, Reader]] = {
    WebrootConfig: {"roots": _roots},
    MemcachedConfig: {"servers": _servers},
    S3Config: {
        "bucket": _matching(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "a bucket's name: lower case, digits, '-' and '.'"),
        "endpoint": _endpoint,
        "region": _matching(r"[a-z0-9-]{1,64}", "a region, like eu-central-1"),
        "prefix": _prefix,
        "path_style": readers.truth,
        "acl": _matching(r"[a-z-]{1,64}", "a canned ACL, like public-read"),
        "ca_bundle": readers.certificates,
    },
}
REMEDIES = {
    "roots": "the document roots to write answers below, like [/var/www/html]",
    "servers": f"the memcached servers, like [127.0.0.1:{MEMCACHED_PORT}]",
    "bucket": "the bucket's name",
}
"""What to give where a key is missing."""
