from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
import structlog.testing

from acme_manager import __version__
from acme_manager.client.manager import Manager, ManagerRefused, ManagerUnavailable
from acme_manager.client.model import ClientConfig, Common, Wanted
from acme_manager.client.plan import OnDisk, Part, Situation, Unknown
from acme_manager.client.probe import Served
from acme_manager.client.record import Entry
from acme_manager.client.report import Look, Reporter, report_of, this_host
from acme_manager.domain import report as told
from acme_manager.domain.certificate import Certificate

HERE = OnDisk(certificate=Part.PRESENT, key=Part.PRESENT, chain=Part.PRESENT, fingerprint="new")
GONE = OnDisk(certificate=Part.MISSING, key=Part.PRESENT, chain=Part.MISSING)
WWW = Wanted(domain="www.example.com", issuer="le", check="127.0.0.1:443")
PRESENT = Certificate(owner="web", issuer="le", domain="www.example.com", fingerprint="new", serial="0a")


def situation(**changes: Any) -> Situation:
    facts: dict[str, Any] = {
        "config": ClientConfig(common=Common(certificate_dir=Path("/etc/ssl")), certificates=(WWW,)),
        "server": {WWW.identity: PRESENT},
        "disk": {WWW.identity: HERE},
        "record": {WWW.identity: Entry(issuer="le", domain="www.example.com", installed_at=1795521600.0)},
        "now": 0.0,
    }
    return Situation(**{**facts, **changes})


class Server(Manager):
    """Takes reports, or does not."""

    def __init__(self, trouble: Exception | None = None) -> None:
        self.taken: list[Mapping[str, Any]] = []
        self.trouble = trouble

    async def report(self, document: Mapping[str, Any]) -> None:
        self.taken.append(document)
        if self.trouble is not None:
            raise self.trouble


def test_what_is_on_disk_is_told_with_what_its_service_shows() -> None:
    look = Look(Served(ok=False, why="shows\n" + "x" * 600, serial="09"), 1795521602.0)
    found = report_of("web1", situation(), {WWW.identity: look})
    told.check_report(found)
    assert (found.host, found.version) == ("web1", __version__)
    (installed,) = found.certificates
    assert installed.served is not None
    assert installed.served.why == "shows?" + "x" * 494
    assert attrs.evolve(installed, served=None) == told.Installed(
        issuer="le",
        domain="www.example.com",
        fingerprint="new",
        serial="0a",
        installed_at="2026-11-24T12:00:00Z",
        check="127.0.0.1:443",
    )
    assert (installed.served.ok, installed.served.serial, installed.served.at) == (False, "09", "2026-11-24T12:00:02Z")


@pytest.mark.parametrize("server", [{}, Unknown("away"), {WWW.identity: attrs.evolve(PRESENT, fingerprint="newer")}])
def test_the_serial_of_what_the_server_does_not_have_is_not_guessed(server: Any) -> None:
    (installed,) = report_of("web1", situation(server=server, record={}), {}).certificates
    assert (installed.domain, installed.fingerprint, installed.serial) == ("www.example.com", "new", "")
    assert (installed.installed_at, installed.served) == ("", None)


def test_what_is_not_there_is_not_told_and_what_was_pulled_is() -> None:
    pulled = attrs.evolve(PRESENT, domain="b.example.com", name="b")
    found = report_of("web1", situation(disk={WWW.identity: GONE, "b": HERE}, server={"b": pulled}, record={}), {})
    assert [(one.name, one.domain) for one in found.certificates] == [("b", "b.example.com")]
    told.check_report(found)


def test_no_more_is_told_than_the_server_takes() -> None:
    found = report_of("web1", situation(disk={f"n{number:04}": HERE for number in range(1001)}), {})
    told.check_report(found)
    assert len(found.certificates) == 1000


def test_the_host_has_a_name_that_a_report_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, expected in (("web1.example.com", "web1.example.com"), ("büro 1", "b-ro-1"), ("", "localhost")):
        monkeypatch.setattr("socket.gethostname", lambda name=name: name)
        assert this_host() == expected
        told.check_report(told.Report(host=this_host()))


async def test_a_report_is_sent_when_it_is_new_and_once_an_hour() -> None:
    server, reporter = Server(), Reporter()
    report = told.Report(host="a", certificates=(told.Installed(name="b", served=told.Served(ok=True, at="1")),))
    later = attrs.evolve(report, certificates=(told.Installed(name="b", served=told.Served(ok=True, at="2")),))
    failed = attrs.evolve(report, certificates=(told.Installed(name="b", served=told.Served(ok=False, at="3")),))
    for now, offered, sent in ((0, report, 1), (60, later, 1), (120, failed, 2), (3719, failed, 2), (3720, failed, 3)):
        await reporter.offer(server, offered, now)
        assert len(server.taken) == sent
    assert server.taken[0] == told.report_to_json(report)


@pytest.mark.parametrize(
    ("trouble", "sent", "lines"),
    [
        (ManagerUnavailable("away"), 2, 2),
        (ManagerRefused("no such route", 404), 1, 0),  # a server of the Go original
        (ManagerRefused("too many hosts", 400), 1, 1),
    ],
)
async def test_a_report_that_is_not_taken_harms_nothing(trouble: Exception, sent: int, lines: int) -> None:
    server, reporter = Server(trouble), Reporter()
    with structlog.testing.capture_logs() as said:
        for now in (0, 60):
            await reporter.offer(server, told.Report(host="a"), now)
    assert (len(server.taken), len(said)) == (sent, lines)
