from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from acme_manager.domain.certificate import CertificateId
from acme_manager.domain.rate_limit import Limit, Usage, give_back, spend
from acme_manager.errors import RateLimited

ID = CertificateId("alice", "test", "example.com")
START = datetime(2026, 11, 24, 12, tzinfo=UTC)

limits = st.builds(Limit, st.floats(0.5, 10_000), st.integers(1, 5))
pauses = st.lists(st.integers(0, 3_000_000), max_size=40)  # milliseconds


@given(limits, pauses)
def test_no_window_has_more_orders_than_places_and_who_waits_as_told_gets_one(limit: Limit, pauses: list[int]) -> None:
    usage: Usage | None = None
    at, taken = START, list[datetime]()
    for pause in pauses:
        at += timedelta(milliseconds=pause)
        try:
            usage = spend(usage, ID, limit, at)
        except RateLimited as refused:
            later = at + timedelta(seconds=refused.retry_after, milliseconds=1)
            assert spend(usage, ID, limit, later).request_count == 1
        else:
            taken.append(at)
            assert sum(usage.start <= one <= usage.end() for one in taken) == usage.request_count <= limit.max_requests


@given(limits, pauses)
def test_a_place_that_is_given_back_is_as_if_never_taken(limit: Limit, pauses: list[int]) -> None:
    usage: Usage | None = None
    at = START
    for pause in pauses:
        at += timedelta(milliseconds=pause)
        try:
            spent = spend(usage, ID, limit, at)
        except RateLimited:
            continue
        left = give_back(spent, spent)
        assert left == (usage if spent.request_count > 1 else None)
        usage = spent
