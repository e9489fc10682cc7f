"""The ways to prove a name by DNS, as `dns_challenge` spells them. Two are of drafts, and experimental.

`<provider>` is dns-01, `dns-account-01/<provider>` its variation for zones that several accounts prove names in,
`dns-persist-01` needs no provider.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

import attrs

from acme_manager.dns.challenge import ACCOUNT_TYPE, CHALLENGE_TYPE, split_method
from acme_manager.dns.persist import PersistSolver
from acme_manager.dns.solver import DnsSolvers
from acme_manager.errors import InvalidRequest
from acme_manager.ports import Challenge, Clock, Solver, Trace
from acme_manager.services.settings import Settings


@attrs.frozen
class OfType:
    """A solver for challenges that differ in type, and in what `plan` makes of that, and in nothing else."""

    type: str
    solver: Solver

    async def plan(self, challenges: Sequence[Challenge]) -> Sequence[Trace]:
        """See Solver."""
        return await self.solver.plan(challenges)

    def presented(self, traces: Sequence[Trace]) -> AbstractAsyncContextManager[None]:
        """See Solver."""
        return self.solver.presented(traces)

    async def remove(self, traces: Sequence[Trace]) -> None:
        """See Solver."""
        await self.solver.remove(traces)


@attrs.frozen
class DnsMethods:
    """Makes a solver for each order."""

    dns: DnsSolvers
    settings: Settings
    clock: Clock

    def solver(self, dns_challenge: str, owner: str) -> Solver:
        """The solver for an owner's certificate. Raises InvalidRequest and ConfigInvalid."""
        method, provider = split_method(dns_challenge)
        if method != CHALLENGE_TYPE and not self.settings.common.experimental:
            raise InvalidRequest(
                f"{method} is an experiment, which this server takes no part in (common.experimental)", "dns_challenge"
            )
        if method == ACCOUNT_TYPE:
            return OfType(method, self.dns.solver(provider, owner))
        if method == CHALLENGE_TYPE:
            return self.dns.solver(provider, owner)
        return PersistSolver(lambda: self.dns.lookup, self.clock)
