"""What can go wrong, in our words.

Errors carry facts as attributes and a sentence for people. HTTP statuses are not known here (see api/problem_kinds.py),
and adapters turn every foreign exception into one of these at their edge.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs


class AcmeManagerError(Exception):
    """The root of everything this program raises on purpose."""


class NotFound(AcmeManagerError):
    """What was asked for is not there."""


class CertificateNotFound(NotFound):
    """No certificate of that owner under that identity."""

    def __init__(self, key: str) -> None:
        super().__init__(f"certificate '{key}' not found")
        self.key = key


class TokenNotFound(NotFound):
    """No token with that id."""

    def __init__(self, token_id: str) -> None:
        super().__init__(f"token ID '{token_id}' not found")
        self.token_id = token_id


class OperationNotFound(NotFound):
    """No operation with that id."""

    def __init__(self, id: str) -> None:
        super().__init__(f"operation '{id}' not found")
        self.id = id


class ChallengeNotFound(NotFound):
    """No http-01 answer is being served under that token."""

    def __init__(self, token: str) -> None:
        super().__init__(f"challenge id '{token}' not found")
        self.token = token


class Conflict(AcmeManagerError):
    """The request does not fit the present state."""


class CertificateExists(Conflict):
    """A certificate with that identity is already kept."""

    def __init__(self, key: str) -> None:
        super().__init__("certificate already exists")
        self.key = key


class StaleVersion(Conflict):
    """Storage holds another version than the one the writer had read (check-and-set)."""

    def __init__(self, key: str, expected: int) -> None:
        super().__init__(f"'{key}' was changed by somebody else since version {expected} was read")
        self.key, self.expected = key, expected


class OperationInProgress(Conflict):
    """Another operation on the same certificate is under way."""

    def __init__(self, key: str) -> None:
        super().__init__("another operation is in progress")
        self.key = key


class Rejected(AcmeManagerError):
    """The request can't be served as it is; the caller must change it."""


@attrs.frozen
class Complaint:
    """One thing wrong with some input: where, what, and what would be right (in `message`)."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class InvalidRequest(Rejected):
    """A field of a request is wrong. `where` is the field's name, `complaints` has every one found."""

    def __init__(self, message: str, where: str = "", complaints: Sequence[Complaint] = ()) -> None:
        super().__init__(message)
        self.where = where
        self.complaints = tuple(complaints) or (Complaint(where, message),)


class ConfigInvalid(Rejected):
    """The configuration can't be used; `complaints` has every reason at once."""

    def __init__(self, source: str, complaints: Sequence[Complaint]) -> None:
        super().__init__(f"{source}: " + "; ".join(map(str, complaints)))
        self.source, self.complaints = source, tuple(complaints)


class Denied(AcmeManagerError):
    """The caller may not do this."""


class NotAuthenticated(Denied):
    """Who the caller is could not be established."""


class LoginFailed(NotAuthenticated):
    """The OpenID Connect provider did not vouch for anybody, or what it said can't be believed."""


class LoginDenied(Denied):
    """The OpenID Connect provider vouches for somebody to whom the configuration gives no rights."""


class MissingScope(Denied):
    """The token is good but lacks a scope."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"invalid scope, missing '{scope}' scope")
        self.scope = scope


class AdministratorsOnly(Denied):
    """An owner asked for something that only administrators see."""

    def __init__(self) -> None:
        super().__init__("only administrators see this")


class FormRefused(Denied):
    """A form that no page of ours sent, or not in this session."""


class FormOutdated(FormRefused):
    """A form without the token of the session that sends it."""

    def __init__(self) -> None:
        super().__init__("the form is older than your log-in, or not one of ours: it lacks the token of your session")


class NameNotAllowed(Denied):
    """The token's allow-lists do not cover a name or an issuer."""

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name


class RateLimited(AcmeManagerError):
    """Too many requests. `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(AcmeManagerError):
    """Something we depend on does not answer; trying again later may help. `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StorageUnavailable(Unavailable):
    """Vault is away, sealed, or does not answer in time."""


class StorageDenied(Unavailable):
    """Vault answers 403: the policy of our AppRole lacks a capability, which the message names."""


class IssuerUnavailable(Unavailable):
    """The CA can't be reached or answers 5xx."""


class DirectoryUnavailable(IssuerUnavailable):
    """Not even the CA's directory can be read."""


class ProviderUnavailable(Unavailable):
    """The OpenID Connect provider can't be reached, or answers nothing that could be used."""


class RingNotReady(Unavailable):
    """This node has just started and has not found the others, or their state, yet."""


class NoQuorum(Unavailable):
    """This node can't talk to a majority of the voters: it reads, but nobody can write through it."""


class NotLeader(Unavailable):
    """Another node leads, or none does yet. `leader` is its name if it is known."""

    def __init__(self, message: str, leader: str | None = None, retry_after: float = 1.0) -> None:
        super().__init__(message, retry_after)
        self.leader = leader


class OutcomeUnknown(Unavailable):
    """A request was passed on to the leader and no answer came back: it may have been done, or not."""


@attrs.frozen
class Problem:
    """A problem document of a CA (RFC 8555 section 6.7), with its subproblems."""

    type: str
    detail: str = ""
    status: int | None = None
    identifier: str = ""
    subproblems: tuple[Problem, ...] = ()

    @property
    def code(self) -> str:
        """The last part of an ACME error type: `rateLimited`, `caa`, `dns`."""
        return self.type.removeprefix("urn:ietf:params:acme:error:")

    def __str__(self) -> str:
        about = f"{self.identifier}: " if self.identifier else ""
        text = f"{about}{self.detail} ({self.type})" if self.detail else f"{about}{self.type}"
        return "; ".join([text, *map(str, self.subproblems)])


class IssuanceFailed(AcmeManagerError):
    """The order came to an end without a certificate. `problem` is what the CA said, when it said something."""

    def __init__(self, message: str, problem: Problem | None = None) -> None:
        super().__init__(message)
        self.problem = problem


class IssuanceTimedOut(IssuanceFailed):
    """The order was not finished in the time that an issuance may take."""


class IssuerRateLimited(IssuanceFailed):
    """The CA says `rateLimited`. `retry_after` is its own figure in seconds, if it gave one."""

    def __init__(self, message: str, problem: Problem | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, problem)
        self.retry_after = retry_after


class BudgetSpent(IssuerRateLimited):
    """The CA has not been asked: it would say `rateLimited`, by what we know of its limits and of our own orders."""


class OrderRefused(AcmeManagerError):
    """A hook of the configuration does not let an order pass, or could not be asked. The CA has not been asked."""


class ChallengeFailed(AcmeManagerError):
    """What a CA is to see could not be made visible, or not taken away again."""


class DnsFailed(ChallengeFailed):
    """A DNS record could not be written, removed or seen. `server` names the one that failed, if one did.

    `cause` says what kind of trouble it is where the provider tells: `credentials`, `zone`, `unavailable` or `input`;
    `retry_after` are the seconds after which it may work.
    """

    def __init__(self, message: str, server: str = "", cause: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.server, self.cause, self.retry_after = server, cause, retry_after
