"""What a page says after something was done: the address has the name, never the words."""

from __future__ import annotations

from collections.abc import Mapping

SAID: Mapping[str, str] = {
    "requested": "The certificate is being requested. Its steps are shown below.",
    "renewing": "The certificate is being renewed. Its steps are shown below; the present one is served meanwhile.",
    "changed": "The certificate has been changed.",
    "changing": "The certificate is being issued anew. Its steps are shown below.",
    "revoked": "The certificate has been revoked and deleted.",
    "deleted": "The certificate has been deleted.",
    "deleting": "The certificate is being revoked and deleted.",
    "token-revoked": "The token has been revoked.",
    "started": "The operation has been started.",
    "paused": "The operation is paused.",
    "resumed": "The operation goes on.",
    "aborted": "The operation has been aborted. What was under way is finished.",
    "forgotten": "The member has been given up. Nobody waits for its vote any more.",
}
