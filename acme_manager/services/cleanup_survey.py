"""What clean-up would do with everything in storage. It reads and decides, and changes nothing."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import Any

import attrs

from acme_manager.config.model import Flags
from acme_manager.domain.certificate import Certificate, CertificateId, StoredCertificate, stored_from_json
from acme_manager.domain.cleanup import Action, Content, Decision, Rules, Version, judge
from acme_manager.domain.gotime import parse_time
from acme_manager.domain.keys import describe
from acme_manager.errors import AcmeManagerError
from acme_manager.ports import Clock, Storage, VersionInfo
from acme_manager.storage import keys
from acme_manager.structure import together

_AT_ONCE = 4  # secrets; each is read version by version

# Whatever else a secret has was put there by somebody else, such as a host that keeps its private key.
_OURS = {field.name for field in attrs.fields(Certificate)} | {
    field.name for field in attrs.fields(StoredCertificate) if field.name != "certificate"
}


@attrs.frozen(kw_only=True)
class Secret:
    """A secret that clean-up may have to do with, and what it is about."""

    key: str
    id: CertificateId | None = None  # of a certificate
    token_id: str = ""
    newest: int = 0  # its newest version when it was read

    @property
    def moved(self) -> bool:
        """Whether it lies where early Go versions kept a named certificate."""
        return self.id is not None and bool(self.id.name and self.id.domain)


def rules_of(flags: Flags, issuers: Iterable[str]) -> Rules:
    """What the flags `-cleanup.*` say."""
    return Rules(
        window=timedelta(days=flags.cleanup_cert_expire_days),
        last_version=flags.cleanup_cert_revoke_last_version,
        issuers=frozenset(issuers),
    )


Found = Callable[[Secret, list[Decision]], Awaitable[None]]


@attrs.frozen(kw_only=True)
class Survey:
    """Looks at one secret after another, a few at a time; no more than the list of keys is ever in memory."""

    storage: Storage
    clock: Clock
    rules: Callable[[], Rules]
    certificate_prefix: str
    token_prefix: str

    async def look(self, revoked: Callable[[str], AbstractSet[str]], found: Found) -> AbstractSet[str]:
        """Tell `found` about every secret that is ours, and return the keys of all that are there.

        `revoked` has the serials that earlier cycles have revoked, by the key of their secret. A secret that can't be
        read is skipped with the reason. Raises StorageUnavailable and StorageDenied when nothing can be listed.
        """
        ours = keys.ours_prefix(self.certificate_prefix)
        certificates = await self.storage.list(self.certificate_prefix, skip=ours)
        tokens = await self.storage.list(self.token_prefix)

        async def certificate(key: str) -> None:
            id = keys.certificate_id_from_key(self.certificate_prefix, key)
            id = id or keys.old_named_id_from_key(self.certificate_prefix, key)
            if id is None:
                return
            secret = Secret(key=key, id=id)
            try:
                secret, decisions = await self._certificate(secret, revoked(key))
            except (AcmeManagerError, ValueError) as error:
                decisions = [Decision(Action.SKIP, 0, f"can't be read: {error}")]
            await found(secret, decisions)

        async def token(key: str) -> None:
            _, token_id = keys.token_id_from_key(self.token_prefix, key) or ("", "")
            if not _is_uuid(token_id):
                return
            secret = Secret(key=key, token_id=token_id)
            try:
                gone = await self.is_gone(secret)
            except AcmeManagerError as error:
                await found(secret, [Decision(Action.SKIP, 0, f"can't be read: {error}")])
            else:
                decision = (Action.PURGE, "deleted") if gone else (Action.KEEP, "it is in use")
                await found(secret, [Decision(decision[0], 0, f"token: {decision[1]}")])

        await together(certificate, certificates, at_once=_AT_ONCE)
        await together(token, tokens, at_once=_AT_ONCE)
        return {*certificates, *tokens}

    async def is_gone(self, secret: Secret) -> bool:
        """Whether a secret is there whose newest version has been deleted or destroyed."""
        found = await self.storage.get(secret.key)
        return found.value is None and found.version > 0

    async def content(self, secret: Secret, number: int) -> StoredCertificate | None:
        """A version with its text; None when there is nothing to read any more. Raises ValueError, InvalidRequest."""
        value = (await self.storage.get(secret.key, number)).value
        return None if value is None else stored_from_json(value)

    async def _certificate(self, secret: Secret, revoked: AbstractSet[str]) -> tuple[Secret, list[Decision]]:
        infos, rules = await self.storage.versions(secret.key), self.rules()
        read = _worth_reading(infos, rules)
        history = [await self._version(secret.key, info, read=info in read) for info in infos]
        served = await self._served_elsewhere(secret) if read else frozenset[str]()
        decisions = judge(history, rules, self.clock.now(), revoked=revoked, served=served)
        return attrs.evolve(secret, newest=infos[-1].version if infos else 0), decisions

    async def _version(self, key: str, info: VersionInfo, *, read: bool) -> Version:
        version = Version(number=info.version, created=info.created, deleted=info.deleted, destroyed=info.destroyed)
        if not read:
            return version
        value = (await self.storage.get(key, info.version)).value
        if value is None:
            return attrs.evolve(version, deleted=True)
        try:
            content = self._read(key, value)
        except Exception as error:  # noqa: BLE001 whatever is wrong with it, it is not ours to touch
            return attrs.evolve(version, deleted=False, foreign=str(error) or type(error).__name__)
        return attrs.evolve(version, deleted=False, content=content)

    def _read(self, key: str, value: Mapping[str, Any]) -> Content:
        """Raises ValueError or InvalidRequest with what keeps it from being ours."""
        others = sorted(set(value) - _OURS)
        if others:
            raise ValueError(f"has members of others: {', '.join(others)}")
        stored = stored_from_json(value)
        if not stored.cert:
            raise ValueError("has no certificate")
        certificate = stored.certificate
        proper = keys.certificate_key(self.certificate_prefix, certificate.id)
        if key != proper and keys.old_named_id_from_key(self.certificate_prefix, key) != certificate.id:
            raise ValueError(f"belongs at {proper}")
        facts = describe(stored.cert)
        try:
            renewal = parse_time(certificate.renewal_date)
        except ValueError:
            renewal = None
        return Content(
            serial=facts.serial,
            issuer=certificate.issued_by or certificate.issuer,
            not_before=facts.not_before,
            not_after=facts.not_after,
            renewal=renewal,
        )

    async def _served_elsewhere(self, secret: Secret) -> AbstractSet[str]:
        """What the path to which a certificate has moved serves: the old path has copies of it. Raises ValueError."""
        if not secret.moved or secret.id is None:
            return frozenset()
        value = (await self.storage.get(keys.certificate_key(self.certificate_prefix, secret.id))).value
        return frozenset() if value is None else frozenset({describe(stored_from_json(value).cert).serial})


def _worth_reading(infos: Sequence[VersionInfo], rules: Rules) -> list[VersionInfo]:
    """The versions that can be read; none where only what is served is left, as with most secrets.

    The newest is read even when it has a time of deletion: that lies ahead where the engine has `delete_version_after`.
    """
    there = [info for info in infos if not info.destroyed]
    if not rules.last_version and [info for info in there if not info.deleted] == there == list(infos[-1:]):
        return []
    return [info for info in there if not info.deleted or info is infos[-1]]


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
