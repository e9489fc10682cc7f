"""What a page says after something was done: the address has the name, never the words."""

from __future__ import annotations

from collections.abc import Mapping

SAID: Mapping[str, str] = {
    "requested": "The certificate has been requested. Its steps are below.",
    "dismissed": "The request is dismissed. Its certificate can be requested at any time.",
    "renewing": "A renewal has been started. Its steps are below; until it is done the present certificate is served.",
    "changed": "The certificate has been changed.",
    "changing": "The change has been taken, and a new certificate ordered. Its steps are below.",
    "revoked": "The certificate has been revoked and deleted.",
    "deleted": "The certificate has been deleted.",
    "deleting": "Its revocation has been started; it is deleted once the CA has confirmed.",
    "token-revoked": "The token has been revoked.",
    "started": "The operation has been started.",
    "paused": "The operation has been paused.",
    "resumed": "The operation has been resumed.",
    "aborted": "The operation has been aborted. What was under way is finished.",
    "forgotten": "The member has been given up. Nobody waits for its vote any more.",
}
