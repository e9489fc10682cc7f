"""What the server is told of this host: which certificates are installed here, and which of them services show."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from datetime import UTC, datetime

import attrs
import httpx
import structlog

from acme_manager import __version__
from acme_manager.client.manager import Manager, ManagerRefused
from acme_manager.client.plan import OnDisk, Situation, Unknown
from acme_manager.client.probe import Served
from acme_manager.client.record import Entry
from acme_manager.domain import report as told
from acme_manager.domain.certificate import Certificate
from acme_manager.domain.gotime import rfc3339
from acme_manager.errors import AcmeManagerError

_log = structlog.get_logger(__name__)

_AGAIN = 3600.0  # seconds: a host that says nothing for a week is forgotten
_FOREIGN = re.compile(r"[^A-Za-z0-9._:-]")


@attrs.frozen
class Look:
    """The outcome of a check, and when it was made in Unix seconds."""

    served: Served
    at: float


def this_host() -> str:
    """What this host calls itself, in the characters that a report may have."""
    return _FOREIGN.sub("-", socket.gethostname())[:253] or "localhost"


def report_of(host: str, situation: Situation, looks: Mapping[str, Look]) -> told.Report:
    """What a run has found on disk, and at what it has checked; `looks` are by identity.

    More certificates than the server takes are left out, the last by name.
    """
    server = {} if isinstance(situation.server, Unknown) else situation.server
    found = [
        _installed(situation, identity, disk, server.get(identity), looks.get(identity))
        for identity, disk in sorted(situation.disk.items())
        if disk.fingerprint
    ]
    return told.Report(host=host, version=__version__, certificates=tuple(found[: told.MOST_CERTIFICATES]))


class Reporter:
    """Sends a report when it says something new, else now and then."""

    def __init__(self) -> None:
        self._last: told.Report | None = None
        self._due = 0.0

    async def offer(self, manager: Manager, report: told.Report, now: float) -> None:
        """Send a report if it is time to; `now` is in Unix seconds. One that can't be sent is only logged."""
        if report.facts == self._last and now < self._due:
            return
        try:
            await manager.report(told.report_to_json(report))
        except ManagerRefused as error:
            if error.status != httpx.codes.NOT_FOUND:  # that is a server which takes no reports
                _log.warning("report refused", err=str(error))
        except AcmeManagerError as error:  # it goes with the next run
            _log.warning("report not sent", err=str(error))
            return
        self._last, self._due = report.facts, now + _AGAIN


def _installed(
    situation: Situation, identity: str, disk: OnDisk, present: Certificate | None, look: Look | None
) -> told.Installed:
    wanted, entry = situation.config.wanted.get(identity), situation.record.get(identity)
    named = next(
        (one for one in (wanted, present, entry) if one is not None), Entry(issuer="", domain="", name=identity)
    )
    is_current = present is not None and present.fingerprint == disk.fingerprint
    return told.Installed(
        issuer=named.issuer,
        domain=named.domain,
        name=named.name,
        fingerprint=disk.fingerprint,
        serial=present.serial if present is not None and is_current else "",
        installed_at=_time(entry.installed_at) if entry is not None and entry.installed_at else "",
        check=wanted.check if wanted is not None else "",
        served=None if look is None else _served(look),
    )


def _served(look: Look) -> told.Served:
    why = "".join(c if c.isprintable() else "?" for c in look.served.why)[: told.LONGEST_WHY]
    return told.Served(ok=look.served.ok, why=why, serial=look.served.serial, at=_time(look.at))


def _time(seconds: float) -> str:
    return rfc3339(datetime.fromtimestamp(seconds, UTC))
