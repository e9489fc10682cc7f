"""What must hold between the values of a configuration.

These work on what the file says, not on what was made of it, so that one wrong value hides nothing about another.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

from acme_manager.config import plugins, readers
from acme_manager.config.dns import AUTO, zone_name
from acme_manager.config.http_stores import NEEDED
from acme_manager.config.model import Common
from acme_manager.config.schema import Problem

_COMMON = Common()
_VAULT_WAITS = (1.0, 10.0)


def common(raw: dict[Any, Any], *, allow_unverified_plugins: bool) -> Iterator[Problem]:
    """`common`."""
    yield from _waits(
        raw, "http_client_retry_", (_COMMON.http_client_retry_wait_min, _COMMON.http_client_retry_wait_max)
    )
    codes = raw.get("http_client_retry_status_code")
    for index, code in enumerate(codes if isinstance(codes, list) else ()):
        if type(code) is int and not 400 <= code <= 599:
            yield ("http_client_retry_status_code", index), "must be an HTTP error status, between 400 and 599"
    yield from _ring_keys(raw)
    for steps, message in plugins.check(raw.get("plugins"), allow_unverified=allow_unverified_plugins):
        yield ("plugins", *steps), message


def _ring_keys(raw: dict[Any, Any]) -> Iterator[Problem]:
    keys = raw.get("ring_keys")
    for index, key in enumerate(keys if isinstance(keys, list) else ()):
        if isinstance(key, str) and not readers.is_ring_key(key):
            yield ("ring_keys", index), "must be 16, 24 or 32 bytes in base64: openssl rand -base64 32 makes one"


def issuer(name: str, raw: dict[Any, Any], named: Collection[Any]) -> Iterator[Problem]:
    """`issuer.<name>`; `named` are all issuers of the file."""
    if not re.fullmatch(r"[^\s/\\\x00-\x1f\x7f]+", name) or name in {".", ".."}:
        yield (), "must have a name without blanks and slashes: it is part of paths and URLs"
    if raw.get("dns_challenge") and raw.get("http_challenge"):
        yield (), f"invalid config in '{name}' issuer, 'dns_challenge' and 'http_challenge' are mutually exclusive"
    store = raw.get("http_challenge")
    if isinstance(store, str) and store in NEEDED and not raw.get("http_challenge_config"):
        yield ("http_challenge_config",), f"is missing: '{store}' needs '{NEEDED[store]}' (docs/http-01.md)"
    if raw.get("eab") is True:
        for key in ("kid", "hmac"):
            if raw.get(key) in (None, ""):
                yield (key,), "is missing: with 'eab: true' it must be what the CA gave you"

    fallback = raw.get("fallback")
    for index, other in enumerate(fallback if isinstance(fallback, list) else ()):
        if other == name:
            yield ("fallback", index), "must be another issuer: none can stand in for itself"
        elif isinstance(other, str) and other not in named:
            yield ("fallback", index), f"'{other}' is no issuer of this file; there are: {', '.join(map(str, named))}"


def dns_credentials(name: str, raw: dict[Any, Any]) -> Iterator[Problem]:
    """`dns_credentials.<name>`."""
    if name == AUTO or not re.fullmatch(r"\S+", name):
        yield (), f"must have a name without blanks, and not '{AUTO}': dns_challenge uses it"
    env, env_from = raw.get("env"), raw.get("env_from")
    if isinstance(env, dict) and isinstance(env_from, dict):
        for variable in sorted(env.keys() & env_from.keys(), key=str):
            yield ("env_from", variable), "is in 'env' too; keep one of them"
    if not (env or env_from or raw.get("vault")):
        yield (), "has no variables: write them below 'env' or 'env_from', or name a secret by 'vault'"


def dns_zone(name: str, raw: dict[Any, Any]) -> Iterator[Problem]:
    """`dns_zones.<zone>`."""
    try:
        zone_name(name)
    except ValueError as error:
        yield (), str(error)
    if raw.get("wait") and raw.get("check"):
        yield ("wait",), "replaces every check: remove it, or 'check'"


def vault(raw: dict[Any, Any]) -> Iterator[Problem]:
    """`storage.vault`."""
    yield from _waits(raw, "retry_", _VAULT_WAITS)


def ui(raw: dict[Any, Any]) -> Iterator[Problem]:
    """`ui`."""
    oidc = raw.get("oidc")
    if not isinstance(oidc, dict):
        return
    if not raw.get("external_url"):
        yield (
            ("external_url",),
            "is missing: the URL of this server in browsers, which the provider sends people back to",
        )
    if not any(oidc.get(key) for key in ("admin_groups", "owners", "own_username_scope")):
        yield ("oidc",), "lets nobody in: set 'admin_groups', 'owners' or 'own_username_scope'"


def _waits(raw: dict[Any, Any], prefix: str, defaults: tuple[float, float]) -> Iterator[Problem]:
    given = [raw.get(f"{prefix}wait_{end}") or None for end in ("min", "max")]
    shortest, longest = (default if value is None else value for value, default in zip(given, defaults, strict=True))
    if not (isinstance(shortest, int | float) and isinstance(longest, int | float) and shortest > longest):
        return
    if given[0] is None:
        yield (f"{prefix}wait_max",), f"must not be below '{prefix}wait_min', which is {shortest:g}"
    else:
        yield (f"{prefix}wait_min",), f"must not be above '{prefix}wait_max', which is {longest:g}"
