"""What helps somebody at a page, where api/problem_kinds.py tells programs what to send.

A remedy that is missing here is not needed: what went wrong says it all, or its fields do.
"""

from __future__ import annotations

from collections.abc import Mapping

from acme_manager.api.problem_kinds import Kind

TITLES: Mapping[str, str] = {
    "invalid-request": "Something has to be put right first",
    "rejected": "That can't be done as it is",
    "not-authenticated": "You are not logged in",
    "missing-scope": "Your token does not allow that",
    "name-not-allowed": "Your token does not allow that name or issuer",
    "certificate-exists": "There is such a certificate already",
    "operation-in-progress": "Something else is being done with this certificate",
    "method-not-allowed": "That address is for a button of another page",
}

REMEDIES: Mapping[str, str] = {
    "not-authenticated": "If your token has expired or was revoked, ask an administrator for another one.",
    "login-failed": "Log in again. For the operator: docs/ui.md has the settings that both sides must agree on.",
    "login-denied": "Whoever runs the provider can add you to one of these groups.",
    "missing-scope": "Ask an administrator for a token with that scope.",
    "administrators-only": "Log in with the API key, or as a member of one of the administrators' groups.",
    "form-refused": "Go back, reload the page, and send it again from there.",
    "name-not-allowed": "Ask an administrator to extend what your token may request.",
    "certificate-not-found": "It may have been deleted, or it belongs to another owner.",
    "token-not-found": "It has expired, or somebody has revoked it.",
    "operation-not-found": "The page Operations lists those under way and the last fifty that are over.",
    "not-found": "Check the address.",
    "certificate-exists": "Change that one, or give the new one a name of its own (under More).",
    "stale-version": "Look at what there is now, and try again.",
    "conflict": "Look at what there is now, and try again.",
    "operation-in-progress": "Wait until that is done: its page shows the steps.",
    "issuer-rate-limited": "Certificates with the same names count together at most CAs.",
    "order-refused": "The CA has not been asked. For the operator: the server's log has what the plugin wrote.",
    "storage-unavailable": "Try again in a minute. For the operator: is Vault up and unsealed?",
    "storage-denied": "For the operator: add that capability to the policy of the AppRole in Vault.",
    "issuer-unavailable": "Try again in a minute. For the operator: can this host reach the CA, and does it trust its "
    "TLS certificate (ca_bundle)?",
    "provider-unavailable": "Try again in a minute, or log in with the API key or a token.",
    "not-leader": "Try again in a few seconds: another node takes over. If it lasts, the page Cluster says more.",
    "no-quorum": "Ask another node, or wait: this one only reads until it reaches the others again. The page Cluster "
    "shows who is missing.",
    "ring-not-ready": "Try again in a few seconds. If it lasts, the page Cluster says more.",
    "outcome-unknown": "It may or may not have been done: look at what there is now before you send it again.",
    "unavailable": "Try again in a minute.",
    "too-slow": "It may go on, and be done after all: look at what there is now before you send it again.",
    "body-too-large": "A form takes at most 1 MiB.",
    "body-too-slow": "Send it again.",
    "method-not-allowed": "Begin at Home.",
    "no-such-page": "Check the address, or begin at Home.",
    "internal-error": "It is a bug, or a failure that has no name yet. The server's log has it under this request.",
}


def for_people(kind: Kind) -> tuple[str, str]:
    """Its title, and what helps, if that needs saying."""
    return TITLES.get(kind.slug, kind.title), REMEDIES.get(kind.slug, "")
