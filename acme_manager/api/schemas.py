"""The shapes of answers and query strings, for the OpenAPI document. Bodies of requests are in domain/request.py."""

from __future__ import annotations

from typing import Annotated, Any

import attrs
import msgspec

from acme_manager.domain.certificate import Certificate
from acme_manager.domain.operation import OperationKind, OperationState
from acme_manager.domain.report import Served
from acme_manager.domain.token import Scope
from acme_manager.services.cleanup_report import Line


class Nothing:
    """Done; there is no body."""


class Text:
    """Plain text."""


@attrs.frozen(kw_only=True)
class CertificateAnswer(Certificate):
    """A certificate with its PEM. Members with a zero value are left out, save `cert`, `ca_issuer` and `url`.

    `private_key` is there when the server made the key and the token has the scope `read`.
    """

    cert: str
    ca_issuer: str
    url: str
    private_key: str = ""


@attrs.frozen(kw_only=True)
class TimeSpan:
    """From when to when, in RFC 3339."""

    start: str
    end: str


@attrs.frozen(kw_only=True)
class Suggested(TimeSpan):
    """When the CA wants a certificate to be renewed (RFC 9773), its page about the reason, and when to ask it again."""

    explanation: str = ""
    ask_again: str = ""


@attrs.frozen(kw_only=True)
class RenewalAnswer:
    """When a certificate is going to be renewed and why; members that say nothing are left out.

    `new_key_wanted`: an operation replaces its key, which is its host's; the host must make one and send a new CSR.

    `code`: `window`, `share`, `stored`, `ari`, `ari_late`, `last_moment`, `retry`, `calendar`, `overridden`, `forced`,
    `held` (by an operation), `no_issuer`, `unknown`. `cure`: what `cause` needs: `time`, `another_ca` or `person`.
    `waits_for`: the limit of the CA that leaves no room. Times are in RFC 3339.
    """

    code: str
    reason: str
    due: str = ""
    window: TimeSpan | msgspec.UnsetType = msgspec.UNSET
    ari: Suggested | msgspec.UnsetType = msgspec.UNSET
    new_key_wanted: bool = False
    failures: int = 0
    last_error: str = ""
    cause: str = ""
    cure: str = ""
    next_try: str = ""
    waits_for: str = ""


@attrs.frozen(kw_only=True)
class ListedCertificate(Certificate):
    """A certificate in a list. Members with a zero value are left out."""

    renewal: RenewalAnswer


MetadataAnswer = list[ListedCertificate]


@attrs.frozen(kw_only=True)
class OriginalCertificate(ListedCertificate):
    """The same with the challenges that count: its own, or those of its issuer."""

    EffectiveDNSChallenge: str
    EffectiveHTTPChallenge: str


OriginalCertificatesAnswer = list[OriginalCertificate]


@attrs.frozen(kw_only=True)
class StepAnswer:
    """A step that was taken, and when, in RFC 3339."""

    step: str
    at: str


@attrs.frozen(kw_only=True)
class SightAnswer:
    """What a name server showed when it was last asked, and since when. `words` go on after the server's name."""

    server: str
    complete: bool
    words: str
    since: str


@attrs.frozen(kw_only=True)
class WrittenRecord:
    """A TXT record that was written, by which provider, with which credentials, and who has shown it."""

    name: str
    value: str
    provider: str
    credentials: str = ""
    servers: list[SightAnswer]


@attrs.frozen(kw_only=True)
class AttemptAnswer:
    """An attempt to get a certificate, or to revoke and delete it. What says nothing is left out. Times: RFC 3339.

    `outcome`: `running`, `issued`, `deleted`, `failed`, or `interrupted` when its node stopped leading. `reason`: why it
    was made. `error`: why it failed; `cause`: that in one word, `dns`, `credentials`, `rate_limit`, …; `problem`: what
    the CA said. At most 20 records and 8 servers of each are noted.
    """

    began: str
    ended: str = ""
    outcome: str
    reason: str
    issuer: str = ""
    steps: list[StepAnswer]
    records: list[WrittenRecord]
    error: str = ""
    cause: str = ""
    problem: str = ""


AttemptsAnswer = list[AttemptAnswer]


@attrs.frozen(kw_only=True)
class AttemptsQuery:
    """Which certificate: by issuer and domain, or by name."""

    issuer: str = ""
    domain: str = ""
    name: str = ""


@attrs.frozen(kw_only=True)
class EventsQuery:
    """`digest` is that of the last answer; without it the answer comes at once. `wait` is in seconds, from 0 to 300."""

    digest: str = ""
    wait: str = "25"


@attrs.frozen(kw_only=True)
class ChangedCertificate:
    """A certificate as it is now. `updated_at` is in Unix milliseconds."""

    issuer: str
    domain: str
    name: str
    fingerprint: str
    updated_at: int


