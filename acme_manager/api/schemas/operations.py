"""Operations on many certificates, and a look at all there are: resync and clean-up."""

from __future__ import annotations

import attrs

from acme_manager.domain.operation import OperationKind, OperationState
from acme_manager.services.cleanup_report import Line


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
