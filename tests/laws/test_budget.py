from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from acme_manager.domain.budget import Bucket, Kind, Limit, Limits, Wanted, refund, spend
from acme_manager.domain.names import parse_identifier
from tests.fakes.limits import TokenBucket

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
NONE = timedelta()

limits = st.builds(
    Limit, st.integers(1, 2000), st.one_of(st.sampled_from([1.0, 3600.0, 10800.0, 604800.0]), st.floats(0.5, 10**8))
)
small_limits = st.builds(Limit, st.integers(1, 4), st.just(3600.0))
pauses = st.lists(st.tuples(st.floats(0, 2), st.floats(0, 1)), max_size=60)  # in intervals; in lags


def window(limit: Limit) -> timedelta:
    return limit.interval * limit.count


@given(limits, st.floats(-2, 3), st.floats(0, 1))
def test_a_wait_is_exact(limit: Limit, drained: float, keep: float) -> None:
    full_at = START + window(limit) * drained
    wait = limit.wait(full_at, START, keep=keep)
    later = START + timedelta(seconds=wait.total_seconds())  # callers get seconds
    # A bucket beyond empty counts as empty: for such a one this holds once it is believed.
    if full_at - START <= window(limit) + limit.lag:
        assert limit.wait(full_at, later, keep=keep) == NONE
        assert not wait or limit.wait(full_at, later - MOMENT, keep=keep) == MOMENT
    assert wait <= window(limit) + limit.lag


@given(limits, st.floats(-2, 3))
def test_there_is_a_token_exactly_when_there_is_nothing_to_wait_for(limit: Limit, drained: float) -> None:
    full_at = START + window(limit) * drained
    assert 0 <= limit.left(full_at, START) <= limit.count
    assert (limit.left(full_at, START) > 0) == (limit.wait(full_at, START) == NONE)


@given(limits, pauses)
def test_who_waits_is_never_refused_by_a_ca_that_counts_within_the_lag(
    limit: Limit, pauses: list[tuple[float, float]]
) -> None:
    now = full_at = START
    ca = TokenBucket(limit.count, timedelta(seconds=limit.period), START)
    due: list[datetime] = []
    for pause, lag in pauses:
        now += limit.interval * pause
        now += limit.wait(full_at, now)
        for counted in sorted(at for at in due if at <= now):
            ca.take(counted)
            due.remove(counted)
        assert ca.missing(now) == NONE
        full_at = limit.spend(full_at, now)
        due.append(now + limit.lag * lag)


@given(limits, pauses)
def test_no_stretch_of_time_sees_more_than_a_full_bucket_and_what_comes_back_meanwhile(
    limit: Limit, pauses: list[tuple[float, float]]
) -> None:
    now = full_at = START
    spent: list[datetime] = []
    for pause, _ in pauses:
        now += limit.interval * pause
        now += limit.wait(full_at, now)
        full_at = limit.spend(full_at, now)
        spent.append(now)
    for first, begin in enumerate(spent):
        for last in range(first, len(spent)):
            assert last - first + 1 <= limit.count + (spent[last] - begin) / limit.interval


@given(limits, pauses)
def test_spending_without_asking_empties_a_bucket_and_does_no_more(
    limit: Limit, pauses: list[tuple[float, float]]
) -> None:
    now = full_at = START
    for pause, _ in pauses:
        now += limit.interval * pause
        before, full_at = full_at, limit.spend(full_at, now)
        assert full_at >= before
        assert full_at - now <= window(limit) + limit.lag
        assert limit.wait(full_at, now) <= limit.interval + limit.lag


@given(st.integers(20, 2000), st.floats(60, 10**8), st.integers(1, 500))
def test_who_leaves_a_share_finds_others_with_it(count: int, period: float, orders: int) -> None:
    limit, now, full_at = Limit(count, period), START, START
    for _ in range(orders):
        now += limit.wait(full_at, now, keep=0.1)
        full_at = limit.spend(full_at, now)
    # The lag counts as spent at first: it is a twentieth of the bucket at most.
    assert limit.left(full_at, now + limit.lag) >= int(count * 0.1)


@example(Limit(1, 3600.0), [(0.0, False, 2.2), (2.0, True, 1.0), (0.3, True, 1.0)])  # its token was back by itself
@example(Limit(2, 3600.0), [(0.0, False, 0.75), (0.5, True, 0.0), (0.0, True, 0.0), (0.0, True, 0.0)])  # half of it was
@given(small_limits, st.lists(st.tuples(st.floats(0, 2), st.booleans(), st.floats(0, 3)), max_size=40))
def test_who_gives_back_what_failed_orders_took_is_not_refused_either(
    limit: Limit, orders: list[tuple[float, bool, float]]
) -> None:
    at_the_ca = Limits(preset="none", certificates_per_set=limit)
    wanted = Wanted(identifiers=(parse_identifier("a.example"),))
    key = next(iter(spend(at_the_ca, {}, wanted, START)))
    assert Bucket.of(key) == Bucket(Kind.SET, key.partition("/")[2])
    ca, now, full_at = TokenBucket(limit.count, timedelta(seconds=limit.period), START), START, START
    ends: list[tuple[datetime, datetime, bool]] = []  # of an order, its placement, whether it got a certificate

    def settle(until: datetime) -> None:
        nonlocal full_at
        for end, placed, issued in sorted(one for one in ends if one[0] <= until):
            ends.remove((end, placed, issued))
            if issued:
                ca.take(end)
            else:
                full_at = refund(at_the_ca, {key: full_at}, wanted, placed, end).get(key, full_at)

    for pause, issued, length in orders:
        settle(now + limit.interval * pause)
        now += limit.interval * pause
        while wait := limit.wait(full_at, now):
            settle(now + wait)
            now += wait
        assert ca.missing(now) == NONE
        full_at = spend(at_the_ca, {key: full_at}, wanted, now)[key]
        # A certificate is there within the lag, or not at all; a failure may take longer.
        ends.append((now + (limit.lag * min(length, 1) if issued else limit.interval * length), now, issued))
