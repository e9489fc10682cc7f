from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import attrs
import pytest
import structlog.testing

from acme_manager.domain.certificate import Certificate, CertificateId
from acme_manager.domain.report import Installed, Report, Served
from acme_manager.errors import InvalidRequest
from acme_manager.ring.alone import Alone
from acme_manager.services import reports as module
from acme_manager.services.reports import Reports, Standing
from tests.unit.services.world import MovableClock

ID = CertificateId("alice", "le", "a.example")
NEW = Certificate(owner="alice", issuer="le", domain="a.example", fingerprint="new")
INSTALLED = Installed(issuer="le", domain="a.example", fingerprint="new")
REPORT = Report(host="web1", version="1", certificates=(INSTALLED,))


@attrs.frozen
class Shelf:
    cluster: Alone
    clock: MovableClock
    reports: Reports

    @property
    def stamps(self) -> list[int]:
        """When each host's report was noted."""
        return [host.at for host, _ in self.reports.of(ID)]


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    cluster, clock = Alone(), MovableClock()
    reports = Reports(cluster, clock)
    with reports.following():
        yield Shelf(cluster, clock, reports)


def test_a_host_is_known_by_its_last_report_on_every_node(shelf: Shelf) -> None:
    shelf.reports.take("alice", REPORT)
    shelf.reports.take("alice", attrs.evolve(REPORT, host="web2", certificates=(attrs.evolve(INSTALLED, serial="2"),)))
    other = Reports(shelf.cluster, shelf.clock)
    with other.following():
        for one in (shelf.reports, other):
            assert [(host.report.host, found.serial) for host, found in one.of(ID)] == [("web1", ""), ("web2", "2")]
            assert one.hosts() == {"alice": 2}
    shelf.reports.take("alice", attrs.evolve(REPORT, certificates=()))
    assert [host.report.host for host, _ in shelf.reports.of(ID)] == ["web2"]
    assert shelf.reports.of(attrs.evolve(ID, owner="bob")) == []


def test_nothing_new_is_noted_once_an_hour(shelf: Shelf) -> None:
    shelf.reports.take("alice", REPORT)
    (first,) = shelf.stamps
    shelf.clock.at += timedelta(minutes=59)
    shelf.reports.take("alice", REPORT)
    assert shelf.stamps == [first]
    shelf.clock.at += timedelta(minutes=1)
    shelf.reports.take("alice", REPORT)
    assert shelf.stamps == [first + 3_600_000]
    shelf.reports.take("alice", changed := attrs.evolve(REPORT, version="2"))
    assert shelf.reports.of(ID)[0][0].report == changed


def test_a_host_is_forgotten_after_a_week(shelf: Shelf) -> None:
    shelf.reports.take("alice", REPORT)
    shelf.clock.at += timedelta(days=6)
    shelf.reports.take("alice", attrs.evolve(REPORT, host="web2"))
    shelf.clock.at += timedelta(days=1, seconds=1)
    shelf.reports.forget_old()
    assert [host.report.host for host, _ in shelf.reports.of(ID)] == ["web2"]
    assert shelf.reports.hosts() == {"alice": 1}


def test_an_entry_of_another_version_is_left_out_and_removed_with_the_old_ones(shelf: Shelf) -> None:
    with structlog.testing.capture_logs() as lines:
        for value in (b"x", b"[]", b"{}", b'{"at": 1, "report": {"certificates": [1]}}'):
            shelf.cluster.put("report/alice/web1", value)
    assert len(lines) == 4
    assert shelf.reports.hosts() == {}
    shelf.reports.forget_old()
    assert shelf.cluster.get("report/alice/web1") is None


def test_the_standing_of_a_certificate_counts_its_hosts(shelf: Shelf) -> None:
    assert shelf.reports.standing(NEW) is None
    wrong = attrs.evolve(INSTALLED, served=Served(ok=False))
    old = attrs.evolve(INSTALLED, fingerprint="old", served=Served(ok=True))
    for host, installed in (("a", INSTALLED), ("b", wrong), ("c", old), ("d", old)):
        shelf.reports.take("alice", Report(host=host, certificates=(installed,)))
    assert shelf.reports.standing(NEW) == Standing(outdated=2, not_served=1)


def test_a_certificate_is_found_by_its_name_where_it_has_one(shelf: Shelf) -> None:
    shelf.reports.take("alice", Report(host="a", certificates=(attrs.evolve(INSTALLED, name="web"),)))
    assert shelf.reports.of(ID) == []
    assert len(shelf.reports.of(CertificateId("alice", name="web"))) == 1


def test_too_much_is_refused_and_says_what_and_how_long(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidRequest, match=r"has \d+ bytes, and at most 65536 are kept of a host"):
        shelf.reports.take("alice", Report(host="a", certificates=(attrs.evolve(INSTALLED, serial="5" * 200),) * 500))
    with pytest.raises(InvalidRequest, match="shorten 'host'"):
        shelf.reports.take("a" * 300, Report(host="b" * 250))
    monkeypatch.setattr(module, "_MOST_HOSTS", 1)
    shelf.reports.take("alice", REPORT)
    with pytest.raises(InvalidRequest, match=r"1 hosts of 'alice' report already.*forgotten after 7 days"):
        shelf.reports.take("alice", attrs.evolve(REPORT, host="web2"))
    shelf.reports.take("alice", attrs.evolve(REPORT, version="2"))  # one that is known has its place
    shelf.reports.take("bob", REPORT)
    monkeypatch.setattr(module, "_MOST_BYTES", 300)
    with pytest.raises(InvalidRequest, match="the reports of all hosts have 300 bytes"):
        shelf.reports.take("bob", attrs.evolve(REPORT, version="3" * 200))
