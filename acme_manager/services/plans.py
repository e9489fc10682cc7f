"""When each certificate is going to be renewed and why, as every node can tell from its own copy of the state."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import attrs
import msgspec

from acme_manager.config.model import Common
from acme_manager.domain.calendar import parse_calendar
from acme_manager.domain.certificate import Certificate
from acme_manager.domain.gotime import rfc3339
from acme_manager.domain.operation import Standing
from acme_manager.domain.planning import Policy, RenewalPlan, plan
from acme_manager.domain.renewal_state import NOTHING_KNOWN, RenewalState
from acme_manager.ports import Clock
from acme_manager.services.settings import Settings
from acme_manager.services.state import State

_encoder = msgspec.json.Encoder()
_SLACK = 1000


@attrs.define(eq=False)
class _Known:
    """A plan, what it was made of, and its text once that has been asked for."""

    certificate: Certificate
    state: RenewalState
    policy: Policy
    configured: bool
    asked: Standing
    plan: RenewalPlan | None
    text: msgspec.Raw | None = None

    def still(
        self, certificate: Certificate, state: RenewalState, policy: Policy, configured: bool, asked: Standing
    ) -> bool:
        """Whether it was made of the same; until it is due a plan does not depend on the time."""
        same = self.certificate is certificate and self.state is state and self.policy is policy
        return same and self.configured is configured and self.asked == asked


class Plans:
    """Plans by certificate, kept as long as nothing they depend on changes: a list asks for thousands at once."""

    def __init__(self, state: State, settings: Settings, clock: Clock) -> None:
        self._state, self._settings, self._clock = state, settings, clock
        self._common: Common | None = None
        self._policy = Policy(window="")
        self._known: dict[str, _Known] = {}

    @property
    def policy(self) -> Policy:
        """What the configuration says of renewals now."""
        common = self._settings.common
        if common is not self._common:
            calendar = parse_calendar(common.renewal_windows, common.renewal_freezes, common.renewal_timezone)
            self._common, self._policy = common, Policy(window=common.cert_days_renewal, calendar=calendar)
        return self._policy

    def plan(self, certificate: Certificate, now: datetime) -> RenewalPlan | None:
        """When to renew a certificate; None for a record without an expiry, and for what an operation holds back."""
        return self._find(certificate, now).plan

    def describe(self, certificates: Sequence[Certificate]) -> list[msgspec.Raw]:
        """The member `renewal` of each one's metadata, as JSON."""
        now, texts = self._clock.now(), []
        for certificate in certificates:
            known = self._find(certificate, now)
            if known.text is None:
                known.text = msgspec.Raw(_encoder.encode(_describe(known)))
            texts.append(known.text)
        return texts

    def _find(self, certificate: Certificate, now: datetime) -> _Known:
        key, policy = certificate.id.key, self.policy
        state = self._state.renewals.get(key) or NOTHING_KNOWN
        configured, asked = certificate.issuer in self._settings.issuers, self._state.standing(certificate)
        known = self._known.get(key)
        if (
            known is None
            or not known.still(certificate, state, policy, configured, asked)
            or (known.plan is not None and known.plan.due <= now)
        ):
            if len(self._known) > 2 * len(self._state.certificates) + _SLACK:
                self._known.clear()  # most of these certificates are gone
            planned = None if asked.held else plan(certificate, _with(state, certificate, asked), policy, now)
            known = _Known(certificate, state, policy, configured, asked, planned)
            self._known[key] = known
        return known


def _with(state: RenewalState, certificate: Certificate, asked: Standing) -> RenewalState:
    return attrs.evolve(state.of(certificate.fingerprint), forced=asked.forced) if asked.forced else state


def _describe(known: _Known) -> dict[str, Any]:
    """Instants in RFC 3339; what is empty is left out."""
    planned, state = known.plan, known.state.of(known.certificate.fingerprint)
    view: dict[str, Any] = {}
    if known.asked.held:
        view |= {"code": "held", "reason": known.asked.held}
    elif planned is None:
        view |= {
            "code": "unknown",
            "reason": "its record has no expiry that can be read; it is never renewed by itself",
        }
    else:
        view |= {"due": rfc3339(planned.due), "code": planned.code, "reason": planned.reason}
        view["window"] = {"start": rfc3339(planned.start), "end": rfc3339(planned.end)}
    if not known.configured:
        why = f"issuer '{known.certificate.issuer}' is not configured: it is not renewed until it is, or is changed"
        view |= {"code": "no_issuer", "reason": why}
    if known.asked.new_key:
        view["new_key_wanted"] = True
    if state.ari is not None:
        ari = {"start": rfc3339(state.ari.start), "end": rfc3339(state.ari.end), "explanation": state.ari.explanation}
        ari["ask_again"] = rfc3339(state.ask_at) if state.ask_at else ""
        view["ari"] = {name: value for name, value in ari.items() if value}
    view |= {"failures": state.failures, "last_error": state.error, "cause": state.cause, "cure": state.cure}
    view |= {"next_try": rfc3339(state.retry_at) if state.retry_at else "", "waits_for": state.waits_for}
    return {name: value for name, value in view.items() if value}
