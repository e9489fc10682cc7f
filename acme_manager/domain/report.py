"""What a host says of the certificates that are installed on it, and of those that its services show."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import attrs
from cattrs import Converter
from cattrs.gen import make_dict_unstructure_fn

from acme_manager.errors import Complaint, InvalidRequest

MOST_CERTIFICATES, LONGEST_WHY = 1000, 500  # the latter in characters
_HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}")
_LONGEST = 253


@attrs.frozen(kw_only=True)
class Served:
    """What a service showed when it was asked. `why` says what is wrong if it is not `ok`; `at` is in RFC 3339."""

    ok: bool = False
    why: str = ""
    serial: str = ""
    fingerprint: str = ""
    at: str = ""


@attrs.frozen(kw_only=True)
class Installed:
    """A certificate in use on a host: which one it is, and who shows it where a check is configured.

    `fingerprint` is the server's; `installed_at` is in RFC 3339; `check` is `host:port` or `host:port/protocol`.
    """

    issuer: str = ""
    domain: str = ""
    name: str = ""
    fingerprint: str = ""
    serial: str = ""
    installed_at: str = ""
    check: str = ""
    served: Served | None = None

    def key(self, owner: str) -> str:
        """The certificate's key (CertificateId.key)."""
        return f"{owner}/{self.name}" if self.name else f"{owner}/{self.issuer}/{self.domain}"


@attrs.frozen(kw_only=True)
class Report:
    """Everything that one host has. `version` is the agent's."""

    host: str = ""
    version: str = ""
    certificates: tuple[Installed, ...] = ()

    @property
    def facts(self) -> Report:
        """The same without the times of the checks: what makes a report a new one."""
        return attrs.evolve(self, certificates=tuple(map(_without_time, self.certificates)))


_converter = Converter()
for _shape in (Served, Installed, Report):
    _converter.register_unstructure_hook(
        _shape, make_dict_unstructure_fn(_shape, _converter, _cattrs_omit_if_default=True)
    )


def report_to_json(report: Report) -> dict[str, Any]:
    """The report without the members that have their zero value."""
    record: dict[str, Any] = _converter.unstructure(report)
    return record


def report_from_json(record: Mapping[str, Any]) -> Report:
    """Read a report that a node has kept. Raises ValueError."""
    try:
        return _converter.structure(record, Report)
    except Exception as error:
        raise ValueError(f"no report: {error}") from error


def check_report(report: Report) -> None:
    """Raise InvalidRequest with every complaint."""
    complaints: list[Complaint] = []
    if not _HOST.fullmatch(report.host):
        complaints.append(
            Complaint("host", "'host' must be a name of 1 to 253 letters, digits and the characters '.', '_', ':', '-'")
        )
    complaints += _texts("", {"version": report.version})
    if len(report.certificates) > MOST_CERTIFICATES:
        found = len(report.certificates)
        complaints.append(
            Complaint("certificates", f"'certificates' has {found} elements, and at most {MOST_CERTIFICATES} are kept")
        )
    else:
        for index, one in enumerate(report.certificates):
            complaints += _check(one, f"certificates/{index}/")
    if complaints:
        raise InvalidRequest(complaints[0].message, complaints[0].where, complaints)


def _check(installed: Installed, where: str) -> Iterable[Complaint]:
    if not installed.name and not (installed.issuer and installed.domain):
        missing = "domain" if installed.issuer else "issuer"
        yield Complaint(
            where + missing, f"'{where}{missing}': name the certificate by 'issuer' and 'domain', or 'name'"
        )
    texts = attrs.asdict(installed, filter=lambda field, _: field.name != "served")
    yield from _texts(where, texts, time="installed_at")
    if installed.served is not None:
        texts = attrs.asdict(installed.served, filter=lambda field, _: field.name != "ok")
        yield from _texts(f"{where}served/", texts, time="at")


def _texts(where: str, texts: Mapping[str, str], time: str = "") -> Iterable[Complaint]:
    for field, text in texts.items():
        longest = LONGEST_WHY if field == "why" else _LONGEST
        if len(text) > longest or not text.isprintable():
            yield Complaint(where + field, f"'{where}{field}' must have at most {longest} printable characters")
        elif text and field == time and not _is_time(text):
            yield Complaint(where + field, f"'{where}{field}' must be a time like '2026-11-24T12:00:00Z' (RFC 3339)")


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _without_time(installed: Installed) -> Installed:
    if installed.served is None:
        return installed
    return attrs.evolve(installed, served=attrs.evolve(installed.served, at=""))
