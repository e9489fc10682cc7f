from __future__ import annotations

import math
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acme_manager.ring.leases import Lease, LeaseConfig, majority
from acme_manager.ring.promises import Claim, Voter

CONFIG = LeaseConfig()
A1, A2, B1, B2, B3 = (Claim(term, name, 1) for term, name in [(1, "a"), (2, "a"), (1, "b"), (2, "b"), (3, "b")])


def voter() -> Voter:
    """One that has been up for long enough, at time 0."""
    return Voter(CONFIG, -CONFIG.lease)


def test_a_voter_that_has_just_started_grants_nothing_but_renews() -> None:
    fresh = Voter(CONFIG, 0)
    assert not fresh.would_grant(A1, 2.9)
    assert not fresh.grant(A1, 2.9)
    assert fresh.renew(B2, 2.9)
    assert fresh.bound_to(5.8) == B2
    assert not fresh.grant(Claim(3, "a", 1), 5.8)
    assert fresh.grant(Claim(3, "a", 1), 5.9)


def test_the_only_voter_there_is_need_not_wait_for_itself() -> None:
    assert Voter(CONFIG, 0).grant(A1, 0, alone=True)


def test_nobody_else_gets_a_vote_while_a_promise_runs() -> None:
    one = voter()
    assert one.grant(A1, 0)
    assert not one.would_grant(B2, 2.99)
    assert not one.grant(B2, 2.99)
    assert one.grant(B2, 3)


def test_a_term_is_granted_once_even_when_the_promise_is_over() -> None:
    one = voter()
    assert one.grant(A1, 0)
    assert not one.grant(B1, 4)
    assert not one.grant(A1, 4)
    assert one.known == 1


def test_a_request_that_comes_twice_prolongs_the_promise() -> None:
    one = voter()
    assert one.grant(A1, 0)
    assert one.grant(A1, 2)
    assert one.bound_to(4.9) == A1


def test_another_life_of_the_same_name_is_another_claim() -> None:
    one = voter()
    assert one.grant(A1, 0)
    assert not one.grant(Claim(1, "a", 2), 1)
    assert not one.grant(Claim(2, "a", 2), 1)


def test_a_released_promise_frees_the_voter_at_once_but_not_the_term() -> None:
    one = voter()
    assert one.grant(A1, 0)
    assert not one.release(B1, 1)
    assert one.bound_to(1) == A1
    assert one.release(A1, 1)
    assert not one.grant(B1, 1)
    assert one.grant(B2, 1)


def test_a_late_renewal_of_a_released_term_binds_nobody() -> None:
    one = voter()
    assert one.renew(A1, 0)
    assert one.release(A1, 1)
    assert not one.renew(A1, 1)
    assert one.bound_to(1) is None


def test_a_leader_of_a_higher_term_takes_over_a_promise_and_one_of_a_lower_term_does_not() -> None:
    one = voter()
    assert one.grant(A2, 0)
    assert not one.renew(B1, 1)
    assert not one.renew(B2, 1)
    assert one.renew(B3, 1)
    assert not one.renew(A2, 1)
    assert not one.renew(A2, 10)


CLAIMS = st.sampled_from([Claim(term, name, life) for term in range(1, 5) for name in "ab" for life in (1, 2)])
STEPS = st.lists(st.tuples(st.sampled_from(["grant", "renew", "release"]), CLAIMS, st.floats(0, 2)), max_size=40)


@given(STEPS)
def test_a_vote_never_breaks_a_promise_that_runs(steps: list[tuple[str, Claim, float]]) -> None:
    one, now = voter(), 0.0
    votes: list[Claim] = []
    for what, claim, passed in steps:
        now += passed
        before = one.bound_to(now)
        if what == "grant" and one.grant(claim, now):
            assert before in {None, claim}
            votes += [claim] if before is None else []
        elif what == "renew" and one.renew(claim, now):
            assert before is None or before == claim or before.term < claim.term
        elif what == "release":
            one.release(claim, now)
            assert one.bound_to(now) == (None if before == claim else before)
        assert one.bound_to(now + CONFIG.lease) is None
    assert [claim.term for claim in votes] == sorted({claim.term for claim in votes})


@given(st.floats(0.1, 60), st.floats(-0.05, 0.05), st.floats(-0.05, 0.05))
def test_a_holder_gives_up_before_a_voter_lets_go_however_their_clocks_drift(
    lease: float, slow: float, fast: float
) -> None:
    config = LeaseConfig(lease=lease)
    assert config.held / (1 + slow) < config.lease / (1 + fast)
    assert config.held > 0.85 * lease


@given(st.integers(1, 9))
def test_two_majorities_have_a_member_in_common_also_when_the_lists_differ_by_one(voters: int) -> None:
    names = range(voters + 1)
    old = [set(chosen) for chosen in combinations(names[:-1], majority(voters))]
    new = [set(chosen) for chosen in combinations(names, majority(voters + 1))]
    assert all(one & other for one in old for other in [*old, *new])


def test_a_lease_ends_when_a_majority_no_longer_stands_behind_it() -> None:
    lease = Lease(CONFIG)
    first = lease.ask(10)
    assert lease.until("abc") == -math.inf
    lease.promised("a", first)
    assert lease.until("abc") == -math.inf
    lease.promised("b", first)
    assert lease.until("abc") == 10 + CONFIG.held
    second = lease.ask(11)
    lease.promised("c", second)
    assert lease.until("abc") == 10 + CONFIG.held
    lease.promised("b", second)
    assert lease.until("abc") == 11 + CONFIG.held
    lease.promised("b", first)  # an answer that was overtaken
    assert lease.until("abc") == 11 + CONFIG.held


def test_an_answer_to_a_question_that_was_never_asked_counts_for_nothing() -> None:
    lease = Lease(CONFIG)
    lease.promised("a", 5)
    assert lease.until("a") == -math.inf


def test_an_answer_that_comes_after_its_promise_has_ended_counts_for_nothing() -> None:
    lease = Lease(CONFIG)
    first = lease.ask(0)
    lease.ask(CONFIG.held)
    lease.promised("a", first)
    assert not lease.fresh("a", CONFIG.held)


@pytest.mark.parametrize(("voters", "enough"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_a_majority_is_more_than_half(voters: int, enough: int) -> None:
    assert majority(voters) == enough