@attrs.frozen(kw_only=True)
class EventsAnswer:
    """Whether anything differs from what the caller has seen; if so, everything that the owner has now."""

    digest: str
    changed: bool
    certificates: list[ChangedCertificate]


@attrs.frozen(kw_only=True)
class HostAnswer:
    """What one host says of one certificate. Times are in RFC 3339; `reported_at` is by the server's clock.

    `current`: whether what is installed is what the server has. `served` is there where the host checks a service.
    """

    host: str
    version: str
    reported_at: str
    fingerprint: str
    serial: str
    current: bool
    installed_at: str
    check: str
    served: Served = attrs.field(factory=Served)


HostsAnswer = list[HostAnswer]


@attrs.frozen(kw_only=True)
class HostsQuery:
    """Which certificate: by issuer and domain, or by name."""

    issuer: str = ""
    domain: str = ""
    name: str = ""


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
    """How to delete. `revoke` counts when it is `true`; `reason` is then a code of RFC 5280, by number or by name."""

    revoke: str = ""
    reason: str = ""


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


OriginalTokensAnswer = dict[str, TokenAnswer]


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
class AuditQuery:
    """Which entries; times are in RFC 3339, `limit` is from 1 to 1000 and `cursor` that of the page before.

    `q`, `actor` and `object` are any part of a text; `action` is a whole name, or what is before a dot.
    """

    q: str = ""
    action: str = ""
    actor: str = ""
    object: str = ""
    since: str = ""
    until: str = ""
    limit: int = 100
    cursor: str = ""


@attrs.frozen(kw_only=True)
class AuditEntry:
    """Somebody has done something, or has tried to. Members that say nothing are left out. `at` is in RFC 3339.

    `source` is the address that it came from; anybody can write `forwarded_for`. `count`: so many of the kind were
    refused, or failed, within a minute. `number` is its place in the log.
    """

    number: int
    at: str
    action: str
    actor: str = ""
    owner: str = ""
    object: str = ""
    status: int = 0
    error: str = ""
    count: int = 1
    source: str = ""
    forwarded_for: str = ""
    request_id: str = ""
    node: str = ""


@attrs.frozen(kw_only=True)
class AuditAnswer:
    """A page of the audit log, the newest first. `cursor` leads to the next page, unless this one is the last.

    A page may be short, or empty, and not the last: each search looks back a bounded way, to `back_to`. `trouble` says
    why storage, with all that is older, could not be read.
    """

    entries: list[AuditEntry]
    complete: bool
    cursor: str = ""
    back_to: str = ""
    trouble: str = ""


@attrs.frozen(kw_only=True)
class AuditVerifyQuery:
    """The segment to begin with; without it the oldest."""

    begin: int = 1


@attrs.frozen(kw_only=True)
class AuditBreak:
    """Where the chain is not as it was written, and how it shows."""

    segment: int
    words: str


@attrs.frozen(kw_only=True)
class AuditVerdict:
    """Whether the segments looked at are as they were written. `first` and `last` are the numbers of those there are.

    `next` is the segment to go on with, 0 when this was all.
    """

    ok: bool
    first: int
    last: int
    segments: int
    entries: int
    next: int
    breaks: list[AuditBreak]


@attrs.frozen(kw_only=True)
class RateLimit:
    """What an owner has used up for one certificate. Times are like `2025-02-09 11:09:01 +0000 UTC`.

    `Remaining` is how long the window lasts: `1h5m`, `5m10s`, `10s`, or `expired`.
    """

    Owner: str
    Issuer: str
    Domain: str
    Name: str
    RequestCount: int
    MaxRequests: int
    WindowStart: str
    WindowEnd: str
    Remaining: str


RateLimitsAnswer = list[RateLimit]


@attrs.frozen(kw_only=True)
class ChangedKeys:
    """How many, and the first thousand of them: certificates as `owner/issuer/domain` or `owner/name`, tokens by id."""

    count: int
    keys: list[str]


@attrs.frozen(kw_only=True)
class ResyncAnswer:
    """How much there is in storage, and what the nodes did not know of it. New ones count as changed."""

    certificates: int
    tokens: int
    certificates_changed: ChangedKeys
    certificates_gone: ChangedKeys
    tokens_changed: ChangedKeys
    tokens_gone: ChangedKeys
    seconds: float


@attrs.frozen(kw_only=True)
class PluginRunAnswer:
    """One run of a plugin. `action`: `present`, `cleanup`, `describe`, `hook`; `at`: when it began, in RFC 3339.

    `outcome`: its exit code, or `timeout`, `refused`, `output` (too much of it), `cancelled`.
    """

    action: str
    at: str
    seconds: float
    outcome: str


