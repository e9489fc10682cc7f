"""Laws of the order's course: what next_step decides, and that it gets somewhere."""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st

from acme_manager.issuance.budget import Budget
from acme_manager.issuance.order import (
    LONGEST_PAUSE,
    Answer,
    Download,
    Finalize,
    GiveUp,
    Order,
    Status,
    WaitUntil,
    next_step,
    pause,
    seen,
)

times = st.floats(0, 1e9)
orders = st.builds(
    Order,
    url=st.just("https://ca.test/order/1"),
    status=st.sampled_from(Status),
    finalize=st.just("https://ca.test/finalize/1"),
    certificate=st.sampled_from(["", "https://ca.test/certificate/1"]),
    answered=st.booleans(),
    finalized=st.booleans(),
    looks=st.integers(0, 10_000),
    retry_at=times,
)


@given(orders, times)
def test_a_wait_lies_ahead_and_keeps_to_what_the_ca_asks(order: Order, now: float) -> None:
    what = next_step(order, now)
    if isinstance(what, WaitUntil):
        assert what.at > now
        assert what.at >= order.retry_at
        assert what.at <= max(order.retry_at, now + LONGEST_PAUSE)


@given(orders, times)
def test_nothing_is_done_twice(order: Order, now: float) -> None:
    assert not isinstance(next_step(attrs.evolve(order, answered=True), now), Answer)
    assert not isinstance(next_step(attrs.evolve(order, finalized=True), now), Finalize)


@given(orders, times)
def test_states_that_lead_nowhere_are_given_up_and_no_others(order: Order, now: float) -> None:
    hopeful = {Status.PENDING, Status.READY, Status.PROCESSING, Status.VALID}
    assert isinstance(next_step(order, now), GiveUp) is (order.status not in hopeful)


@given(orders, times)
def test_a_certificate_is_fetched_only_from_a_valid_order(order: Order, now: float) -> None:
    expected = order.status is Status.VALID and bool(order.certificate)
    assert isinstance(next_step(order, now), Download) is expected


@given(st.lists(orders, min_size=1, max_size=30), times)
def test_whatever_the_ca_says_we_neither_forget_what_we_did_nor_ask_without_pause(
    answers: list[Order], now: float
) -> None:
    order = attrs.evolve(answers[0], answered=False, finalized=False, looks=0)
    counts = {Answer: 0, Finalize: 0}
    for answer in answers:
        what = next_step(order, now)
        match what:
            case WaitUntil(at):
                now = at
                order = seen(order, answer)
            case Answer():
                counts[Answer] += 1
                order = attrs.evolve(order, answered=True)
            case Finalize():
                counts[Finalize] += 1
                order = attrs.evolve(seen(order, answer), finalized=True)
            case Download() | GiveUp():
                break
    assert max(counts.values()) <= 1


@given(st.integers(0, 10_000))
def test_pauses_never_shrink_and_never_pass_the_longest(looks: int) -> None:
    assert 0 < pause(looks) <= pause(looks + 1) <= LONGEST_PAUSE


@given(st.text())
def test_a_status_that_a_ca_invents_is_unknown_and_given_up(text: str) -> None:
    status = Status(text)
    assert status == text or status is Status.UNKNOWN


@given(st.integers(1, 50), st.lists(st.floats(0, 3), max_size=200))
def test_in_no_second_more_than_a_burst_and_the_rate_go_out(rate: int, gaps: list[float]) -> None:
    budget, now, sent = Budget.full(rate, 0.0), 0.0, []
    for gap in gaps:
        now += gap
        budget, wait = budget.spend(now)
        assert wait >= 0
        sent.append(now + wait)
    assert sent == sorted(sent)
    for index, first in enumerate(sent):
        within = [at for at in sent[index:] if at < first + 1 - 1e-6]
        assert len(within) <= 2 * rate


@given(st.integers(1, 50))
def test_a_burst_goes_out_at_once_and_the_next_waits_its_share(rate: int) -> None:
    budget = Budget.full(rate, 0.0)
    waits = []
    for _ in range(rate + 1):
        budget, wait = budget.spend(0.0)
        waits.append(wait)
    assert waits[:-1] == [0.0] * rate
    assert waits[-1] == 1 / rate
