"""A look ahead at a certificate request: everything that can be known before an order, as one list of yes and no.

Nothing is written and nothing is ordered. The checks run side by side, and none hides what another has found.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import attrs
import structlog
import trio

from acme_manager.dns.challenge import PERSIST_TYPE
from acme_manager.dns.solver import DnsSolvers
from acme_manager.domain.certificate import Certificate
from acme_manager.domain.finding import Finding
from acme_manager.domain.request import CertificateParams
from acme_manager.domain.token import Token
from acme_manager.errors import AcmeManagerError, Rejected
from acme_manager.ports import Clock, Cluster
from acme_manager.services.budgets import Budgets
from acme_manager.services.issuers import Issuers
from acme_manager.services.jobs import Jobs
from acme_manager.services.preflight_dns import look_at_caa, look_at_challenge
from acme_manager.services.preflight_issuer import (
    AskedIssuer,
    look_at_issuer,
    look_at_lifetime,
    look_at_profile,
)
from acme_manager.services.preflight_persist import look_at_persist
from acme_manager.services.preflight_request import (
    Question,
    look_at_allowed,
    look_at_fields,
    look_at_key,
    look_at_names,
)
from acme_manager.services.settings import Settings
from acme_manager.services.state import State
from acme_manager.structure import together

_log = structlog.get_logger(__name__)

_PATIENCE = 8.0  # seconds for each check

Look = tuple[str, Callable[[], Awaitable[Sequence[Finding]]]]
"""A check: its name, and how it is made."""


@attrs.frozen(kw_only=True)
class Preflight:
    """The look ahead, on any node."""

    cluster: Cluster
    state: State
    jobs: Jobs
    issuers: Issuers
    dns: DnsSolvers
    settings: Settings
    budgets: Budgets
    clock: Clock

    async def check(self, caller: Token, params: CertificateParams) -> list[Finding]:
        """Everything there is to say about a request, in a fixed order. What goes wrong is a finding, too."""
        question, issuer = Question.read(caller, params), AskedIssuer(self.issuers, params.issuer)
        found = await together(_bounded, self._looks(question, issuer))
        return [
            *look_at_names(question),
            *look_at_fields(question),
            *look_at_key(question, self.settings.common),
            *look_at_allowed(question),
            *(one for several in found for one in several),
        ]

    def _looks(self, question: Question, issuer: AskedIssuer) -> list[Look]:
        present = self.state.certificates.get(question.wanted.id.key)
        return [
            ("issuer", partial(look_at_issuer, issuer)),
            ("profile", partial(look_at_profile, question, issuer)),
            ("lifetime", partial(look_at_lifetime, question, issuer, self.settings.common)),
            ("challenge", partial(look_at_challenge, question, self.issuers, self.dns)),
            (PERSIST_TYPE, partial(look_at_persist, question, issuer, self.issuers, self.dns, self.clock)),
            ("caa", partial(look_at_caa, question, issuer, self.issuers, self.dns)),
            ("budget", partial(self._look_at_budget, question, present)),
            ("certificate", partial(self._look_at_certificate, question, present)),
            ("operation", partial(self._look_at_operation, question)),
        ]

    async def _look_at_budget(self, question: Question, present: Certificate | None) -> Sequence[Finding]:
        issuer = question.params.issuer
        if issuer not in self.settings.issuers:
            return [Finding(check="budget", ok=None, detail="there is no such issuer")]
        # The order would say that it replaces a certificate of the same CA, and is counted in another way then.
        own = present is not None and issuer == (present.issued_by or present.issuer)
        replaces = present is not None and own and not set(question.names).isdisjoint(present.identifiers)
        seconds, limit = self.budgets.wait(issuer, question.names, renewal=replaces, ari=replaces, urgent=True)
        if not seconds:
            return [Finding(check="budget", ok=True, detail="the CA's limits, as far as they are known, leave room")]
        remedy = f"wait {seconds:.0f} s, or use another issuer"
        return [Finding(check="budget", ok=False, detail=f"it is used up: {limit}", remedy=remedy)]

    async def _look_at_certificate(self, question: Question, present: Certificate | None) -> Sequence[Finding]:
        self.state.require_loaded()
        if present is None:
            return [Finding(check="certificate", ok=True, detail="it is a new one: POST requests it")]
        detail = f"'{question.wanted.id.key}' is kept already: this is an update"
        return [Finding(check="certificate", ok=True, detail=detail, remedy="change it with PUT; POST answers 409")]

    async def _look_at_operation(self, question: Question) -> Sequence[Finding]:
        if not self.cluster.leads():
            detail = f"only the leader knows what is in progress: {self.cluster.leader() or 'there is none now'}"
            return [Finding(check="operation", ok=None, detail=detail)]
        if self.jobs.busy(question.wanted.id.key):
            detail = "another operation on the same certificate is in progress"
            return [Finding(check="operation", ok=False, detail=detail, remedy="wait for it to end")]
        return [Finding(check="operation", ok=True, detail="none is in progress")]


async def _bounded(look: Look) -> Sequence[Finding]:
    """What one check finds, however it ends, and at the latest when its time is over."""
    check, function = look
    try:
        with trio.fail_after(_PATIENCE):
            return await function()
    except trio.TooSlowError:
        return [Finding(check=check, ok=None, detail=f"it could not be found out within {_PATIENCE:g} s")]
    except Rejected as error:
        return [Finding(check=check, ok=False, detail=str(error))]
    except AcmeManagerError as error:
        return [Finding(check=check, ok=None, detail=str(error))]
    except Exception:  # noqa: BLE001 a bug in one check must not hide what the others find
        _log.exception("check failed unexpectedly", check=check)
        return [Finding(check=check, ok=None, detail="the check itself failed; the server's log says how")]
