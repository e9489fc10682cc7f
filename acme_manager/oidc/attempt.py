"""One try of somebody to log in: the secrets that tie its parts together, and what the browser brings back. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping

import attrs

from acme_manager.errors import LoginFailed

_LONGEST = 200
_AGAIN = "log in again"
_WORDS = {
    "access_denied": "the log-in was broken off at the provider, or the provider does not let you use this application",
    "login_required": _AGAIN,
    "interaction_required": _AGAIN,
    "temporarily_unavailable": "the provider is busy; try again in a moment",
    "invalid_grant": "the log-in took too long, or its page was loaded twice; log in again",
    "invalid_client": "the provider does not accept ui.oidc.client_id with ui.oidc.client_secret",
    "unauthorized_client": "the provider does not allow this client to log people in with an authorization code",
    "invalid_scope": "the provider does not know one of ui.oidc.scopes",
    "redirect_uri_mismatch": "the provider does not know ui.oidc.external_url: register the redirect URI that it names",
}


@attrs.frozen(kw_only=True)
class Attempt:
    """What must be kept, where only this browser can bring it back, until the log-in is over."""

    state: str = attrs.field(repr=False)  # ties the answer to the browser that asked
    nonce: str = attrs.field(repr=False)  # ties the ID token to the question
    verifier: str = attrs.field(repr=False)  # proves that who redeems the code has asked for it (RFC 7636)

    @property
    def challenge(self) -> str:
        """What the provider is told of the verifier: S256 (RFC 7636 section 4.2)."""
        digest = hashlib.sha256(self.verifier.encode("ascii")).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def new_attempt() -> Attempt:
    """Three secrets of 256 bits each."""
    return Attempt(state=secrets.token_urlsafe(32), nonce=secrets.token_urlsafe(32), verifier=secrets.token_urlsafe(32))


def code_in(answer: Mapping[str, str], *, state: str, issuer: str) -> str:
    """The code in the query with which the provider sends somebody back (OpenID Connect Core 3.1.2.5, 3.1.2.6).

    Raises LoginFailed when it belongs to no log-in of this browser, is of another provider (RFC 9207), or says no.
    """
    if not hmac.compare_digest(answer.get("state", "").encode(), state.encode()):
        raise LoginFailed("this answer belongs to no log-in that was begun in this browser; log in again")
    if answer.get("iss", issuer) != issuer:
        raise LoginFailed("the answer is from another provider than the one that was asked; log in again")
    if "error" in answer:
        raise LoginFailed(said(answer.get("error"), answer.get("error_description")))
    if not answer.get("code"):
        raise LoginFailed("the provider's answer has no code; log in again")
    return answer["code"]


def said(error: object, description: object, *hidden: str) -> str:
    """A provider's refusal (RFC 6749 sections 4.1.2.1 and 5.2) in plain words, and in its own, without the `hidden`."""
    own = ": ".join(str(one) for one in (error, description) if one)
    for secret in filter(None, hidden):
        own = own.replace(secret, "***")
    own = "".join(letter if letter.isprintable() else " " for letter in own)[:_LONGEST]
    plain = _WORDS.get(str(error), "the provider refuses the log-in")
    return f"{plain} ({own})" if own else plain
