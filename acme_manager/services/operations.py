"""The verbs of `/api/v1/operations`: preview, start, pause, resume and abort what is done to many certificates at once.

A record lies in storage, written with check-and-set, and in the shared map for every node to see. Who carries it out
is services/operation_rounds.py, on the leader.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import structlog
import trio

from acme_manager.domain.gotime import milliseconds
from acme_manager.domain.operation import (
    Operation,
    OperationKind,
    OperationState,
    Selector,
    check_selector,
    instant_of,
    operation_from_json,
    operation_to_json,
    plain_serial,
)
from acme_manager.domain.request import OperationParams
from acme_manager.domain.revocation import Reason, parse_reason
from acme_manager.errors import Conflict, InvalidRequest, OperationNotFound, StaleVersion
from acme_manager.ports import Clock, Cluster, Storage
from acme_manager.services.operation_preview import Preview, Previewing
from acme_manager.services.operation_survey import Progress, progress
from acme_manager.services.state import State
from acme_manager.storage import keys

_log = structlog.get_logger(__name__)

_MOST_OPEN = 20
_KEPT = 50  # of those that are over
_PATIENCE = 30.0  # seconds


@attrs.frozen(kw_only=True)
class Operations:
    """Reads are answered on every node; the leader alone writes."""

    cluster: Cluster
    storage: Storage
    state: State
    previewing: Previewing
    clock: Clock
    prefix: str  # the certificates'
    _one_at_a_time: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    async def load(self) -> None:
        """As a new leader, have the shared map say what storage says. Raises StorageUnavailable, StorageDenied."""
        found = {}
        for key in await self.storage.list(keys.operations_prefix(self.prefix)):
            value = (await self.storage.get(key)).value
            try:
                if value is not None:
                    operation = operation_from_json(value)
                    found[operation.id] = operation
            except ValueError as error:  # of another version, or changed by hand
                _log.error("operation in storage can't be read, left alone", key=key, error=str(error))
        for id, _ in tuple(self.state.operations.items()):
            if id not in found:
                self.state.withdraw_operation(id)
        for id, operation in found.items():
            if operation != self.state.operations.get(id):
                self.state.publish_operation(operation)

    def list(self) -> Sequence[Operation]:
        """All that are known, the newest first."""
        self.state.require_loaded()
        return sorted((one for _, one in self.state.operations.items()), key=lambda one: -_number(one.id))

    def get(self, id: str) -> Operation:
        """Raises OperationNotFound."""
        self.state.require_loaded()
        found = self.state.operations.get(id)
        if found is None:
            raise OperationNotFound(id)
        return found

    async def progress(self, operation: Operation) -> Progress:
        """How far it is."""
        return await progress(self.state, operation)

    async def preview(self, kind: OperationKind, params: OperationParams) -> Preview:
        """What it would come to if it began now. Raises InvalidRequest."""
        self.state.require_loaded()
        return await self.previewing.preview(self._wanted(kind, params, ""))

    async def start(self, kind: OperationKind, params: OperationParams, created_by: str) -> Operation:
        """Begin. Raises InvalidRequest, also when nothing is selected; Conflict when there are too many; NotLeader."""
        self.state.require_loaded()
        async with self._one_at_a_time:
            if len(self.state.open_operations) >= _MOST_OPEN:
                raise Conflict(f"there are {_MOST_OPEN} operations under way: abort one, or wait until one is done")
            wanted = self._wanted(kind, params, created_by)
            total = (await progress(self.state, wanted)).left
            if not total and not wanted.selector.ari:
                raise InvalidRequest(
                    "no certificate is selected by all of this: see what there is with 'preview': true"
                )
            await self.cluster.confirm()
            operation = await self._add(attrs.evolve(wanted, total=total))
        _say("operation started", operation, total=total)
        await self._forget_oldest()
        return operation

    async def change(self, id: str, to: OperationState) -> Operation:
        """Pause, resume or abort. Raises OperationNotFound, Conflict, StaleVersion."""
        operation = self.get(id)
        left = await self.progress(operation) if to is OperationState.ABORTED else None
        changed = await self._write(id, to, left)
        _say(f"operation {to}", changed)
        return changed

    async def finish(self, id: str) -> None:
        """As the leader, note that nothing is left. Raises what `change` raises."""
        done = await self._write(id, OperationState.DONE, None)
        _say("operation done", done, seconds=done.active // 1000)

    async def _add(self, wanted: Operation) -> Operation:
        number = max((_number(id) for id, _ in self.state.operations.items()), default=0) + 1
        # What is in storage is told to the others, too, although the caller may have hung up.
        with trio.fail_after(_PATIENCE, shield=True):
            while True:
                operation = attrs.evolve(wanted, id=str(number))
                try:
                    await self.storage.put(self._key(operation.id), operation_to_json(operation), expected=0)
                except StaleVersion:  # one that the map does not know, or that was removed
                    number += 1
                else:
                    self.state.publish_operation(operation)
                    return operation

    async def _write(self, id: str, to: OperationState, left: Progress | None) -> Operation:
        async with self._one_at_a_time:
            await self.cluster.confirm()
            found = await self.storage.get(self._key(id))
            if found.value is None:
                raise OperationNotFound(id)
            try:
                changed = operation_from_json(found.value).moved_to(to, milliseconds(self.clock.now()))
            except ValueError as error:
                raise Conflict(f"can't be {_VERBS[to]}: {error}") from error
            if left is not None:
                changed = attrs.evolve(changed, total=left.total, left=left.left, failures=left.failures)
            with trio.fail_after(_PATIENCE, shield=True):
                await self.storage.put(self._key(id), operation_to_json(changed), expected=found.version)
                self.state.publish_operation(changed)
            return changed

    async def _forget_oldest(self) -> None:
        over = [one for one in self.list() if one.state.over]
        for one in over[_KEPT:]:
            await self.storage.purge(self._key(one.id))
            self.state.withdraw_operation(one.id)

    def _wanted(self, kind: OperationKind, params: OperationParams, created_by: str) -> Operation:
        now = milliseconds(self.clock.now())
        return Operation(
            id="new",
            kind=kind,
            selector=_selector(params),
            revoke=params.revoke,
            reason=_reason(kind, params),
            same_key=params.same_key,
            created_by=created_by,
            started_at=now,
            total=0,
            since=now,
        )

    def _key(self, id: str) -> str:
        return keys.operation_key(self.prefix, id)


_VERBS = {
    OperationState.RUNNING: "resumed",
    OperationState.PAUSED: "paused",
    OperationState.ABORTED: "aborted",
    OperationState.DONE: "finished",
}


def _selector(params: OperationParams) -> Selector:
    selector = Selector(
        all=params.all,
        issuers=params.issuers,
        owners=params.owners,
        names=params.names,
        key_types=tuple(one.lower() for one in params.key_types),
        serials=tuple(map(plain_serial, params.serials)),
        labels=params.labels,
        ari=params.ari,
        issued_before=instant_of(params.issued_before, "issued_before"),
    )
    check_selector(selector)
    return selector


def _reason(kind: OperationKind, params: OperationParams) -> Reason | None:
    reason = parse_reason(params.reason)
    if kind is not OperationKind.REPLACE:
        for field in ("revoke", "same_key"):
            if getattr(params, field):
                raise InvalidRequest(f"'{field}' is for POST /api/v1/operations/replace", field)
    if reason is not None and not params.revoke and kind is not OperationKind.REVOKE:
        raise InvalidRequest("'reason' is one to revoke for: it needs 'revoke': true", "reason")
    return reason


def _number(id: str) -> int:
    return int(id) if id.isdecimal() else 0


def _say(event: str, operation: Operation, **more: object) -> None:
    selector = attrs.asdict(operation.selector, filter=lambda _, value: bool(value))
    facts = {"id": operation.id, "kind": operation.kind.value, "selector": selector, "revoke": operation.revoke}
    reason = {} if operation.reason is None else {"reason": operation.reason.name}
    _log.info(event, **facts, **reason, created_by=operation.created_by, **more)
