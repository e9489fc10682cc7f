"""What is to be done, from what is wanted, what the server has and what is on disk. Pure: it does nothing itself.

Whatever is not known for sure (a server that does not answer, a file that can't be read) leads to `KEEP`. Deletion is
planned for nothing but what the record says that this agent made.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import attrs

from acme_manager.client.model import ClientConfig, Common, Format, KeyRenewal, Listed, Wanted
from acme_manager.client.record import Entry, Record
from acme_manager.domain.certificate import Certificate
from acme_manager.domain.names import parse_san
from acme_manager.errors import InvalidRequest

DEFAULT_KEY_TYPE = "ec256"
_REMADE_FOR = ("issuer", "domain", "days", "bundle", "dns_challenge", "http_challenge", "profile")
_FACTS = ("renewal_days", "labels")


class Action(enum.StrEnum):
    """What a step does."""

    KEEP = "keep"
    CREATE = "create"  # a certificate on the server, then its files
    REMAKE = "remake"  # the certificate on the server, of something else or for another key, then its files
    CHANGE = "change"  # facts on the server: renewal_days, labels
    FETCH = "fetch"  # what the server has, then its files
    RESTORE = "restore"  # the key from the backup, then its files
    REPAIR = "repair"  # files on disk from what is on disk
    SCHEDULE = "schedule"  # a deletion, for later
    DELETE = "delete"  # the certificate on the server, then its files
    REMOVE = "remove"  # files of a certificate that the server no longer has


CHANGING = frozenset(Action) - {Action.KEEP, Action.SCHEDULE}


@attrs.frozen(kw_only=True)
class Step:
    """One thing to do, and why. `new_key` says that the key that is there is not to be used."""

    action: Action
    identity: str
    reason: str
    wanted: Wanted | None = None
    present: Certificate | None = None  # as the server has it
    new_key: bool = False
    at: float = 0.0  # SCHEDULE: Unix time

    def __str__(self) -> str:
        return f"{self.action} {self.identity}: {self.reason}"


@attrs.frozen
class Unknown:
    """The server's state could not be asked for."""

    why: str


