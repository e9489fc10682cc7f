"""Sessions as they are sealed, and how long they last."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acme_manager.domain.gotime import format_time
from acme_manager.domain.session import Proof, Session, digest_of, end_of, is_over, session_from_json, session_to_json
from acme_manager.domain.token import NEVER, Scope, Token

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SESSION = Session(id="i", proof=Proof.TOKEN, ground=digest_of("hash"), name="alice", ends=NOW)
TOKEN = Token(id="t", token_hash="hash", username="alice")


@given(
    st.builds(
        Session,
        id=st.text(),
        proof=st.sampled_from(Proof),
        ground=st.text(),
        name=st.text(),
        ends=st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9999, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
            lambda at: at.replace(microsecond=0)
        ),
        token_id=st.text(),
        admin=st.booleans(),
        owner=st.text(),
        scope=st.lists(st.sampled_from(Scope)).map(tuple),
    )
)
def test_a_session_comes_back_as_it_was_sealed(session: Session) -> None:
    record = session_to_json(session)
    if session.id and session.ground and session.name:
        assert session_from_json(record) == session
    else:
        with pytest.raises(ValueError, match="no session"):
            session_from_json(record)


@pytest.mark.parametrize(
    "changed", [{"proof": "faith"}, {"ends": "soon"}, {"ends": None}, {"scope": ["all"]}, {"scope": 5}, {"id": None}]
)
def test_what_is_no_session_is_refused(changed: dict[str, object]) -> None:
    record = session_to_json(SESSION) | changed
    if changed == {"id": None}:
        del record["id"]
    with pytest.raises(ValueError, match=r".+"):
        session_from_json(record)


def test_a_session_ends_with_its_time_or_its_token_whichever_is_first() -> None:
    assert end_of(NOW, 60) == end_of(NOW, 60, attrs.evolve(TOKEN, expires=NEVER)) == NOW + timedelta(seconds=60)
    for seconds in (30, 90):
        token = attrs.evolve(TOKEN, expires=format_time(NOW + timedelta(seconds=seconds)))
        assert end_of(NOW, 60, token) == NOW + timedelta(seconds=min(60, seconds))
    with pytest.raises(ValueError, match=r".+"):
        end_of(NOW, 60, attrs.evolve(TOKEN, expires="soon"))


def test_a_session_is_over_at_its_end_and_when_what_it_rests_on_is_not_the_same() -> None:
    before = NOW - timedelta(seconds=1)
    assert not is_over(SESSION, "hash", before)
    assert is_over(SESSION, "hash", NOW)
    assert is_over(SESSION, "another", before)
    assert is_over(SESSION, None, before)
