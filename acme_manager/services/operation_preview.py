"""What an operation would come to: how many certificates, at which CAs, and how long it takes within their limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import attrs

from acme_manager.domain import budget
from acme_manager.domain.budget import Bucket, Wanted
from acme_manager.domain.certificate import Certificate
from acme_manager.domain.operation import Operation, OperationKind
from acme_manager.domain.renewal_state import RenewalState
from acme_manager.errors import InvalidRequest
from acme_manager.services.budgets import Budgets
from acme_manager.services.operation_survey import visit
from acme_manager.services.settings import Settings
from acme_manager.services.state import State

_MOST_OWNERS = 100
_ASSUMED = 10.0  # seconds for an order, where the CA has had none yet
_REVOCATION = 1.0  # seconds, assumed
FORMULA = (
    "At each CA the longest of these: orders / max_orders x the mean time of an order there (10 s before the first);"
    " for each of its limits (orders that count for it - what is left of it) x the time in which one comes back (a"
    " tenth of new_orders is kept for others). A revocation counts as 1 s. CAs work side by side: the longest is shown."
)


@attrs.frozen(kw_only=True)
class IssuerPreview:
    """What it means for one CA: `seconds` it takes there, and the limit that makes it so long, if one does."""

    certificates: int
    seconds: float
    limit: str


@attrs.frozen(kw_only=True)
class Preview:
    """What it would come to. `owners` are those with the most certificates, `host_keys` were made of a caller's CSR."""

    total: int
    issuers: Mapping[str, IssuerPreview]
    owners: Mapping[str, int]
    host_keys: int
    seconds: float
    warnings: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Previewing:
    """Looks at what an operation would select."""

    state: State
    budgets: Budgets
    settings: Settings
    seconds_per_order: Callable[[str], float | None]  # the mean at a CA since this node has run; None before the first

    async def preview(self, operation: Operation) -> Preview:
        """Of an operation that has not begun."""
        issuers: Counter[str] = Counter()
        owners: Counter[str] = Counter()
        drawn: dict[str, Counter[Bucket]] = {}
        host_keys = 0

        def count(certificate: Certificate, state: RenewalState) -> None:
            nonlocal host_keys
            issuers[certificate.issuer] += 1
            owners[certificate.owner] += 1
            host_keys += bool(certificate.csr)
            drawn.setdefault(certificate.issuer, Counter()).update(self._drawn(certificate, state))

        await visit(self.state, operation, count)
        at_cas = {name: self._at_ca(operation.kind, name, number, drawn[name]) for name, number in issuers.items()}
        return Preview(
            total=issuers.total(),
            issuers=at_cas,
            owners=dict(owners.most_common(_MOST_OWNERS)),
            host_keys=host_keys,
            seconds=max((one.seconds for one in at_cas.values()), default=0.0),
            warnings=tuple(self._warnings(operation, issuers, host_keys)),
        )

    def _drawn(self, certificate: Certificate, state: RenewalState) -> list[Bucket]:
        """The limits that its order counts for (as services/renewals.py orders it)."""
        same_ca = not certificate.issued_by
        try:
            names = certificate.identifiers
        except InvalidRequest:  # a record of another program, with names that nobody could order
            return []
        wanted = Wanted(identifiers=names, renewal=same_ca, ari=state.ari is not None and same_ca)
        return budget.needed(self.budgets.limits(certificate.issuer), wanted)

    def _at_ca(self, kind: OperationKind, name: str, number: int, drawn: Mapping[Bucket, int]) -> IssuerPreview:
        config = self.settings.issuers.get(name)
        at_once = config.max_orders if config else 1
        if kind is OperationKind.REVOKE:
            return IssuerPreview(certificates=number, seconds=round(number / at_once * _REVOCATION, 1), limit="")
        orders = number / at_once * (self.seconds_per_order(name) or _ASSUMED)
        needed, limit = budget.time_for(self.budgets.limits(name), self.budgets.ledger(name), drawn, self.budgets.now())
        by_limits = needed.total_seconds()
        longest, limit = (by_limits, limit) if by_limits > orders else (orders, "")
        return IssuerPreview(certificates=number, seconds=round(longest, 1), limit=limit)

    def _warnings(self, operation: Operation, issuers: Mapping[str, int], host_keys: int) -> Iterator[str]:
        for name, number in issuers.items():
            if name not in self.settings.issuers:
                yield f"issuer '{name}' is not configured: its {number} certificates have to wait until it is"
        if operation.kind is OperationKind.REVOKE:
            yield "the certificates are deleted; an agent that still wants one asks for a new one"
        elif host_keys and operation.wants_new_keys:
            yield (
                f"{host_keys} certificates have a key of their host's: the host's agent must make a new one. They are"
                " marked with renewal.new_key_wanted, and neither renewed nor revoked before; 'same_key': true renews"
                " them with the key that they have"
            )
        elif host_keys:
            yield f"{host_keys} certificates have a key of their host's: they are made anew with that same key"
        if operation.selector.ari:
            yield "these are the windows that CAs have told us last; they are asked again as soon as it begins"
