"""Where a certificate is in its life: instants, and their places between issuance (0) and expiry (1)."""

from __future__ import annotations

from datetime import datetime

import attrs

from acme_manager.domain.planning import Life, RenewalPlan


@attrs.frozen(kw_only=True)
class Timeline:
    """One bar of the chart. `window` and `planned` are None where nothing is planned."""

    issued: datetime
    expiry: datetime
    now: datetime
    window: tuple[datetime, datetime] | None = None
    planned: datetime | None = None

    def place(self, at: datetime) -> float:
        """From 0, issued, to 1, expired; what lies outside is put at the nearer end."""
        length = self.expiry - self.issued
        if not length:
            return float(at >= self.expiry)
        return min(1.0, max(0.0, (at - self.issued) / length))

    @property
    def places(self) -> dict[str, float]:
        """`window_start`, `window_end`, `planned` (where there is one) and `now`."""
        at = {"planned": self.planned, "now": self.now}
        if self.window is not None:
            at |= {"window_start": self.window[0], "window_end": self.window[1]}
        return {name: self.place(instant) for name, instant in at.items() if instant is not None}


def timeline(life: Life, plan: RenewalPlan | None, now: datetime) -> Timeline:
    """The bar of a certificate; a life that ends before it begins has no length."""
    return Timeline(
        issued=min(life.start, life.end),
        expiry=life.end,
        now=now,
        window=(plan.start, max(plan.start, plan.end)) if plan is not None else None,
        planned=plan.due if plan is not None else None,
    )
