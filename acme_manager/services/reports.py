"""What hosts say is installed and served there: kept in the shared map, so that every node can show it.

It is a host's word, and nothing but figures for people depends on it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta

import attrs
import structlog

from acme_manager.domain.certificate import Certificate, CertificateId
from acme_manager.domain.gotime import milliseconds
from acme_manager.domain.report import Installed, Report, check_report, report_from_json, report_to_json
from acme_manager.errors import InvalidRequest
from acme_manager.ports import Clock, SharedMap

_log = structlog.get_logger(__name__)

_PREFIX = "report/"  # followed by owner and host
_MOST_HOSTS = 10_000  # of one owner
_MOST_BYTES = 32 * 1024 * 1024  # of all reports: every node holds them in memory
_LONGEST = 64 * 1024  # bytes of one; the shared map takes no more
_LONGEST_KEY = 512  # bytes, likewise
_AGAIN = 3600 * 1000  # milliseconds; a report that says nothing new is noted when the last is older
_KEPT = timedelta(days=7)


@attrs.frozen(kw_only=True)
class HostReport:
    """The last word of a host. `at` is when it came, in Unix milliseconds."""

    owner: str
    report: Report
    at: int
    size: int  # bytes in the shared map


@attrs.frozen
class Standing:
    """How a certificate's hosts are doing."""

    outdated: int  # have another one installed than the current one
    not_served: int  # were checked, and do not show what is installed


class Reports:
    """Written by the node that leads, read by all."""

    def __init__(self, shared: SharedMap, clock: Clock) -> None:
        self._shared, self._clock = shared, clock
        self._reports: dict[str, HostReport] = {}  # by key of the shared map
        self._installed: dict[str, dict[str, Installed]] = {}  # by the certificate's key, then as above
        self._hosts: Counter[str] = Counter()
        self._bytes = 0
        self._listeners: list[Callable[[str], None]] = []

    @contextmanager
    def watched_by(self, listener: Callable[[str], None]) -> Iterator[None]:
        """For the length of a block, call `listener` with the key of every certificate that a host says something new
        of. It must neither block nor raise."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    @contextmanager
    def following(self) -> Iterator[None]:
        """Keep up with the shared map for the length of a block."""
        with self._shared.watch(_PREFIX, self._changed):
            yield

    def take(self, owner: str, report: Report) -> None:
        """As the leader, keep a report unless it says nothing new. Raises InvalidRequest, NotLeader, NoQuorum."""
        check_report(report)
        key, now = f"{_PREFIX}{owner}/{report.host}", milliseconds(self._clock.now())
        known = self._reports.get(key)
        if known is not None and known.report.facts == report.facts and now - known.at < _AGAIN:
            return
        value = json.dumps({"at": now, "report": report_to_json(report)}, separators=(",", ":")).encode()
        self._check_room(owner, key, known, len(value))
        self._shared.put(key, value)

    def of(self, id: CertificateId) -> Sequence[tuple[HostReport, Installed]]:
        """The hosts that have a certificate of that identity, by name."""
        found = self._installed.get(id.key, {})
        return [(self._reports[key], found[key]) for key in sorted(found)]

    def hosts(self) -> Mapping[str, int]:
        """How many hosts report, by owner."""
        return self._hosts

    def certificates(self) -> Collection[str]:
        """The keys of all certificates that a host reports; a view."""
        return self._installed.keys()

    def standing(self, certificate: Certificate) -> Standing | None:
        """How the hosts of a certificate are doing; None when none reports it."""
        installed = self._installed.get(certificate.id.key)
        if installed is None:
            return None
        found = installed.values()
        return Standing(
            outdated=sum(one.fingerprint != certificate.fingerprint for one in found),
            not_served=sum(one.served is not None and not one.served.ok for one in found),
        )

    def forget_old(self) -> None:
        """As the leader, drop hosts that have not reported for a week. Raises NotLeader, NoQuorum."""
        before = milliseconds(self._clock.now() - _KEPT)
        for key, _ in list(self._shared.items(_PREFIX)):
            known = self._reports.get(key)
            if known is None or known.at < before:
                self._shared.remove(key)

    def _check_room(self, owner: str, key: str, known: HostReport | None, size: int) -> None:
        week = f"hosts that report no more are forgotten after {_KEPT.days} days"
        if len(key.encode()) > _LONGEST_KEY:
            raise InvalidRequest("the names of owner and host are too long together: shorten 'host'", "host")
        if size > _LONGEST:
            raise InvalidRequest(
                f"the report has {size} bytes, and at most {_LONGEST} are kept of a host: report fewer certificates",
                "certificates",
            )
        if known is None and self._hosts[owner] >= _MOST_HOSTS:
            raise InvalidRequest(f"{_MOST_HOSTS} hosts of '{owner}' report already, and no more may: {week}", "host")
        if self._bytes + size - (known.size if known else 0) > _MOST_BYTES:
            raise InvalidRequest(f"the reports of all hosts have {_MOST_BYTES} bytes, and no more may: {week}", "host")

    def _changed(self, key: str, value: bytes | None) -> None:
        old = self._reports.get(key)
        self._replace(key, value)
        known = [one for one in (old, self._reports.get(key)) if one is not None]
        for touched in {one.key(host.owner): None for host in known for one in host.report.certificates}:
            for listener in self._listeners:
                listener(touched)

    def _replace(self, key: str, value: bytes | None) -> None:
        if (old := self._reports.pop(key, None)) is not None:
            self._hosts[old.owner] -= 1
            if not self._hosts[old.owner]:
                del self._hosts[old.owner]
            self._bytes -= old.size
            for one in old.report.certificates:
                of_certificate = self._installed.get(one.key(old.owner), {})
                of_certificate.pop(key, None)
                if not of_certificate:
                    self._installed.pop(one.key(old.owner), None)
        if value is None:
            return
        try:
            new = _decode(key, value)
        except ValueError as error:  # a node of another version wrote it
            _log.warning("report of a host can't be read, left out", key=key, error=str(error))
            return
        self._reports[key] = new
        self._hosts[new.owner] += 1
        self._bytes += new.size
        for one in new.report.certificates:
            self._installed.setdefault(one.key(new.owner), {})[key] = one


def _decode(key: str, value: bytes) -> HostReport:
    owner, _, host = key.removeprefix(_PREFIX).partition("/")
    try:
        record = json.loads(value)
        report = attrs.evolve(report_from_json(record["report"]), host=host)
        return HostReport(owner=owner, report=report, at=int(record["at"]), size=len(value))
    except (KeyError, TypeError) as error:
        raise ValueError(f"no report: {error!r}") from error
