"""Whatever a CA sends as a problem, we read it without falling over."""

from __future__ import annotations

import contextlib
import json

from hypothesis import given
from hypothesis import strategies as st

from acme_manager.errors import AcmeManagerError
from acme_manager.issuance.problems import error_for, in_words, parse_problem, read_problem
from acme_manager.issuance.wire import Unreadable, read_authorization, read_names, read_order

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
names = st.sampled_from(
    ["type", "title", "detail", "status", "identifier", "value", "subproblems", "challenges", "authorizations", "error"]
)
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names | st.text(max_size=5), inner, max_size=8)
)


@given(documents, st.integers(100, 599))
def test_any_document_is_read_or_is_none(document: object, status: int) -> None:
    problem = parse_problem(document, status)
    assert isinstance(error_for("ca", "new order", status, problem, None), AcmeManagerError)
    if problem is not None:
        assert in_words(problem)
        assert str(problem)


@given(st.binary(max_size=200), st.integers(400, 599))
def test_any_body_is_read_or_is_none(body: bytes, status: int) -> None:
    read_problem(body, status)


@given(st.dictionaries(names, documents))
def test_any_resource_is_read_or_unreadable(document: dict[str, object]) -> None:
    for read in (
        lambda: read_order(document, "u"),
        lambda: read_names(document),
        lambda: read_authorization(document, "u"),
    ):
        with contextlib.suppress(Unreadable):
            read()


def test_subproblems_without_end_are_cut_off() -> None:
    wide = {"type": "x", "detail": "d" * 10_000, "subproblems": [{"type": "y"}] * 1000}
    problem = read_problem(json.dumps(wide).encode(), 400)
    assert problem is not None
    assert len(problem.subproblems) == 100
    assert len(problem.detail) == 2000
    deep: dict[str, object] = {"type": "x"}
    for _ in range(50):
        deep = {"type": "x", "subproblems": [deep]}
    found = parse_problem(deep)
    assert found is not None
    assert found.subproblems[0].subproblems[0].subproblems[0].subproblems == ()
    assert read_problem(b'{"type":' * 100_000, 400) is None
