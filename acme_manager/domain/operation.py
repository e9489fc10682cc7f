"""Operations on many certificates at once: replace, renew or revoke whatever a selection says.

Who belongs to one is nowhere written down. A certificate does as long as it is selected and was made before the
operation began, so the record of an operation is small, and any node can go on with it.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from fnmatch import translate
from typing import Any

import attrs
from cattrs import Converter

from acme_manager.domain.certificate import Certificate, split_labels
from acme_manager.domain.gotime import milliseconds
from acme_manager.domain.keys import DEFAULT_KEY_TYPE
from acme_manager.domain.planning import life_of
from acme_manager.domain.renewal_state import RenewalState
from acme_manager.domain.revocation import Reason
from acme_manager.errors import InvalidRequest


class OperationKind(enum.StrEnum):
    """What is done with each certificate."""

    REPLACE = "replace"
    """A new one with a new key; then, if asked for, the old one is revoked."""
    RENEW = "renew"
    """A new one as a renewal makes it, with the host's own signing request where there is one."""
    REVOKE = "revoke"
    """It is revoked and then deleted."""


class OperationState(enum.StrEnum):
    """How far an operation is."""

    RUNNING = "running"
    PAUSED = "paused"
    ABORTED = "aborted"
    DONE = "done"

    @property
    def over(self) -> bool:
        """Whether nothing more is going to happen."""
        return self in {OperationState.ABORTED, OperationState.DONE}


@attrs.frozen(kw_only=True)
class Selector:
    """Which certificates: those that fit every field that says something; of several values in a field one must fit."""

    all: bool = False
    issuers: tuple[str, ...] = ()  # that they are kept under, or that stood in
    owners: tuple[str, ...] = ()
    names: tuple[str, ...] = ()  # globs, for any of their names or the one they are kept under
    key_types: tuple[str, ...] = ()
    serials: tuple[str, ...] = ()  # hexadecimal
    labels: tuple[str, ...] = ()  # `name=value`, or `name` with any value; all of these must fit
    ari: bool = False  # that the CA wants to be renewed before their time (RFC 9773)
    issued_before: int = 0  # Unix milliseconds

    @property
    def empty(self) -> bool:
        """Whether it says nothing, which is not the same as `all`."""
        return self == Selector()

    def matches(self, certificate: Certificate, state: RenewalState, began: int) -> bool:
        """Whether a certificate is selected by an operation that began at `began` (Unix milliseconds)."""
        return (
            (not self.issuers or bool({certificate.issuer, certificate.issued_by} & set(self.issuers)))
            and (not self.owners or certificate.owner in self.owners)
            and (not self.serials or plain_serial(certificate.serial) in self.serials)
            and (not self.key_types or key_type_of(certificate) in self.key_types)
            and (not self.labels or self._has_labels(certificate))
            and (not self.names or self._has_name(certificate))
            and (not self.issued_before or self._old_enough(certificate))
            and (not self.ari or wanted_early(certificate, state.of(certificate.fingerprint), began))
        )

    def _has_labels(self, certificate: Certificate) -> bool:
        there = split_labels(certificate.labels)
        wanted = (label.partition("=") for label in self.labels)
        return all(name in there and (not equals or there[name] == value) for name, equals, value in wanted)

    def _has_name(self, certificate: Certificate) -> bool:
        names = (certificate.domain, certificate.name, *certificate.san.split(","))
        return any(_glob(self.names).fullmatch(name.strip().lower()) for name in names if name)

    def _old_enough(self, certificate: Certificate) -> bool:
        life = life_of(certificate)
        return life is None or milliseconds(life.start) < self.issued_before


@functools.lru_cache(maxsize=64)
def _glob(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(translate(one.lower()) for one in patterns))


def plain_serial(text: str) -> str:
    """A serial number as records have it, from any spelling that tools print."""
    return text.lower().removeprefix("0x").replace(":", "").replace(" ", "").lstrip("0")


def key_type_of(certificate: Certificate) -> str:
    """`ec256`, `rsa2048`, … as requests spell them, also of a key that is the host's."""
    kind, _, size = certificate.encryption.partition("-")  # `ECDSA-256`, `RSA-2048`
    made = {"ECDSA": f"ec{size}", "RSA": f"rsa{size}"}.get(kind, certificate.encryption)
    return (made or certificate.key_type or DEFAULT_KEY_TYPE).lower()


def wanted_early(certificate: Certificate, state: RenewalState, began: int) -> bool:
    """Whether its CA wants a new one early: its window has begun, or ends in the first half of its life."""
    if state.ari is None:
        return False
    life = life_of(certificate)
    return milliseconds(state.ari.start) <= began or (life is not None and state.ari.end < life.start + life.length / 2)


@attrs.frozen(kw_only=True)
class Failure:
    """What went wrong with one certificate."""

    key: str
    cause: str
    error: str


MOST_FAILURES = 100  # in a record


