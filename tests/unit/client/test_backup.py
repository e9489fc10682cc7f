"""Keys in Vault: kept beside what the server and the Go original keep, and never lost to either."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from acme_manager.client.backup import Backup, BackupRefused
from acme_manager.client.keys import new_key, read_key, signing_request
from acme_manager.domain.certificate import Certificate, StoredCertificate, stored_to_json
from acme_manager.errors import StaleVersion, StorageUnavailable
from acme_manager.ports import Storage
from acme_manager.storage.memory import MemoryStorage

NOW = datetime(2026, 11, 24, tzinfo=UTC)
FIRST, SECOND = new_key("ec256"), new_key("rsa2048")
SERVERS, GOS_NAMED = "certificates/web/ca/example.com", "certificates/web/ca/shop/example.com"
OURS = "certificates/web/.acme-manager/keys/by-issuer/ca/example.com"


class FixedClock:
    def now(self) -> datetime:
        return NOW


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage(FixedClock())


@pytest.fixture
def backup(storage: MemoryStorage) -> Backup:
    return Backup(storage=storage, prefix="certificates/")


def issued(key: str, *, day: int = 0, name: str = "") -> StoredCertificate:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "example.com")])
    begins = NOW + timedelta(days=day)
    builder = x509.CertificateBuilder(
        subject, subject, read_key(key).public_key(), day + 1, begins, begins + timedelta(days=90)
    )
    pem = builder.sign(read_key(FIRST), hashes.SHA256()).public_bytes(Encoding.PEM).decode()
    told = Certificate(
        owner="web", issuer="ca", domain="example.com", name=name, csr=signing_request(key, "example.com", "")
    )
    return StoredCertificate(certificate=told, cert=pem, ca_issuer=pem, url="https://ca/1")


async def value(storage: Storage, place: str) -> Any:
    return (await storage.get(place)).value


@pytest.mark.parametrize("name", ["", "shop"])
async def test_a_key_comes_back_from_the_backup(backup: Backup, name: str) -> None:
    stored = issued(FIRST, name=name)
    assert await backup.load(stored.certificate) is None
    await backup.save(stored, FIRST)
    assert await backup.load(stored.certificate) == FIRST


async def test_the_servers_own_secret_is_never_written(backup: Backup, storage: MemoryStorage) -> None:
    stored = issued(FIRST)
    for secret in (stored_to_json(stored), {**stored_to_json(stored), "key": "merged by somebody"}):
        there = await storage.get(SERVERS)
        await storage.put(SERVERS, secret, expected=there.version)
        await backup.save(issued(SECOND, day=1), SECOND)
        assert await value(storage, SERVERS) == secret
    assert await storage.list("certificates") == [OURS, SERVERS]


async def test_a_servers_renewal_does_not_take_the_key_away(backup: Backup, storage: MemoryStorage) -> None:
    await storage.put(SERVERS, stored_to_json(issued(FIRST)), expected=0)
    await backup.save(issued(FIRST), FIRST)
    renewed = issued(FIRST, day=60)
    await storage.put(SERVERS, stored_to_json(renewed), expected=1)
    assert await backup.load(renewed.certificate) == FIRST


@pytest.mark.parametrize(("name", "place"), [("", SERVERS), ("shop", GOS_NAMED)])
async def test_a_backup_of_the_go_original_is_read_and_kept_up_to_date(
    backup: Backup, storage: MemoryStorage, name: str, place: str
) -> None:
    old, new = issued(FIRST, name=name), issued(SECOND, day=1, name=name)
    await storage.put(place, {"cert": old.cert, "key": FIRST, "ca_issuer": "", "note": "by hand"}, expected=0)
    assert await backup.load(old.certificate) == FIRST
    await backup.save(new, SECOND)
    assert await value(storage, place) == {
        "cert": new.cert,
        "key": SECOND,
        "ca_issuer": new.ca_issuer,
        "note": "by hand",
    }
    assert await backup.load(new.certificate) == SECOND


async def test_a_key_that_the_server_has_written_over_is_found_in_the_history(
    backup: Backup, storage: MemoryStorage
) -> None:
    stored = issued(FIRST)
    await storage.put(SERVERS, {"cert": stored.cert, "key": FIRST, "ca_issuer": ""}, expected=0)
    await storage.put(SERVERS, stored_to_json(stored), expected=1)
    await storage.put(SERVERS, stored_to_json(stored), expected=2)
    assert await backup.load(stored.certificate) == FIRST


async def test_the_key_of_the_request_is_found_among_newer_ones(backup: Backup) -> None:
    old, new = issued(FIRST), issued(SECOND, day=1)
    await backup.save(old, FIRST)
    await backup.save(new, SECOND)
    assert await backup.load(old.certificate) == FIRST
    unknown = attrs.evolve(old.certificate, csr="")
    assert await backup.load(unknown) == SECOND


async def test_no_key_takes_the_place_of_a_key(backup: Backup, storage: MemoryStorage) -> None:
    await backup.save(issued(FIRST), FIRST)
    renewed = issued(FIRST, day=60)
    await backup.save(renewed, "")
    assert await value(storage, OURS) == {"certificate": renewed.cert, "chain": renewed.ca_issuer, "key": FIRST}
    with pytest.raises(BackupRefused, match="not the certificate's"):
        await backup.save(issued(SECOND, day=61), "")
    with pytest.raises(BackupRefused, match="no key to keep"):
        await backup.save(issued(SECOND, name="shop"), "")
    assert (await storage.get(OURS)).version == 2


async def test_the_key_of_another_certificate_is_refused(backup: Backup, storage: MemoryStorage) -> None:
    with pytest.raises(BackupRefused, match="not the certificate's"):
        await backup.save(issued(FIRST), SECOND)
    assert await storage.list("certificates") == []


async def test_an_older_certificate_replaces_nothing_and_the_same_is_not_written_twice(
    backup: Backup, storage: MemoryStorage
) -> None:
    newest = issued(SECOND, day=1)
    await backup.save(newest, SECOND)
    for stored, key in ((newest, SECOND), (issued(FIRST), FIRST)):
        await backup.save(stored, key)
        assert (await value(storage, OURS))["key"] == SECOND
    assert (await storage.get(OURS)).version == 1


async def test_hosts_that_write_at_once_come_to_terms(backup: Backup, storage: MemoryStorage) -> None:
    first = issued(FIRST)
    put, calls = storage.put, 0

    async def beaten(key: str, value: Any, *, expected: int) -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            await put(key, {"note": "by another host"}, expected=expected)
        return await put(key, value, expected=expected)

    storage.put = beaten  # type: ignore[method-assign]
    await backup.save(first, FIRST)
    assert (await value(storage, OURS))["note"] == "by another host"
    assert await backup.load(first.certificate) == FIRST

    async def always_beaten(key: str, value: Any, *, expected: int) -> int:
        await put(key, {"note": "by another host"}, expected=expected)
        raise StaleVersion(key, expected)

    storage.put = always_beaten  # type: ignore[method-assign]
    with pytest.raises(StaleVersion):
        await backup.save(issued(FIRST, day=1), FIRST)


async def test_a_vault_that_is_away_is_no_missing_key(backup: Backup, storage: MemoryStorage) -> None:
    storage.down = StorageUnavailable("sealed")
    with pytest.raises(StorageUnavailable):
        await backup.load(issued(FIRST).certificate)
