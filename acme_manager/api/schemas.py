"""The shapes of answers and query strings, for the OpenAPI document. Bodies of requests are in domain/request.py."""

from __future__ import annotations

from typing import Annotated, Any

import attrs
import msgspec

from acme_manager.domain.certificate import Certificate
from acme_manager.domain.token import Scope
from acme_manager.services.cleanup_report import Line


class Nothing:
    """Done; there is no body."""


class Text:
    """Plain text."""


class Page:
    """A page for people."""


@attrs.frozen(kw_only=True)
class CertificateAnswer(Certificate):
    """A certificate with its PEM. Members with a zero value are left out, save `cert`, `ca_issuer` and `url`.

    `private_key` is there when the server made the key and the token has the scope `read`.
    """

    cert: str
    ca_issuer: str
    url: str
    private_key: str = ""


MetadataAnswer = list[Certificate]


Verdict = Annotated[Any, msgspec.Meta(extra_json_schema={"type": "boolean", "nullable": True})]


@attrs.frozen(kw_only=True)
class FindingAnswer:
    """One line of a check. `ok` is null where it could not be found out; `remedy` says what to do about a no."""

    check: str
    ok: Verdict
    detail: str
    remedy: str = ""


@attrs.frozen(kw_only=True)
class CheckAnswer:
    """What a look ahead has found. `ok` is false when a finding says no."""

    ok: bool
    findings: list[FindingAnswer]


@attrs.frozen(kw_only=True)
class NameQuery:
    """Look-up by name."""

    name: str = ""


@attrs.frozen(kw_only=True)
class DeleteQuery:
    """How to delete. `revoke` counts when it is `true`."""

    revoke: str = ""


@attrs.frozen(kw_only=True)
class NamedDeleteQuery(DeleteQuery):
    """How to delete, and what."""

    name: str = ""


@attrs.frozen(kw_only=True)
class MetadataQuery:
    """Filters, order (`-expires`: latest first) and page of the metadata list; `q` is any part of a text."""

    issuer: str = ""
    domain: str = ""
    name: str = ""
    q: str = ""
    label: list[str] = attrs.field(factory=list)
    sort: str = ""
    limit: int = 0
    offset: int = 0


@attrs.frozen(kw_only=True)
class TokenAnswer:
    """A token. Members with a zero value are left out."""

    tokenHash: str = ""  # noqa: N815 the member's name
    scope: list[Scope] = attrs.field(factory=list)
    username: str = ""
    expires: str = ""
    duration: str = ""
    updated_at: int = 0
    rate_limit_window: str = ""
    rate_limit_max_requests: int = 0
    domains: list[str] = attrs.field(factory=list)
    issuers: list[str] = attrs.field(factory=list)


@attrs.frozen(kw_only=True)
class ListedToken:
    """A token in a list, without its hash."""

    id: str
    username: str
    scope: list[Scope] = attrs.field(factory=list)
    expires: str = ""
    duration: str = ""
    updated_at: int = 0
    rate_limit_window: str = ""
    rate_limit_max_requests: int = 0
    domains: list[str] = attrs.field(factory=list)
    issuers: list[str] = attrs.field(factory=list)


TokenListAnswer = list[ListedToken]


@attrs.frozen(kw_only=True)
class NewTokenAnswer:
    """A token with its bearer value: what goes behind `Authorization: Bearer `."""

    duration: str
    expires: str
    id: str
    rate_limit_max_requests: int
    rate_limit_window: str
    scope: list[Scope]
    token: str
    tokenHash: str  # noqa: N815 the member's name
    username: str
    domains: list[str] = attrs.field(factory=list)
    issuers: list[str] = attrs.field(factory=list)


@attrs.frozen(kw_only=True)
class CleanupAnswer:
    """What clean-up would do now. `enabled`: whether it is turned on; `complete`: whether `actions` has everything.

    `totals` counts by action: `keep`, `revoke`, `destroy`, `purge`, `skip`; `keep` makes no line.
    """

    enabled: bool
    complete: bool
    totals: dict[str, int]
    actions: list[Line]


@attrs.frozen(kw_only=True)
class ReadyAnswer:
    """Whether this node can do its work. A part's text is `ok` or what is wrong with it."""

    ready: bool
    parts: dict[str, str]


@attrs.frozen(kw_only=True)
class LeaderAnswer:
    """The instance id of the node that leads."""

    name: str


@attrs.frozen(kw_only=True)
class Shard:
    """A member of the ring. `timestamp` is its latest heartbeat; what is not known is left out."""

    id: str
    state: str
    leader: bool
    address: str = ""
    timestamp: str = ""
    tokens: list[int] = attrs.field(factory=list)
    url: str = ""
    version: str = ""
    voter: bool = False


@attrs.frozen(kw_only=True)
class RingAnswer:
    """Every member, as the node that was asked sees it."""

    shards: list[Shard]
    now: str


@attrs.frozen(kw_only=True)
class MemberlistAnswer:
    """The members with all that is known about them, and the figures of the node that was asked."""

    members: list[dict[str, Any]]
    statistics: dict[str, Any]


@attrs.frozen(kw_only=True)
class ForgetForm:
    """The id of the member to give up."""

    forget: str