@attrs.frozen(kw_only=True)
class PluginAnswer:
    """A plugin of the configuration. `verified`: whether its checksum is known, and checked at each run.

    `variables` are the names of those in its `env`; `summary` is what it says about itself; `timeout` is in seconds.
    """

    name: str
    type: str
    path: str
    verified: bool
    timeout: float
    user: str
    variables: list[str]
    summary: str
    last_run: PluginRunAnswer | msgspec.UnsetType = msgspec.UNSET


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
class IssuerPreviewAnswer:
    """What an operation means for one CA. `limit`: the one of the CA's limits that makes it take so long."""

    certificates: int
    seconds: float
    limit: str


@attrs.frozen(kw_only=True)
class PreviewAnswer:
    """What an operation would come to, and how `seconds` was reckoned. `owners` has the hundred with the most."""

    total: int
    issuers: dict[str, IssuerPreviewAnswer]
    owners: dict[str, int]
    host_keys: int
    seconds: float
    warnings: list[str]
    formula: str


@attrs.frozen(kw_only=True)
class SelectorAnswer:
    """What is selected by. Members that say nothing are left out."""

    all: bool = False
    issuers: list[str] = attrs.field(factory=list)
    owners: list[str] = attrs.field(factory=list)
    names: list[str] = attrs.field(factory=list)
    key_types: list[str] = attrs.field(factory=list)
    serials: list[str] = attrs.field(factory=list)
    labels: list[str] = attrs.field(factory=list)
    ari: bool = False
    issued_before: str = ""


@attrs.frozen(kw_only=True)
class FailureAnswer:
    """A certificate that was tried, and what went wrong."""

    key: str
    cause: str
    error: str


@attrs.frozen(kw_only=True)
class OperationAnswer:
    """An operation on many certificates, and how far it is. Members from `unasked` on are left out where empty.

    Of what is `left`, `failed` was tried and is tried again, `waiting_for_host` needs a key that only its host can
    make. `unasked` may come on top, once their CAs have said when they want them renewed. `failures` has a hundred.
    """

    id: str
    kind: OperationKind
    state: OperationState
    selector: SelectorAnswer
    total: int
    done: int
    left: int
    failed: int
    waiting_for_host: int
    unasked: int = 0
    revoke: bool = False
    reason: str = ""
    same_key: bool = False
    created_by: str = ""
    started_at: str = ""
    ended_at: str = ""
    per_hour: float = 0.0
    estimated_end: str = ""
    failures: list[FailureAnswer] = attrs.field(factory=list)


OperationsAnswer = list[OperationAnswer]


@attrs.frozen(kw_only=True)
class ReadyAnswer:
    """Whether this node can do its work. A part's text is `ok` or what is wrong with it."""

    ready: bool
    parts: dict[str, str]


@attrs.frozen(kw_only=True)
class IssuerHealthAnswer:
    """What the last look of this node at a CA has found."""

    ok: bool
    error: str = ""
    since: str
    checked_at: str


@attrs.frozen(kw_only=True)
class BudgetAnswer:
    """One bucket: `left` of `count`, and when there is room again if there is none. `about` is a domain, a name or a
    set of names; it is left out for the bucket of our account."""

    limit: str
    about: str = ""
    count: int
    left: int
    next_free: str = ""


@attrs.frozen(kw_only=True)
class PauseAnswer:
    """Until when a CA has told us to wait, with all orders or with what is named."""

    about: str = ""
    until: str


@attrs.frozen(kw_only=True)
class IssuerAnswer:
    """A CA. Members that say nothing are left out: `health` before the first look, `account` where it is not known.

    `limits`: each limit as in the configuration. `budget`: our account's bucket, and others of which little is left.
    Times are in RFC 3339.
    """

    name: str
    ca_dir_url: str
    account: str = ""
    fallback: list[str] = attrs.field(factory=list)
    health: IssuerHealthAnswer | msgspec.UnsetType = msgspec.UNSET
    limits: dict[str, str]
    budget: list[BudgetAnswer]
    paused: list[PauseAnswer]


IssuersAnswer = list[IssuerAnswer]


@attrs.frozen(kw_only=True)
class WorkerAnswer:
    """A worker's last round on a node. `interval` is in seconds, times are in RFC 3339; what says nothing is left out.

    `leader_only`: it is the leader's, and all nodes show the same. `late`: the next round should have been heard of.
    `failures`: rounds in a row that failed, the last one for that `error`. `figures`: what it says of itself.
    """

    worker: str
    node: str
    leader_only: bool
    interval: float
    began: str
    ended: str
    next: str
    late: bool
    succeeded: str = ""
    error: str = ""
    failures: int = 0
    figures: dict[str, int] = attrs.field(factory=dict)


WorkersAnswer = list[WorkerAnswer]


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
