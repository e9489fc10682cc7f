"""What holds of operations on many certificates, whatever is selected."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
from hypothesis import assume, given
from hypothesis import strategies as st

from acme_manager.domain.budget import Limit
from acme_manager.domain.certificate import Certificate
from acme_manager.domain.gotime import format_time
from acme_manager.domain.operation import (
    Failure,
    Operation,
    OperationKind,
    OperationState,
    Selector,
    operation_from_json,
    operation_to_json,
    standing,
)
from acme_manager.domain.renewal_state import RenewalState, Suggestion
from acme_manager.domain.revocation import Reason

BEGAN = 1_764_000_000_000
_AT = datetime.fromtimestamp(BEGAN / 1000, UTC)
_moments = st.integers(BEGAN - 10**9, BEGAN + 10**9)


def _some(*values: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), max_size=2).map(tuple)


selectors = st.builds(
    Selector,
    issuers=_some("le", "zero"),
    owners=_some("web", "mail"),
    names=_some("*.example", "www.*", "a[", "shop"),
    key_types=_some("ec256", "rsa2048"),
    serials=_some("1f", "2"),
    labels=_some("team", "team=web", "team=", "x=1=2"),
    ari=st.booleans(),
    issued_before=st.sampled_from((0, BEGAN, BEGAN - 10**8)),
)
operations = st.builds(
    Operation,
    id=st.sampled_from(("1", "2", "3")),
    kind=st.sampled_from(OperationKind),
    selector=selectors,
    revoke=st.booleans(),
    reason=st.sampled_from((None, *Reason)),
    same_key=st.booleans(),
    started_at=_moments,
    state=st.sampled_from(OperationState),
    total=st.integers(0, 9),
    since=_moments,
    failures=st.lists(st.builds(Failure, key=st.text(), cause=st.text(), error=st.text()), max_size=2).map(tuple),
)
certificates = st.builds(
    Certificate,
    owner=st.sampled_from(("web", "mail")),
    issuer=st.sampled_from(("le", "zero")),
    issued_by=st.sampled_from(("", "zero")),
    domain=st.sampled_from(("www.example", "shop.example", "*.example")),
    san=st.sampled_from(("", "a.example, b.test")),
    name=st.sampled_from(("", "shop")),
    csr=st.sampled_from(("", "LS0t")),
    labels=st.sampled_from(("", "team=web", "team=mail,x=1")),
    encryption=st.sampled_from(("", "ECDSA-256", "RSA-2048")),
    serial=st.sampled_from(("1f", "2", "")),
    fingerprint=st.just("f"),
    expires=st.sampled_from(("", format_time(_AT + timedelta(days=60)))),
    issued_at=st.one_of(st.just(0), _moments),
)
states = st.builds(
    RenewalState,
    leaf=st.sampled_from(("f", "another")),
    ari=st.one_of(
        st.none(),
        st.integers(-(10**6), 10**6).map(
            lambda seconds: Suggestion(
                start=_AT + timedelta(seconds=seconds), end=_AT + timedelta(seconds=seconds + 3600)
            )
        ),
    ),
)


@given(operations, certificates, states)
def test_what_was_made_since_it_began_is_never_touched_again(
    operation: Operation, certificate: Certificate, state: RenewalState
) -> None:
    renewed = attrs.evolve(certificate, issued_at=operation.started_at)
    assert not operation.covers(renewed, state)
    assert standing([operation], renewed, state) == standing([], renewed, state)


@given(operations, certificates, states)
def test_every_field_that_says_something_can_only_make_a_selection_smaller(
    operation: Operation, certificate: Certificate, state: RenewalState
) -> None:
    if operation.covers(certificate, state):
        for field in attrs.fields(Selector):
            nothing: dict[str, Any] = {field.name: field.default}
            wider = attrs.evolve(operation.selector, **nothing)
            assert attrs.evolve(operation, selector=wider).covers(certificate, state)


@given(st.lists(operations, max_size=3), certificates, states)
def test_nothing_is_both_renewed_and_held_back_and_what_is_over_or_paused_renews_nothing(
    found: list[Operation], certificate: Certificate, state: RenewalState
) -> None:
    asked = standing(found, certificate, state)
    assert not (asked.forced and asked.held)
    if asked.forced:
        assert any(one.state is OperationState.RUNNING and one.covers(certificate, state) for one in found)
    assert standing([one for one in found if not one.state.over], certificate, state) == asked
    if asked.new_key:
        assert certificate.csr
        assert asked.held


@given(operations, certificates, states)
def test_a_leaked_key_is_never_used_again_by_itself(
    operation: Operation, certificate: Certificate, state: RenewalState
) -> None:
    leaked = attrs.evolve(
        operation,
        kind=OperationKind.REPLACE,
        revoke=True,
        reason=Reason.keyCompromise,
        same_key=False,
        state=OperationState.RUNNING,
    )
    assume(leaked.covers(certificate, state))
    asked = standing([leaked], certificate, state)
    assert bool(asked.forced) is not bool(certificate.csr)
    assert asked.revoke is Reason.keyCompromise


@given(operations)
def test_a_record_says_the_same_after_it_was_stored(operation: Operation) -> None:
    assert operation_from_json(json.loads(json.dumps(operation_to_json(operation)))) == operation


@given(st.lists(st.tuples(st.sampled_from(OperationState), st.integers(0, 10**6)), max_size=8))
def test_pauses_are_no_time_and_nothing_leaves_an_end(steps: list[tuple[OperationState, int]]) -> None:
    now, ran = BEGAN, 0
    operation = Operation(
        id="1", kind=OperationKind.RENEW, selector=Selector(all=True), started_at=now, total=1, since=now
    )
    for state, later in steps:
        now += later
        ran += later if operation.state is OperationState.RUNNING else 0
        before = operation
        try:
            operation = operation.moved_to(state, now)
        except ValueError:
            continue
        assert not before.state.over
        assert (operation.ended_at == now) is state.over
    assert operation.active_at(now) == ran


@given(
    st.builds(Limit, st.integers(1, 300), st.sampled_from((60.0, 10_800.0, 604_800.0))),
    st.timedeltas(timedelta(days=-9), timedelta(days=9)),
    st.integers(1, 40),
    st.sampled_from((0, 0.1)),
)
def test_the_time_that_is_foretold_is_what_it_takes_to_spend_one_token_after_the_other(
    limit: Limit, full: timedelta, count: int, keep: float
) -> None:
    at, full_at = _AT, _AT + min(full, limit.interval * limit.count)
    foretold = limit.time_for(full_at, at, count, keep=keep)
    for number in range(count):
        at += limit.wait(full_at, at, keep=keep)
        if number < count - 1:
            full_at = limit.spend(full_at, at)
    assert foretold <= at - _AT <= foretold + limit.lag * count
