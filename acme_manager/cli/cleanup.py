"""`-cleanup.dry-run`: print what clean-up would do with what is in storage now, and why, and do nothing."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry

from acme_manager.clock import SystemClock
from acme_manager.config.model import Config, Flags
from acme_manager.domain.cleanup import Action, Decision
from acme_manager.services.cleanup_report import Report, line_of
from acme_manager.services.cleanup_survey import Secret, Survey, rules_of
from acme_manager.storage.vault import open_vault


async def show_cleanup(config: Config, flags: Flags, say: Callable[[str], None] = print) -> None:
    """Needs storage and no ring. Raises StorageUnavailable, StorageDenied.

    Without the ring nobody knows what earlier cycles have revoked, nor which certificates are being worked on.
    """
    totals = Report(limit=0)

    async def found(secret: Secret, decisions: list[Decision]) -> None:
        await totals.found(secret, decisions)
        for decision in decisions:
            if decision.action is not Action.KEEP or flags.log_level == "debug":
                say(str(line_of(secret, decision)))

    async with open_vault(config.vault, CollectorRegistry()) as storage:
        survey = Survey(
            storage=storage,
            clock=SystemClock(),
            rules=lambda: rules_of(flags, config.issuers),
            certificate_prefix=config.vault.certificate_prefix,
            token_prefix=config.vault.token_prefix,
        )
        await survey.look(lambda _key: frozenset(), found)
    sums = ", ".join(f"{number} to {action}" for action, number in totals.totals.items())
    say(f"{sums}. Nothing has been changed.")
    if totals.totals[Action.REVOKE]:
        say("What running nodes have revoked already is shown as to be revoked here: they would destroy it.")