@attrs.frozen(kw_only=True)
class Operation:
    """One operation. Instants and durations are in milliseconds, instants since 1970 and 0 where there is none."""

    id: str
    kind: OperationKind
    selector: Selector
    revoke: bool = False  # REPLACE, RENEW: the old one, once the new one is kept
    reason: Reason | None = None  # to revoke for
    same_key: bool = False  # a compromised key of a host may be used once more
    created_by: str = ""
    started_at: int
    state: OperationState = OperationState.RUNNING
    total: int  # certificates selected when it began
    since: int  # when it was started or resumed
    active: int = 0  # how long it had run before that
    ended_at: int = 0
    left: int = 0  # of an aborted one: what was not done
    failures: tuple[Failure, ...] = ()  # likewise, of what was tried; at most MOST_FAILURES

    @property
    def wants_new_keys(self) -> bool:
        """Whether a signing request that was sent before it must not be used again."""
        return self.kind is OperationKind.REPLACE and self.reason is Reason.keyCompromise and not self.same_key

    def covers(self, certificate: Certificate, state: RenewalState) -> bool:
        """Whether there is something left to do about a certificate."""
        began = self.started_at
        return certificate.issued_at < began and self.selector.matches(certificate, state, began)

    def active_at(self, now: int) -> int:
        """For how long it has run, pauses left out."""
        return self.active + (max(now - self.since, 0) if self.state is OperationState.RUNNING else 0)

    def moved_to(self, state: OperationState, now: int) -> Operation:
        """The same in another state. Raises ValueError for a step that there is not."""
        allowed = {
            OperationState.RUNNING: {OperationState.PAUSED},
            OperationState.PAUSED: {OperationState.RUNNING},
            OperationState.ABORTED: {OperationState.RUNNING, OperationState.PAUSED},
            OperationState.DONE: {OperationState.RUNNING},
        }
        if self.state not in allowed[state]:
            raise ValueError(f"operation {self.id} is {self.state}")
        ended = now if state.over else 0
        return attrs.evolve(self, state=state, active=self.active_at(now), since=now, ended_at=ended)


@attrs.frozen(kw_only=True)
class Standing:
    """What the operations that are not over want of one certificate."""

    forced: str = ""  # why it is to be renewed now
    held: str = ""  # why it is not to be renewed by itself
    new_key: str = ""  # the operation for which only its host can make a new one, with another key
    revoke: Reason | None = None  # what the old one is revoked for, once there is a new one


UNTOUCHED = Standing()


def standing(operations: Iterable[Operation], certificate: Certificate, state: RenewalState) -> Standing:
    """What is wanted of a certificate. What is to be revoked, or has a leaked key, is not renewed as it is."""
    found = [one for one in operations if not one.state.over and one.covers(certificate, state)]
    if not found:
        return UNTOUCHED
    renewing = [one for one in found if one.kind is not OperationKind.REVOKE and one.state is OperationState.RUNNING]
    keyless = next((one for one in found if one.wants_new_keys and certificate.csr), None)
    doomed = next((one for one in found if one.kind is OperationKind.REVOKE), None)
    held = ""
    if doomed is not None:
        held = f"operation {doomed.id} revokes it"
    elif keyless is not None:
        held = f"operation {keyless.id} wants another key: its host must make one and ask with a new CSR"
    reasons = [Reason.superseded if one.reason is None else one.reason for one in found if one.revoke]
    return Standing(
        forced=f"operation {renewing[0].id}: {renewing[0].kind}" if renewing and not held else "",
        held=held,
        new_key=keyless.id if keyless else "",
        # A CA revokes once: of several reasons the one that tells others not to trust the key counts.
        revoke=min(reasons, key=lambda one: one is not Reason.keyCompromise, default=None),
    )


_converter = Converter()
_converter.register_structure_hook(Reason | None, lambda value, _: None if value is None else Reason(value))


def operation_to_json(operation: Operation) -> dict[str, Any]:
    """The record in storage and in the shared map."""
    record: dict[str, Any] = _converter.unstructure(operation)
    return record


def operation_from_json(record: Mapping[str, Any]) -> Operation:
    """Read a record. Raises ValueError when it is none."""
    try:
        return _converter.structure(dict(record), Operation)
    except Exception as error:
        raise ValueError(f"no record of an operation: {error}") from error


def check_selector(selector: Selector) -> None:
    """Raise InvalidRequest for a selection that says nothing, or everything and something."""
    if selector.empty:
        raise InvalidRequest("nothing is selected: name what to select, or select everything with 'all': true", "all")
    if selector.all and selector != Selector(all=True):
        raise InvalidRequest("'all' selects everything: leave it out, or leave out what else is selected by", "all")


def instant_of(text: str, where: str) -> int:
    """Unix milliseconds of an RFC 3339 instant, 0 for no text. Raises InvalidRequest."""
    if not text:
        return 0
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError("no offset")
    except ValueError as error:
        raise InvalidRequest(
            f"'{where}' must be a time like '2026-11-24T12:00:00Z', not '{text[:40]}'", where
        ) from error
    return milliseconds(at)
