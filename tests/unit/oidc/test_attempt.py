from __future__ import annotations

import attrs
import pytest

from acme_manager.errors import LoginFailed
from acme_manager.oidc.attempt import Attempt, code_in, new_attempt

ISSUER = "https://login.example"


def test_the_challenge_is_that_of_the_example_in_rfc_7636_appendix_b() -> None:
    attempt = Attempt(state="s", nonce="n", verifier="dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert attempt.challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_every_attempt_has_secrets_of_its_own_and_shows_none() -> None:
    attempts = [new_attempt() for _ in range(100)]
    secrets = {secret for one in attempts for secret in attrs.astuple(one)}
    assert len(secrets) == 300
    assert {len(secret) for secret in secrets} == {43}  # RFC 7636 section 4.1 wants at least that for a verifier
    assert repr(attempts[0]) == "Attempt()"


def test_the_code_is_taken_from_an_answer_to_our_question() -> None:
    assert code_in({"state": "s", "code": "c", "session_state": "x"}, state="s", issuer=ISSUER) == "c"
    assert code_in({"state": "s", "code": "c", "iss": ISSUER}, state="s", issuer=ISSUER) == "c"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({}, "belongs to no log-in that was begun in this browser"),
        ({"code": "c"}, "belongs to no log-in"),
        ({"code": "c", "state": "other"}, "belongs to no log-in"),
        ({"code": "c", "state": "ä"}, "belongs to no log-in"),
        ({"error": "access_denied", "state": "other"}, "belongs to no log-in"),
        ({"code": "c", "state": "s", "iss": "https://login.example/"}, "from another provider"),
        ({"state": "s"}, "has no code"),
        ({"state": "s", "code": ""}, "has no code"),
        ({"state": "s", "error": "access_denied"}, r"broken off at the provider, .* \(access_denied\)"),
        (
            {"state": "s", "error": "invalid_scope", "error_description": "Invalid scopes: groups"},
            r"one of ui\.oidc\.scopes",
        ),
        ({"state": "s", "error": "<b>\n" * 200, "code": "c"}, "refuses the log-in"),
    ],
)
def test_any_other_answer_is_refused(answer: dict[str, str], message: str) -> None:
    with pytest.raises(LoginFailed, match=message) as caught:
        code_in(answer, state="s", issuer=ISSUER)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300
