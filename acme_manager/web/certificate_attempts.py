"""The attempts at a certificate as a page shows them: which steps are done, which one it is at, and where it failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from acme_manager.domain.attempt import STALE
from acme_manager.domain.condition import Tone
from acme_manager.ports import Step
from acme_manager.services.attempts import DELETED, FAILED, INTERRUPTED, ISSUED, RUNNING
from acme_manager.web.words import moment

_ORDER = (Step.ORDERED, Step.PRESENTED, Step.VALIDATED, Step.FINALIZED, Step.ISSUED, Step.STORED)
STEP_LABELS = {Step.PRESENTED: "challenge shown"}
_WORDS = {
    RUNNING: (Tone.BUSY, "Under way"),
    ISSUED: (Tone.GOOD, "Issued"),
    DELETED: (Tone.GOOD, "Revoked and deleted"),
    FAILED: (Tone.BAD, "Failed"),
    INTERRUPTED: (Tone.WARN, "Interrupted"),
}


@attrs.frozen(kw_only=True)
class StepShown:
    """`state` is `done`, `now`, `failed`, or empty for what is still to come or was not needed."""

    label: str
    state: str = ""
    at: datetime | None = None


@attrs.frozen(kw_only=True)
class AttemptShown:
    """`records` are as services/attempts.py writes them."""

    tone: Tone
    word: str
    running: bool
    failed: bool
    began: datetime | None
    ended: datetime | None
    reason: str
    issuer: str
    error: str
    problem: str
    steps: Sequence[StepShown]
    records: Sequence[Mapping[str, Any]]


def show_attempts(records: Sequence[Mapping[str, Any]], now: datetime) -> list[AttemptShown]:
    """The newest first, as they are kept."""
    return [_show(record, now) for record in records]


def _show(record: Mapping[str, Any], now: datetime) -> AttemptShown:
    outcome, began = str(record.get("outcome", "")), moment(record.get("began"))
    if outcome == RUNNING and began is not None and now >= began + STALE:
        outcome = INTERRUPTED
    tone, word = _WORDS.get(outcome, (Tone.WARN, outcome))
    return AttemptShown(
        tone=tone,
        word=word,
        running=outcome == RUNNING,
        failed=outcome in {FAILED, INTERRUPTED},
        began=began,
        ended=moment(record.get("ended")),
        **{name: str(record.get(name, "")) for name in ("reason", "issuer", "error", "problem")},
        steps=_steps(outcome, {str(one.get("step")): moment(one.get("at")) for one in record.get("steps", ())}),
        records=record.get("records", ()),
    )


def _steps(outcome: str, taken: Mapping[str, datetime | None]) -> list[StepShown]:
    """What a CA did not ask for, since it knew the names already, stays empty between steps that were done."""
    wanted = [step for step in _ORDER if outcome != DELETED or step in taken]
    done = max((at for at, step in enumerate(wanted, 1) if step in taken), default=0)
    state = {RUNNING: "now", FAILED: "failed", INTERRUPTED: "failed"}.get(outcome, "")
    shown = [
        StepShown(
            label=STEP_LABELS.get(step, step.value),
            state="done" if step in taken else state if at == done else "",
            at=taken.get(step),
        )
        for at, step in enumerate(wanted)
    ]
    if Step.REVOKED in taken:
        shown.append(StepShown(label="old one revoked" if wanted else "revoked", state="done", at=taken[Step.REVOKED]))
    return shown
