"""Errors as HTTP: one table, from what went wrong to a status, a title and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import trio
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge, RequestTimeout

from acme_manager import errors


@attrs.frozen
class Kind:
    """One kind of problem. `slug` ends its type URI, `/problems/<slug>`, where `title` and `remedy` can be read."""

    status: int
    slug: str
    title: str
    remedy: str


KINDS: Mapping[type[Exception], Kind] = {
    errors.InvalidRequest: Kind(
        400,
        "invalid-request",
        "A field of the request is wrong",
        "Each entry of `complaints` names a field and what would be right. Change it and send the request again.",
    ),
    errors.Rejected: Kind(
        400,
        "rejected",
        "The request can't be served as it is",
        "Read `detail`, change the request and send it again; sending the same one again gives the same answer.",
    ),
    errors.NotAuthenticated: Kind(
        401,
        "not-authenticated",
        "The caller could not be identified",
        "Send `Authorization: Bearer <token>` (certificates) or `X-API-Key: <key>` (tokens). A token that has expired "
        "or was revoked must be replaced by an administrator.",
    ),
    errors.LoginFailed: Kind(
        401,
        "login-failed",
        "The OpenID Connect provider did not confirm who you are",
        "Log in again. `detail` says what is wrong with the provider's answer. For the operator: docs/ui.md has the "
        "settings that both sides must agree on.",
    ),
    errors.LoginDenied: Kind(
        403,
        "login-denied",
        "The person has no rights here",
        "`detail` names the groups that may log in. Whoever runs the provider can add a person to one of them; "
        "`ui.oidc.admin_groups` and `ui.oidc.owners` say which there are.",
    ),
    errors.MissingScope: Kind(
        403,
        "missing-scope",
        "The token lacks a scope",
        "Use a token with the scope that `detail` names, or have an administrator replace the token's scopes "
        "(PUT /api/v1/token).",
    ),
    errors.AdministratorsOnly: Kind(
        403,
        "administrators-only",
        "This is for administrators",
        "Log in with the API key, or as a member of a group that `ui.oidc.admin_groups` names.",
    ),
    errors.FormRefused: Kind(
        403,
        "form-refused",
        "The form was not taken",
        "Go back, reload the page, and send it again from there.",
    ),
    errors.NameNotAllowed: Kind(
        403,
        "name-not-allowed",
        "The token is not allowed to use that name or issuer",
        "Ask for names and issuers that the token's `domains` and `issuers` lists cover, or have an administrator "
        "extend the lists.",
    ),
    errors.Denied: Kind(403, "denied", "The caller may not do this", "Use a token that may."),
    errors.CertificateNotFound: Kind(
        404,
        "certificate-not-found",
        "There is no such certificate",
        "Check issuer, domain and name; `GET /api/v1/certificate/metadata` lists what the token's owner has. "
        "Certificates of other owners are not visible.",
    ),
    errors.TokenNotFound: Kind(
        404, "token-not-found", "There is no such token", "Check the id; `GET /api/v1/token` lists all tokens."
    ),
    errors.OperationNotFound: Kind(
        404,
        "operation-not-found",
        "There is no such operation",
        "`GET /api/v1/operations` lists those under way and the last fifty that are over.",
    ),
    errors.ChallengeNotFound: Kind(
        404,
        "challenge-not-found",
        "No answer is being served under that challenge token",
        "The order it belonged to has ended, or it is being served by another installation.",
    ),
    errors.NotFound: Kind(404, "not-found", "There is no such thing", "Check the address."),
    errors.CertificateExists: Kind(
        409,
        "certificate-exists",
        "The certificate is already kept",
        "Read it with GET, change it with PUT, or give the new one another `name`.",
    ),
    errors.StaleVersion: Kind(
        409,
        "stale-version",
        "Somebody else changed it at the same time",
        "Read the present state and try again.",
    ),
    errors.Conflict: Kind(
        409, "conflict", "The request does not fit the present state", "Read the present state and try again."
    ),
    errors.OperationInProgress: Kind(
        429,
        "operation-in-progress",
        "Another operation on the same certificate is under way",
        "Wait as long as `Retry-After` says and try again.",
    ),
    errors.RateLimited: Kind(
        429,
        "rate-limited",
        "Too many requests",
        "Wait as long as `Retry-After` says. The limits are `common.rate_limit_*` and those of the token.",
    ),
    errors.IssuerRateLimited: Kind(
        503,
        "issuer-rate-limited",
        "The CA has had too many requests from us",
        "Wait as long as `Retry-After` says, if it is there; `issuer_problem` has the CA's own words. Certificates "
        "with the same names count together at most CAs.",
    ),
    errors.IssuanceFailed: Kind(
        500,
        "issuance-failed",
        "The CA did not issue the certificate",
        "`issuer_problem` has the CA's own words, with one entry in `subproblems` for each name that failed.",
    ),
    errors.OrderRefused: Kind(
        500,
        "order-refused",
        "A hook of this installation did not let the order pass",
        "`detail` names the plugin; the CA has not been asked. For the operator: the server's log has what the plugin "
        "wrote.",
    ),
    errors.ChallengeFailed: Kind(
        500,
        "challenge-failed",
        "The answer to the CA's challenge could not be put where the CA looks for it",
        "`detail` names the place: the folder, the memcached servers, the bucket or the record. For the operator: "
        "check that the server may write there, and `http_challenge_config`.",
    ),
    errors.DnsFailed: Kind(
        500,
        "dns-failed",
        "A DNS record could not be written, removed or seen",
        "`detail` names the record and the server. Check the provider's credentials, that the zone is served by the "
        "servers asked, and how long they take to show a change.",
    ),
    errors.StorageUnavailable: Kind(
        503,
        "storage-unavailable",
        "Vault does not answer",
        "Try again after `Retry-After`. For the operator: is Vault up and unsealed, does `/ready` name it?",
    ),
    errors.StorageDenied: Kind(
        503,
        "storage-denied",
        "Vault refuses our AppRole",
        "For the operator: add the capability that `detail` names to the policy of the AppRole.",
    ),
    errors.IssuerUnavailable: Kind(
        503,
        "issuer-unavailable",
        "The CA does not answer",
        "Try again after `Retry-After`. For the operator: can this host reach `issuer.<name>.ca_dir_url`, and does it "
        "trust the CA's TLS certificate (`ca_bundle`)?",
    ),
    errors.ProviderUnavailable: Kind(
        503,
        "provider-unavailable",
        "The OpenID Connect provider does not answer",
        "Try again after `Retry-After`, or log in with an API key or a token. For the operator: can this host reach "
        "`ui.oidc.issuer_url`, and does it trust its TLS certificate (`ui.oidc.ca_file`)?",
    ),
    errors.NotLeader: Kind(
        503,
        "not-leader",
        "No node that leads could be asked",
        "Try again after `Retry-After`: another node takes over within seconds. For the operator: `/ring` says which "
        "node leads; can this node reach its API address, and does each trust the other's TLS certificate?",
    ),
    errors.NoQuorum: Kind(
        503,
        "no-quorum",
        "This node can't reach a majority of the voters",
        "Try again after `Retry-After`, or ask another node: this one only reads until it reaches the others again. "
        "For the operator: `/ring` shows who is missing; a member that will not come back can be given up there.",
    ),
    errors.RingNotReady: Kind(
        503,
        "ring-not-ready",
        "This node has just started and has not found the others yet",
        "Try again after `Retry-After`, or ask another node. For the operator: do `-ring.join-members` and the "
        "encryption key fit the other nodes, and is the gossip port open between them (UDP and TCP)?",
    ),
    errors.OutcomeUnknown: Kind(
        503,
        "outcome-unknown",
        "The leader took the request and did not answer",
        "It may or may not have been done. Send it again: a request for a certificate joins the one that is under way, "
        "or is told that the certificate is there; for anything else read the present state first. For the operator: "
        "if it happens every time, the leader may refuse this node's TLS certificate, which must be one for clients "
        "too where `-server.tls-client-ca-file` is set.",
    ),
    errors.Unavailable: Kind(
        503, "unavailable", "Something we depend on does not answer", "Try again after `Retry-After`."
    ),
    trio.TooSlowError: Kind(
        504,
        "too-slow",
        "The work was not done in time",
        "The work may go on: read the present state, then try again. `common.cert_timeout` bounds an issuance.",
    ),
    RequestEntityTooLarge: Kind(413, "body-too-large", "The body of the request is too large", "Send at most 1 MiB."),
    RequestTimeout: Kind(
        408,
        "body-too-slow",
        "The body of the request did not arrive in time",
        "Send it faster; `-server.http-read-timeout` bounds it.",
    ),
    MethodNotAllowed: Kind(
        405, "method-not-allowed", "That method is not for this address", "`Allow` lists the methods that are."
    ),
    NotFound: Kind(404, "no-such-page", "There is nothing at this address", "`/swagger` lists the addresses."),
    Exception: Kind(
        500,
        "internal-error",
        "Something went wrong inside",
        "It is a bug, or a failure that has no name yet. The server's log has it under the same `request_id`.",
    ),
}

_MALFORMED = Kind(
    400,
    "issuance-malformed",
    "The CA calls the request malformed",
    "`issuer_problem` says what it dislikes: mostly a name it does not issue for, or a CSR it can't read.",
)

ALL_KINDS = (*KINDS.values(), _MALFORMED)


def kind_of(error: BaseException) -> Kind:
    """The row of the table for an error: that of its own class, else of the nearest base class."""
    if isinstance(error, errors.IssuanceFailed) and error.problem is not None and error.problem.code == "malformed":
        return _MALFORMED
    if isinstance(error, HTTPException) and type(error) not in KINDS and error.code is not None:
        return attrs.evolve(KINDS[errors.Rejected], status=error.code)  # what Quart itself refuses
    return next((KINDS[base] for base in type(error).__mro__ if base in KINDS), KINDS[Exception])