class Part(enum.StrEnum):
    """The state of a file."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    PRESENT = "present"


@attrs.frozen(kw_only=True)
class OnDisk:
    """What is on disk of one certificate."""

    certificate: Part = Part.MISSING
    key: Part = Part.MISSING
    chain: Part = Part.MISSING
    fingerprint: str = ""  # of the certificate's file
    key_fits: bool = False  # the key is the one that the certificate was made for
    key_type: str = ""  # as in the configuration, lower case
    awaited: bool = False  # a key waits here for the certificate that the server has by now
    formats: frozenset[Format] = frozenset()  # that are there and were made of the same version
    untidy: str = ""  # what is wrong with owner, group, mode or links; empty: nothing
    trouble: str = ""  # why something is unreadable


NOTHING = OnDisk()


@attrs.frozen(kw_only=True)
class Situation:
    """Everything that a plan is made from."""

    config: ClientConfig
    server: Mapping[str, Certificate] | Unknown  # by identity
    disk: Mapping[str, OnDisk]
    record: Record
    now: float  # Unix seconds
    max_deletions: int | None = 1  # in a run; None: any number


def plan(situation: Situation) -> list[Step]:
    """The steps of a run in full mode: creations first, deletions last, `KEEP` where there is nothing to do."""
    server = situation.server
    if isinstance(server, Unknown):
        identities = dict.fromkeys([*situation.config.wanted, *situation.record])
        return [_keep(one, f"the server's certificates are not known: {server.why}") for one in identities]
    common = situation.config.common
    steps = [
        _imported(situation, wanted, server)
        or _one(common, wanted, server.get(identity), situation.disk.get(identity, NOTHING))
        for identity, wanted in situation.config.wanted.items()
    ]
    steps += _unwanted(situation, server)
    return sorted(steps, key=lambda step: _ORDER[step.action])


def plan_pull(situation: Situation) -> list[Step]:
    """The steps of a run in pull mode: what the server has is put on disk, and nothing else is done anywhere."""
    server = situation.server
    if isinstance(server, Unknown):
        return [_keep(one, f"the server's certificates are not known: {server.why}") for one in situation.disk]
    wanted = situation.config.wanted
    return [
        _files(identity, wanted.get(identity), present, situation.disk.get(identity, NOTHING), backup=True)
        for identity, present in server.items()
    ]


_ORDER = {action: place for place, action in enumerate(Action)}


def _keep(identity: str, reason: str, wanted: Wanted | None = None, present: Certificate | None = None) -> Step:
    return Step(action=Action.KEEP, identity=identity, reason=reason, wanted=wanted, present=present)


def _imported(situation: Situation, wanted: Wanted, server: Mapping[str, Certificate]) -> Step | None:
    """Nothing to do for what was imported, as long as it is what is wanted and not to be renewed yet."""
    identity, disk = wanted.identity, situation.disk.get(wanted.identity, NOTHING)
    entry = situation.record.get(identity)
    if identity in server or entry is None or entry.imported is None:
        return None
    imported = entry.imported
    same = (
        disk.key_fits
        and disk.fingerprint == entry.fingerprint
        and disk.key_type == (wanted.key_type.lower() or disk.key_type)
    )
    if not same or situation.now >= imported.order_from:
        return None
    if frozenset(imported.names) != _names(wanted.domain) | _names(wanted.san):
        return None
    until, order = (datetime.fromtimestamp(one, UTC).date() for one in (imported.not_after, imported.order_from))
    reason = f"imported from {imported.source}, valid until {until}; a new one will be ordered on {order}"
    return _keep(identity, reason, wanted)


def _one(common: Common, wanted: Wanted, present: Certificate | None, disk: OnDisk) -> Step:
    identity = wanted.identity
    if not (common.certificate_deploy or common.certificate_backup):
        return _keep(
            identity,
            "its key would be lost: set certificate_deploy to keep it here, or certificate_backup to keep it in Vault",
            wanted,
            present,
        )
    if Part.UNREADABLE in {disk.certificate, disk.key, disk.chain}:
        return _keep(identity, f"what is on disk can't be read: {disk.trouble}", wanted, present)
    if present is None:
        return _creation(common, wanted, disk)
    changed = _remade_for(common, wanted, present)
    leaked = isinstance(present, Listed) and present.new_key_wanted
    if changed or leaked:
        renew = leaked or "key_type" in changed or wanted.key_renewal is KeyRenewal.RENEW
        return Step(
            action=Action.REMAKE,
            identity=identity,
            reason="an operation on the server replaces its key" if leaked else f"{_listed(changed)} changed",
            wanted=wanted,
            present=present,
            new_key=renew or not _usable(common, disk),
        )
    facts = [fact for fact in _FACTS if getattr(wanted, fact) != getattr(present, fact)]
    if facts:
        return Step(
            action=Action.CHANGE,
            identity=identity,
            reason=f"{_listed(facts)} changed",
            wanted=wanted,
            present=present,
        )
    if not common.certificate_deploy:
        if disk.awaited:
            reason = "its key waits to be backed up"
            return Step(action=Action.FETCH, identity=identity, reason=reason, wanted=wanted, present=present)
        return _keep(identity, "up to date on the server, and no files are wanted here", wanted, present)
    return _files(identity, wanted, present, disk, backup=common.certificate_backup)


def _creation(common: Common, wanted: Wanted, disk: OnDisk) -> Step:
    if common.certificate_keyfile_no_generate and disk.key is not Part.PRESENT:
        return _keep(wanted.identity, "there is no key file, and certificate_keyfile_no_generate is set", wanted)
    wrong_type = disk.key is Part.PRESENT and disk.key_type != _key_type(wanted)
    return Step(
        action=Action.CREATE,
        identity=wanted.identity,
        reason="the server does not have it",
        wanted=wanted,
        new_key=disk.key is not Part.PRESENT
        or ((wrong_type or wanted.key_renewal is KeyRenewal.RENEW) and not common.certificate_keyfile_no_generate),
    )


def _usable(common: Common, disk: OnDisk) -> bool:
    """Whether there is a key to go on with: here, or in the backup."""
    return disk.key is Part.PRESENT or (common.certificate_backup and not common.certificate_deploy)


def _files(identity: str, wanted: Wanted | None, present: Certificate, disk: OnDisk, *, backup: bool) -> Step:
    """What the files on disk need. The server's record of the certificate is right."""

    def step(action: Action, reason: str, *, new_key: bool = False) -> Step:
        return Step(action=action, identity=identity, reason=reason, wanted=wanted, present=present, new_key=new_key)

    if Part.UNREADABLE in {disk.certificate, disk.key, disk.chain}:
        return _keep(identity, f"what is on disk can't be read: {disk.trouble}", wanted, present)
    outdated = disk.certificate is Part.MISSING or disk.fingerprint != present.fingerprint
    if disk.key is Part.MISSING or not (outdated or disk.key_fits):
        wrong = "missing" if disk.key is Part.MISSING else "not the certificate's"
        if backup or not present.csr:  # without a CSR the server has made the key, and hands it out
            return step(Action.RESTORE, f"the key is {wrong}")
        return step(Action.REMAKE, f"the key is {wrong}, and there is no backup of it", new_key=True)
    if outdated:
        missing = disk.certificate is Part.MISSING
        return step(Action.FETCH, "the certificate is missing" if missing else "the server has another version")
    if disk.chain is Part.MISSING and not present.bundle:
        return step(Action.FETCH, "the chain is missing")
    lacking = [one for one in (wanted.formats if wanted else ()) if one not in disk.formats]
    if lacking:
        return step(Action.REPAIR, f"{_listed(lacking)} to be made")
    if disk.untidy:
        return step(Action.REPAIR, disk.untidy)
    return _keep(identity, "up to date", wanted, present)


