"""What handlers know about the request at hand, beyond what Quart knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, cast

from quart import current_app
from quart import request as quart_request
from quart_trio.wrappers import TrioRequest

from acme_manager.services.bundle import Services

BEARER_CHALLENGE = 'Bearer realm="acme-manager"'
API_KEY_CHALLENGE = 'ApiKey realm="acme-manager", header="X-API-Key"'


class ApiRequest(TrioRequest):
    """A request, with what is found out about it while it is served."""

    # None of our blueprints has hooks of its own, and Quart looks for them four times per request.
    blueprint = None
    blueprints: ClassVar[list[str]] = []

    request_id: str = ""
    owner: str = ""  # the username of the token, once it is known to be good
    actor: str = ""  # who asks, once that is known, as the audit log has it: `token <id>`, `API key`, `oidc <subject>`
    action: str | None = ""  # what the audit log calls it, where api/auditing.py does not say; None: it is not noted
    audited: str = ""  # what it is done to, where `names` does not say: the id of a token or operation, a node's name
    failure: str = ""  # why it was refused, or failed
    names: Mapping[str, str] = {}  # what a problem document says the request was about
    waited: float = 0.0  # seconds that the caller asked us to wait: they are no time that we took
    passed_to: str = ""  # the node that served it in our place
    challenge: str = BEARER_CHALLENGE  # how to authenticate for this route (RFC 9110 section 11.6.1)


def current_request() -> ApiRequest:
    """The request being served by this task."""
    return cast("ApiRequest", quart_request)


def services() -> Services:
    """The use cases of the application that serves it."""
    return cast("Services", current_app.extensions["acme_manager"])
