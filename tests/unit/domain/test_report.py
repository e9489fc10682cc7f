from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acme_manager.domain.certificate import Certificate
from acme_manager.domain.digest import digest_of
from acme_manager.domain.report import Installed, Report, Served, check_report, report_from_json, report_to_json
from acme_manager.errors import InvalidRequest

SERVED = Served(ok=False, why="shows another", serial="03", fingerprint="b" * 64, at="2026-11-24T12:00:02Z")
INSTALLED = Installed(
    issuer="le",
    domain="a.example",
    fingerprint="a" * 64,
    serial="04",
    installed_at="2026-11-24T12:00:00Z",
    served=SERVED,
)
REPORT = Report(host="web1.example.com", version="1.0.0", certificates=(INSTALLED,))

texts = st.text(max_size=20)
certificates = st.builds(
    Certificate, owner=texts, issuer=texts, domain=texts, fingerprint=texts, updated_at=st.integers(0, 2**60)
)


def test_a_report_is_read_as_it_was_written() -> None:
    assert report_from_json(report_to_json(REPORT)) == REPORT
    assert report_to_json(Report(host="a")) == {"host": "a"}
    check_report(REPORT)


@pytest.mark.parametrize("record", [{"certificates": 1}, {"certificates": [1]}, 1])
def test_a_record_of_another_shape_is_a_value_error(record: Any) -> None:
    with pytest.raises(ValueError, match="no report"):
        report_from_json(record)


def test_the_time_of_a_check_makes_no_new_report_but_its_outcome_does() -> None:
    later = attrs.evolve(INSTALLED, served=attrs.evolve(SERVED, at="2026-11-24T13:00:00Z"))
    assert attrs.evolve(REPORT, certificates=(later,)).facts == REPORT.facts
    well = attrs.evolve(INSTALLED, served=attrs.evolve(SERVED, ok=True))
    assert attrs.evolve(REPORT, certificates=(well,)).facts != REPORT.facts


@pytest.mark.parametrize(
    ("report", "where"),
    [
        (attrs.evolve(REPORT, host=""), "host"),
        (attrs.evolve(REPORT, host="a/b"), "host"),
        (attrs.evolve(REPORT, host="a" * 254), "host"),
        (attrs.evolve(REPORT, version="1\n0"), "version"),
        (attrs.evolve(REPORT, certificates=(INSTALLED,) * 1001), "certificates"),
        (attrs.evolve(REPORT, certificates=(INSTALLED, Installed(issuer="le"))), "certificates/1/domain"),
        (attrs.evolve(REPORT, certificates=(Installed(domain="a"),)), "certificates/0/issuer"),
        (attrs.evolve(REPORT, certificates=(attrs.evolve(INSTALLED, serial="0" * 254),)), "certificates/0/serial"),
        (
            attrs.evolve(REPORT, certificates=(attrs.evolve(INSTALLED, installed_at="yesterday"),)),
            "certificates/0/installed_at",
        ),
        (
            attrs.evolve(REPORT, certificates=(attrs.evolve(INSTALLED, served=Served(why="x" * 501)),)),
            "certificates/0/served/why",
        ),
        (
            attrs.evolve(REPORT, certificates=(attrs.evolve(INSTALLED, served=Served(at="2026-11-24T12:00:00")),)),
            "certificates/0/served/at",
        ),
    ],
)
def test_what_is_wrong_with_a_report_is_named(report: Report, where: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_report(report)
    assert [one.where for one in caught.value.complaints] == [where]
    assert where in str(caught.value)


def test_all_complaints_come_at_once() -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_report(Report(host="", version="\0", certificates=(Installed(),)))
    assert [one.where for one in caught.value.complaints] == ["host", "version", "certificates/0/issuer"]


@given(st.lists(certificates, max_size=6), st.randoms())
def test_the_digest_depends_on_what_there_is_and_not_on_the_order(found: list[Certificate], random: Any) -> None:
    shuffled = random.sample(found, len(found))
    assert digest_of(shuffled) == digest_of(found)
    if found:
        assert digest_of(found[1:]) != digest_of(found)
        assert digest_of([attrs.evolve(found[0], fingerprint=found[0].fingerprint + "x"), *found[1:]]) != digest_of(
            found
        )
        assert digest_of([attrs.evolve(found[0], labels="env=prod"), *found[1:]]) == digest_of(found)
