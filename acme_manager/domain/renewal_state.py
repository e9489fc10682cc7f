"""What is known of a certificate's renewal beyond the certificate itself: what its CA suggests, and how tries went.

Every node holds it in the shared map; it is in no storage, since everything in it can be found out again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class Suggestion:
    """The window in which a CA wants a certificate to be renewed (RFC 9773), and its page about the reason."""

    start: datetime
    end: datetime
    explanation: str = ""


@attrs.frozen(kw_only=True)
class RenewalState:
    """Instants are aware, None where there is none.

    `leaf` is the fingerprint of the certificate that all of it is about: for another one nothing of it counts.
    """

    leaf: str = ""
    ari: Suggestion | None = None
    ask_at: datetime | None = None  # when to ask the CA again; None: it has not been asked
    ask_failures: int = 0  # questions in a row that were not answered
    failures: int = 0  # renewals in a row that failed
    error: str = ""  # the last one's sentence
    cause: str = ""  # and its kind (domain/causes.py)
    cure: str = ""
    retry_at: datetime | None = None
    waits_for: str = ""  # the limit of the CA that leaves no room just now
    forced: str = ""  # why it is to be renewed now whatever the calendar says

    def of(self, leaf: str) -> RenewalState:
        """What of this counts for a certificate."""
        return self if self.leaf == leaf else RenewalState(leaf=leaf)


NOTHING_KNOWN = RenewalState()
_TEXTS = ("leaf", "error", "cause", "cure", "waits_for", "forced")
_NUMBERS = ("ask_failures", "failures")
_INSTANTS = ("ask_at", "retry_at")


def renewal_state_to_json(state: RenewalState) -> dict[str, Any]:
    """The entry in the shared map; what is empty is left out, instants are Unix seconds."""
    record = {name: getattr(state, name) for name in (*_TEXTS, *_NUMBERS)}
    record |= {name: _seconds(getattr(state, name)) for name in _INSTANTS}
    if state.ari is not None:
        window = {"start": _seconds(state.ari.start), "end": _seconds(state.ari.end)}
        record["ari"] = window | {"explanation": state.ari.explanation}
    return {name: value for name, value in record.items() if value}


def renewal_state_from_json(record: Mapping[str, Any]) -> RenewalState:
    """Read an entry of the shared map; what is not known is ignored. Raises ValueError."""
    try:
        values: dict[str, Any] = {name: str(record.get(name, "")) for name in _TEXTS}
        values |= {name: int(record.get(name, 0)) for name in _NUMBERS}
        values |= {name: _instant(record[name]) for name in _INSTANTS if record.get(name)}
        ari = record.get("ari")
        if ari:
            values["ari"] = Suggestion(
                start=_instant(ari["start"]), end=_instant(ari["end"]), explanation=str(ari.get("explanation", ""))
            )
        return RenewalState(**values)
    except (TypeError, KeyError, AttributeError, OverflowError, OSError) as error:
        raise ValueError(f"no state of a renewal: {error}") from error


def _seconds(at: datetime | None) -> float:
    return 0 if at is None else at.timestamp()


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(float(seconds), UTC)
