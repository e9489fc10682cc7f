"""`client-config.yml`: read in the Go original's way, where a key that nobody knows is no error.

It is one worth a warning, though: it is a typing error more often than not. Wrong values of known keys are errors, all
of them at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs

from acme_manager.client.commands import Command
from acme_manager.client.model import ClientConfig, Common, Format, KeyRenewal, Wanted
from acme_manager.client.probe import parse_check
from acme_manager.config import readers
from acme_manager.config.document import Document, Steps, read_document
from acme_manager.config.environment import with_vault_variables
from acme_manager.config.model import VaultConfig
from acme_manager.config.schema import Problem, keys_of, register, structure, unknown_key
from acme_manager.domain.certificate import parse_labels
from acme_manager.domain.durations import parse_prometheus_duration
from acme_manager.domain.keys import parse_key_type
from acme_manager.domain.names import parse_identifier, parse_san
from acme_manager.domain.renewal import parse_window
from acme_manager.errors import Complaint, ConfigInvalid, InvalidRequest

T = TypeVar("T", bound=attrs.AttrsInstance)

_TOP = ("common", "certificate", "storage")
_DAY = 86400.0


@attrs.frozen(kw_only=True)
class Loaded:
    """A configuration, what is doubtful about it, and the SHA-256 of the file in hex."""

    config: ClientConfig
    warnings: tuple[Complaint, ...]
    digest: str


def load_client(path: Path, environ: Mapping[str, str]) -> Loaded:
    """Read the file. Raises ConfigInvalid with everything that is wrong."""
    reading = _Reading(read_document(path))
    top = reading.known((), reading.document.content, _TOP)
    common = reading.section(("common",), top.get("common"), Common)
    certificates = _certificates(reading, top.get("certificate"), common or Common())
    storage = reading.known(("storage",), top.get("storage"), ("vault",))
    vault = None
    if storage.get("vault"):
        vault = reading.section(("storage", "vault"), storage["vault"], VaultConfig)
    if vault is not None:
        vault = with_vault_variables(vault, environ, reading.complaints)
    if common is not None:
        for steps, message in _together(common, vault, path, backed="vault" in storage):
            reading.complain(steps, message)
    if reading.complaints or common is None:
        raise ConfigInvalid(str(path), reading.complaints)
    config = ClientConfig(common=common, certificates=tuple(certificates), vault=vault)
    return Loaded(config=config, warnings=tuple(reading.warnings), digest=reading.document.digest)


def _certificates(reading: _Reading, raw: Any, common: Common) -> list[Wanted]:
    if raw is None:
        return []
    if not isinstance(raw, list):
        reading.complain(("certificate",), f"must be a list, not {readers.kind_of(raw)}")
        return []
    found: list[Wanted] = []
    for index, one in enumerate(raw):
        steps: Steps = ("certificate", index)
        wanted = reading.section(steps, one, Wanted)
        if wanted is None:
            continue
        for key, message in _within(wanted, common):
            reading.complain((*steps, key) if key else steps, message)
        if any(other.identity == wanted.identity for other in found):
            reading.complain(steps, _twice(wanted))
        found.append(wanted)
    return found


def _twice(wanted: Wanted) -> str:
    """In the Go original's words."""
    if wanted.name:
        return f"found multiple certificate config with name '{wanted.name}'"
    return f"found multiple certificate config with issuer '{wanted.issuer}' and domain '{wanted.domain}'"


def _within(wanted: Wanted, common: Common) -> Iterator[tuple[str, str]]:
    """What must hold between the values of one certificate."""
    if wanted.dns_challenge and wanted.http_challenge:
        yield "", "'dns_challenge' and 'http_challenge' are mutually exclusive"
    if problem := _command_trouble(wanted.post_cmd_run, common):
        yield "post_cmd_run", problem
    days = wanted.days or common.cert_days
    if days and wanted.renewal_days:
        longest = parse_window(wanted.renewal_days).earliest
        if longest >= days:
            yield "renewal_days", f"must be below 'days', which is {days}"


def _together(common: Common, vault: VaultConfig | None, path: Path, *, backed: bool) -> Iterator[Problem]:
    """What must hold between sections."""
    folder = common.certificate_dir
    if common.certificate_deploy and folder is None:
        yield ("common", "certificate_dir"), "is missing: with 'certificate_deploy: true' it says where the files go"
    if folder is not None and folder.resolve() == path.resolve().parent:
        yield ("common", "certificate_dir"), "must be another folder than that of the configuration file"
    if common.certificate_backup and vault is None and not backed:
        yield ("storage", "vault"), "is missing: with 'certificate_backup: true' it says where keys are kept"
    endings = [common.certificate_file_ext, common.certificate_keyfile_ext, common.certificate_ca_file_ext]
    for key in ("pre_cmd_run", "post_cmd_run"):
        if problem := _command_trouble(getattr(common, key), common):
            yield ("common", key), problem
    if len(set(endings)) < len(endings):
        yield ("common", "certificate_file_ext"), "and the extensions of key and CA files must differ from each other"
    if common.http_client_retry_wait_min > common.http_client_retry_wait_max:
        yield ("common", "http_client_retry_wait_min"), "must not be above 'http_client_retry_wait_max'"


