"""Tests of acme_manager/web/remedies.py."""

from __future__ import annotations

import re

from acme_manager.api.problem_kinds import ALL_KINDS
from acme_manager.web.remedies import REMEDIES, TITLES, for_people

FOR_PROGRAMS = re.compile(
    r"`|\b(GET|PUT|POST|DELETE|Retry-After|Authorization|complaints|issuer_problem)\b|/api/|/ready|/ring"
)


def test_people_are_told_nothing_of_requests_headers_and_members() -> None:
    for kind in ALL_KINDS:
        title, remedy = for_people(kind)
        assert title
        assert not FOR_PROGRAMS.search(title + remedy), kind.slug


def test_every_remedy_is_for_a_problem_that_there_is() -> None:
    assert REMEDIES.keys() | TITLES.keys() <= {kind.slug for kind in ALL_KINDS}