def _remade_for(common: Common, wanted: Wanted, present: Certificate) -> list[str]:
    """Which ingredients differ from those of the certificate that there is."""
    days = wanted.days or common.cert_days
    asked = attrs.evolve(wanted, days=days)
    changed = [field for field in _REMADE_FOR if getattr(asked, field) != getattr(present, field)]
    if _names(wanted.san) != _names(present.san):
        changed.append("san")
    # A certificate that was made by API has no key type on record: whatever it is, nobody asked for another one.
    if present.key_type and present.key_type.lower() != _key_type(wanted):
        changed.append("key_type")
    return changed


def _names(san: str) -> frozenset[str]:
    try:
        return frozenset(one.value for one in parse_san(san))
    except InvalidRequest:
        return frozenset(part.strip() for part in san.split(",") if part.strip())


def _key_type(wanted: Wanted) -> str:
    return (wanted.key_type or DEFAULT_KEY_TYPE).lower()


def _unwanted(situation: Situation, server: Mapping[str, Certificate]) -> list[Step]:
    """What becomes of certificates that are in the server's list or in our record, but not in the configuration."""
    wanted, record = situation.config.wanted, situation.record
    steps = [
        _keep(identity, "it is not in the configuration, but this agent did not make it", None, present)
        for identity, present in server.items()
        if identity not in wanted and not _ours(record.get(identity))
    ]
    due: list[Step] = []
    for identity, entry in record.items():
        if identity in wanted or not entry.ours:
            continue
        step = _farewell(situation, identity, entry, server.get(identity))
        (due if step.action in {Action.DELETE, Action.REMOVE} else steps).append(step)
    return steps + list(_within_limit(due, situation.max_deletions))


def _ours(entry: Entry | None) -> bool:
    return entry is not None and entry.ours


def _farewell(situation: Situation, identity: str, entry: Entry, present: Certificate | None) -> Step:
    gone = "it is no longer in the configuration"
    if present is None:
        return Step(action=Action.REMOVE, identity=identity, reason=f"{gone}, and the server does not have it either")
    at = entry.delete_from or situation.now + situation.config.common.delay_before_delete
    if situation.now >= at:
        return Step(action=Action.DELETE, identity=identity, reason=gone, present=present)
    return Step(
        action=Action.SCHEDULE, identity=identity, reason=f"{gone} (delay_before_delete)", present=present, at=at
    )


def _within_limit(due: list[Step], most: int | None) -> Iterator[Step]:
    """All of the deletions, or none of them: a configuration that was emptied by mistake must not empty a fleet."""
    if most is None or len(due) <= most:
        yield from due
        return
    for step in due:
        yield _keep(
            step.identity,
            f"{len(due)} deletions are due at once, more than -client.max-deletions={most} allows: {step.reason}",
            None,
            step.present,
        )


def _listed(words: list[str] | list[Format]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), str(words[-1])]))