def _command_trouble(text: str, common: Common) -> str:
    try:
        empty = text and not Command(text=text, timeout=1, shell=common.cmd_shell).arguments
    except ValueError as error:
        return f"can't be split into arguments: {error}"
    return "is blank" if empty else ""


class _Reading:
    """One file being read: what it says, what is wrong with it and what is doubtful so far."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.complaints = list(document.doubled)
        self.warnings: list[Complaint] = []

    def complain(self, steps: Steps, message: str) -> None:
        self.complaints.append(self.document.complaint(steps, message))

    def known(self, steps: Steps, raw: Any, keys: Iterable[str]) -> dict[str, Any]:
        """What a mapping has under these keys; others are worth a warning."""
        if raw is None:
            return {}
        if not isinstance(raw, dict):
            self.complain(steps, f"must be a mapping, lines of 'key: value', not {readers.kind_of(raw)}")
            return {}
        known = sorted(keys)
        for key in raw:
            if key not in known:
                self.warnings.append(self.document.complaint((*steps, str(key)), unknown_key(key, known)))
        return {key: value for key, value in raw.items() if key in known}

    def section(self, steps: Steps, raw: Any, section: type[T]) -> T | None:
        """One section; none when something is wrong in it."""
        before = len(self.complaints)
        value, problems = structure(self.known(steps, raw, keys_of(section)), section)
        for inner, message in problems:
            self.complain((*steps, *inner), message)
        return value if len(self.complaints) == before else None


def _mode(value: Any) -> int:
    """An octal mode: `0600` (YAML reads it as octal), `0o600`, or either in quotes."""
    wrong = "must be an octal mode that begins with 0, like 0600"
    if isinstance(value, str) and re.fullmatch("0o?[0-7]{3}|[0-7]{3}", value):
        return int(value.removeprefix("0o"), 8)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= 0o777:
        raise ValueError(wrong)
    return value


def _ending(value: Any) -> str:
    if "/" in readers.filled(value):
        raise ValueError("must be the end of a file's name, without a slash, like .crt")
    return str(value)


def _in_path(value: Any) -> str:
    """A name that becomes part of paths and URLs."""
    if re.search(r"[/\\\x00-\x1f]", readers.filled(value)) or ".." in value or value == ".":
        raise ValueError("must be a name without slashes and '..': it is part of file names")
    return str(value)


def _delay(value: Any) -> float:
    try:
        return parse_prometheus_duration(readers.text(value))
    except ValueError as error:
        raise ValueError(f"must be a duration like 12h, 7d or 1w: {error}") from None


def _in_our_words(read: Any) -> readers.Reader:
    """A reader of the API's own rules, which it applies to what will be sent."""

    def reader(value: Any) -> str:
        try:
            read(readers.text(value))
        except InvalidRequest as error:
            raise ValueError(str(error)) from None
        return str(value)

    return reader


def _domain(value: Any) -> str:
    """As the server spells it: in lower case, and in ASCII."""
    try:
        return parse_identifier(readers.text(value)).value
    except InvalidRequest as error:
        raise ValueError(str(error)) from None


def _statuses(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise ValueError(f"must be a list, not {readers.kind_of(value)}")
    return tuple(readers.whole(400, 599)(one) for one in value)


def _formats(value: Any) -> tuple[Format, ...]:
    if not isinstance(value, list):
        raise ValueError(f"must be a list, not {readers.kind_of(value)}")
    unknown = [one for one in value if one not in set(Format)]
    if unknown:
        raise ValueError(f"must be of {', '.join(Format)}")
    return tuple(dict.fromkeys(Format(one) for one in value))


def _key_renewal(value: Any) -> KeyRenewal:
    if readers.text(value) not in set(KeyRenewal):
        raise ValueError(f"must be one of {', '.join(KeyRenewal)}")
    return KeyRenewal(value)


_SECONDS = readers.seconds(1, _DAY)
_WAIT = readers.seconds(0.001, 3600)
_DAYS = readers.whole(0, 2**31 - 1)

register(
    Common,
    {
        "cert_days": _DAYS,
        "cert_days_renewal": readers.renewal_window,
        **dict.fromkeys(("certificate_dir_perm", "certificate_file_perm", "certificate_keyfile_perm"), _mode),
        **dict.fromkeys(("certificate_file_ext", "certificate_keyfile_ext", "certificate_ca_file_ext"), _ending),
        "certificate_dir": readers.path,
        **dict.fromkeys(("certificate_timeout", "pre_cmd_timeout", "post_cmd_timeout"), _SECONDS),
        "delay_before_delete": _delay,
        "http_client_retry_max": readers.whole(1, 1000),
        "http_client_retry_wait_min": _WAIT,
        "http_client_retry_wait_max": _WAIT,
        "http_client_retry_status_code": _statuses,
    },
)
register(
    Wanted,
    {
        "domain": _domain,
        "issuer": _in_path,
        "name": _in_path,
        "san": _in_our_words(parse_san),
        "days": _DAYS,
        "renewal_days": readers.renewal_window,
        "key_type": _in_our_words(parse_key_type),
        "labels": _in_our_words(parse_labels),
        "formats": _formats,
        "key_renewal": _key_renewal,
        "check": _in_our_words(parse_check),
    },
    {"domain": "the main name of the certificate", "issuer": "the name of an issuer of the server"},
)
