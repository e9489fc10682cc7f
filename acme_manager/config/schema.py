"""From YAML's plain values to the classes of model.py: which keys there are, and how each value is read.

Everything wrong in a value is found in one pass. A key that is absent, empty or zero means its default, as in the Go
original.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs
from cattrs import (
    AttributeValidationNote,
    ClassValidationError,
    Converter,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn, override

from acme_manager.config import dns, http_stores, plugins, readers, ui
from acme_manager.config.document import Steps
from acme_manager.config.model import Common, IssuerConfig, Plugin, VaultConfig
from acme_manager.config.readers import Reader
from acme_manager.domain.budget import PRESETS, Kind, Limits

T = TypeVar("T", bound=attrs.AttrsInstance)
Problem = tuple[Steps, str]
"""Something wrong: where, and what would be right."""


def _store(given: tuple[object, Any]) -> http_stores.HttpStoreConfig | None:
    found = http_stores.store_for(*given)
    return None if found is None else _CONVERTER.structure(found[1], http_stores.STORES[found[0]])


_DAY = 86400.0
_COUNT, _WAIT = readers.whole(1, 1000), readers.seconds(0.001, 3600)
_READERS: dict[type, Mapping[str, Reader]] = {
    Plugin: plugins.READERS,
    Common: {
        "api_key_hash": readers.api_key_hash,
        "cert_days_renewal": readers.renewal_window,
        "cert_timeout": readers.seconds(1, _DAY),
        "renewal_windows": readers.spans,
        "renewal_freezes": readers.spans,
        "renewal_timezone": readers.time_zone,
        "rootpath_account": readers.path,
        "rootpath_certificate": readers.path,
        "http_client_retry_max": _COUNT,
        "http_client_retry_wait_min": _WAIT,
        "http_client_retry_wait_max": _WAIT,
        "rate_limit_window": readers.go_duration,
        "rate_limit_max_requests": readers.whole(1, 10**9),
    },
    IssuerConfig: {
        "ca_dir_url": readers.https_url,
        "hmac": readers.base64url,
        "overall_request_limit": _COUNT,
        "certificate_timeout": readers.seconds(1, _DAY),
        "http_challenge_config": _store,
        "ca_bundle": readers.certificates,
        "max_orders": _COUNT,
    },
    Limits: {
        "preset": readers.preset,
        **dict.fromkeys(Kind, readers.rate_limit),
        "renewals_exempt": readers.exemption,
    },
    **http_stores.READERS,
    **dns.READERS,
    VaultConfig: {
        "url": readers.http_url,
        "role_id": readers.filled,
        "secret_id": readers.filled,
        "secret_engine": readers.store_path,
        "certificate_prefix": readers.store_path,
        "token_prefix": readers.store_path,
        "mount_path": readers.store_path,
        "retry_max": _COUNT,
        "retry_wait_min": _WAIT,
        "retry_wait_max": _WAIT,
        "ca_file": readers.certificates,
    },
    **ui.READERS,
}
_NOT_IN_FILE: dict[type, set[str]] = {
    IssuerConfig: {"name"},
    VaultConfig: {"namespace"},
    **dns.NOT_IN_FILE,
}
_NEEDED = {
    "name": "a name of its own for this plugin",
    "path": "the absolute path of the program",
    "ca_dir_url": "the URL of the CA's ACME directory",
    **http_stores.REMEDIES,
    "preset": f"the limits to start from, one of {', '.join(PRESETS)}",
    **dns.REMEDIES,
    "url": "the URL of Vault or OpenBao",
    "role_id": "the role id of our AppRole",
    "secret_id": "a secret id of our AppRole",
    "secret_engine": "where a KV version 2 engine is mounted, like secret",
    "certificate_prefix": "the path of certificates inside the engine, like certificates",
    **ui.REMEDIES,
}


def register(
    section: type[attrs.AttrsInstance], readers: Mapping[str, Reader], needed: Mapping[str, str] | None = None
) -> None:
    """Teach this module a section of another program's file; `needed` says what a key without a default is for."""
    _READERS[section] = readers
    _NEEDED.update(needed or {})
    _CONVERTER.register_structure_hook(section, _section_hook(_CONVERTER, section))


def keys_of(section: type[attrs.AttrsInstance]) -> list[str]:
    """The keys that a section of the file may have."""
    hidden = _NOT_IN_FILE.get(section, set())
    return [field.name for field in attrs.fields(section) if field.name not in hidden]


def structure(raw: Any, section: type[T], **known: str) -> tuple[T | None, list[Problem]]:
    """Read one section; `known` are fields that its surroundings say. There is no value when there are problems."""
    problems: list[Problem] = []
    if isinstance(raw, dict):
        problems = [((name,), unknown_key(name, keys_of(section))) for name in known if name in raw]
        raw = {**raw, **known}
    try:
        value = _CONVERTER.structure(raw, section)
    except (ClassValidationError, ValueError) as error:
        return None, [*problems, *_problems(error, ())]
    return (None if problems else value), problems


