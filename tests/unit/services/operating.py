"""Operations on many certificates, on a node in memory that leads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from acme_manager.domain.certificate import Certificate
from acme_manager.domain.operation import Operation, OperationKind
from acme_manager.domain.request import OperationParams
from acme_manager.services.operation_rounds import OperationRounds
from acme_manager.services.operation_survey import Progress
from acme_manager.services.revoking import Revoking
from acme_manager.structure import background
from acme_manager.workers.operations import OperationWorker
from tests.unit.services.renewing import Renewing, open_renewing
from tests.unit.services.world import ALICE, wish


@attrs.frozen(kw_only=True)
class Operating:
    renewing: Renewing
    worker: OperationWorker

    @property
    def certificates(self) -> Sequence[Certificate]:
        return [one for _, one in self.renewing.world.state.certificates.items()]

    @property
    def revoked(self) -> list[int | None]:
        """The reasons of all revocations so far."""
        return [reason for _, reason in self.renewing.ca.revoked]

    def items(self, id: str, state: str) -> float | None:
        return self.renewing.counted("acme_manager_operation_items", operation=id, state=state)

    async def make(self, count: int, **changes: Any) -> list[Certificate]:
        """Certificates that were there before any operation."""
        certificates = self.renewing.world.certificates
        made = [
            (await certificates.request(ALICE, wish(domain=f"{number}.example", **changes))).certificate
            for number in range(count)
        ]
        await trio.sleep(60)
        return made

    async def start(self, kind: str = "replace", **params: Any) -> Operation:
        operations = self.renewing.world.operations
        return await operations.start(OperationKind(kind), OperationParams(**params), "a test")

    async def look(self, id: str = "1") -> tuple[str, Progress]:
        operation = self.renewing.world.operations.get(id)
        return operation.state.value, await self.renewing.world.operations.progress(operation)


@asynccontextmanager
async def open_operating(*, run: bool = True, **options: Any) -> AsyncIterator[Operating]:
    """With `run`, renewals and operations are carried out for the length of the block."""
    async with open_renewing(**options) as renewing:
        world = renewing.world
        rounds = OperationRounds(
            operations=world.operations,
            state=world.state,
            jobs=world.jobs,
            issuing=world.issuing,
            certificates=world.certificates,
            renewals=renewing.renewals,
            revoking=Revoking(
                state=world.state,
                certificates=world.certificates,
                settings=world.issuing.settings,
                clock=world.issuing.clock,
            ),
            clock=world.issuing.clock,
            items=OperationRounds.gauge(renewing.registry),
        )
        operating = Operating(renewing=renewing, worker=OperationWorker(rounds=rounds, metrics=renewing.run.metrics))
        async with background(*((renewing.run, operating.worker) if run else ())):
            yield operating