def unknown_key(key: object, known: Iterable[str]) -> str:
    """A complaint about a key that does not exist."""
    near = difflib.get_close_matches(str(key), known, n=1)
    return f"is no key of ours, did you mean '{near[0]}'?" if near else f"is no key of ours; {_listed(known)}"


def _listed(known: Iterable[str]) -> str:
    return "there are: " + ", ".join(known)


def _problems(error: BaseException, steps: Steps) -> Iterator[Problem]:
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            steps = (*steps, note.name)
        elif isinstance(note, IterableValidationNote):
            steps = (*steps, note.index)
    if isinstance(error, ClassValidationError | IterableValidationError):
        for inner in error.exceptions:
            yield from _problems(inner, steps)
    elif isinstance(error, ForbiddenExtraKeysError):
        for key in sorted(error.extra_fields, key=str):
            yield (*steps, str(key)), unknown_key(key, keys_of(error.cl))
    elif isinstance(error, KeyError):
        yield steps, f"is missing: {_NEEDED[str(steps[-1])]}"
    else:
        yield steps, str(error)


def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=True, detailed_validation=True)
    converter.register_structure_hook(str, lambda value, _: readers.text(value))
    converter.register_structure_hook(bool, lambda value, _: readers.truth(value))
    converter.register_structure_hook(int, lambda value, _: readers.whole(-(2**63), 2**63)(value))
    converter.register_structure_hook(Path, lambda value, _: readers.path(value))
    converter.register_structure_hook(Limits, _limits_hook(converter))
    for section in (Plugin, Common, VaultConfig, *http_stores.READERS, *dns.READERS, *ui.READERS):
        converter.register_structure_hook(section, _section_hook(converter, section))
    converter.register_structure_hook(IssuerConfig, _issuer_hook(converter))
    return converter


def _section_hook(converter: Converter, section: type[attrs.AttrsInstance]) -> Any:
    """Reads a section: only its keys, only mappings, zeros left out."""
    overrides: dict[str, Any] = {
        name: override(struct_hook=_hook(reader)) for name, reader in _READERS[section].items()
    }
    for field in attrs.fields(section):
        if field.name in _NOT_IN_FILE.get(section, ()) and field.default is not attrs.NOTHING:
            overrides[field.name] = override(omit=True)
        elif field.name not in overrides and str(field.type).startswith(("tuple", "Mapping")):
            overrides[field.name] = override(struct_hook=_container_hook(converter))
    inner = make_dict_structure_fn(section, converter, _cattrs_forbid_extra_keys=True, **overrides)
    known = frozenset(keys_of(section))

    def hook(raw: Any, _: Any) -> Any:
        if not isinstance(raw, dict):
            raise ValueError(f"must be a mapping, lines of 'key: value', not {readers.kind_of(raw)}")
        return inner({key: value for key, value in raw.items() if key not in known or not _is_zero(value)}, section)

    return hook


def _issuer_hook(converter: Converter) -> Any:
    """Reads an issuer. What `http_challenge_config` means depends on its neighbour: its reader gets both."""
    section = _section_hook(converter, IssuerConfig)

    def hook(raw: Any, wanted: Any) -> Any:
        key = "http_challenge_config"
        if isinstance(raw, dict) and not _is_zero(raw.get(key)):
            raw = {**raw, key: (raw.get("http_challenge"), raw[key])}
        return section(raw, wanted)

    return hook


def _limits_hook(converter: Converter) -> Any:
    """Reads a preset's name, or a section that begins with one and puts figures of its own in the place of some."""
    section = _section_hook(converter, Limits)

    def hook(raw: Any, wanted: Any) -> Limits:
        if isinstance(raw, str):
            return PRESETS[readers.preset(raw)]
        if not isinstance(raw, dict):
            raise ValueError(f"must be a preset ({', '.join(PRESETS)}) or a mapping, not {readers.kind_of(raw)}")
        read = section(raw, wanted)
        own = {name: getattr(read, name) for name, value in raw.items() if not _is_zero(value)}
        return attrs.evolve(PRESETS[read.preset], **own)

    return hook


def _hook(reader: Reader) -> Any:
    return lambda value, _: reader(value)


def _container_hook(converter: Converter) -> Any:
    def hook(value: Any, wanted: Any) -> Any:
        expected = list if wanted.__origin__ is tuple else dict
        if not isinstance(value, expected):
            raise ValueError(f"must be {readers.kind_of(expected())}, not {readers.kind_of(value)}")
        return converter.structure(value, wanted)

    return hook


def _is_zero(value: Any) -> bool:
    """Whether a value says no more than an absent key; `false` says more."""
    return value is None or (value in ("", 0) and not isinstance(value, bool))


_CONVERTER = _converter()
