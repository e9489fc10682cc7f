from __future__ import annotations

import attrs
import pytest

from acme_manager.domain.certificate import CertificateId
from acme_manager.errors import CertificateNotFound, StorageUnavailable
from tests.unit.services.world import ALICE, NOW, World, open_world, wish

EXAMPLE = CertificateId("alice", "test", "example.com")
KEY = "certificates/alice/test/example.com"


async def renew(world: World, times: int) -> None:
    for _ in range(times):
        await world.certificates.renew(EXAMPLE, "a test")


async def test_the_newest_ten_versions_are_told_with_their_facts() -> None:
    async with open_world() as world:
        first = await world.certificates.request(ALICE, wish())
        (only,) = await world.certificates.versions(EXAMPLE)
        assert (only.version, only.created, only.deleted, only.destroyed) == (1, NOW, False, False)
        assert (only.serial, only.fingerprint) == (first.certificate.serial, first.certificate.fingerprint)
        assert (only.issuer, only.key, only.not_before, only.error) == ("test", "ECDSA-256", NOW, "")
        await renew(world, 10)
        found = await world.certificates.versions(attrs.evolve(EXAMPLE, domain="EXAMPLE.com"))
        assert [one.version for one in found] == [11, 10, 9, 8, 7, 6, 5, 4, 3, 2]
        assert len({one.serial for one in found}) == 10


async def test_what_is_gone_or_can_not_be_read_is_told_in_its_row_and_hides_no_other() -> None:
    async with open_world() as world:
        await world.certificates.request(ALICE, wish())
        await renew(world, 1)
        for value in ({"cert": "no certificate"}, {"days": "many"}):
            version = (await world.storage.get(KEY)).version
            await world.storage.put(
                KEY, {"owner": "alice", "issuer": "test", "domain": "example.com", **value}, expected=version
            )
        await world.storage.destroy(KEY, [1])
        await world.certificates.delete(EXAMPLE, revoke=False)
        unread, broken, good, destroyed = await world.certificates.versions(EXAMPLE)
        assert (unread.deleted, unread.error) == (True, "")
        assert broken.error
        assert good.serial
        assert (destroyed.destroyed, destroyed.serial) == (True, "")


async def test_a_record_that_can_not_be_decoded_says_so() -> None:
    async with open_world() as world:
        await world.certificates.request(ALICE, wish())
        await world.storage.put(KEY, {"days": "many"}, expected=1)
        newest, first = await world.certificates.versions(EXAMPLE)
        assert "can't be read" in newest.error
        assert first.serial


async def test_what_never_was_is_not_found_and_storage_that_is_away_is_told() -> None:
    async with open_world() as world:
        with pytest.raises(CertificateNotFound):
            await world.certificates.versions(EXAMPLE)
        world.storage.down = StorageUnavailable("sealed")
        with pytest.raises(StorageUnavailable):
            await world.certificates.versions(EXAMPLE)


@pytest.mark.parametrize("bundle", [True, False])
async def test_the_chain_of_a_certificate_is_told_leaf_first(bundle: bool) -> None:
    async with open_world() as world:
        stored = await world.certificates.request(ALICE, wish(bundle=bundle))
        leaf, root = await world.certificates.chain(EXAMPLE)
        assert (leaf.serial, leaf.names, root.subject) == (stored.certificate.serial, ("example.com",), "CN=Memory CA")


async def test_a_chain_that_can_not_be_read_is_an_error_that_says_so() -> None:
    async with open_world() as world:
        await world.storage.put(
            KEY, {"owner": "alice", "issuer": "test", "domain": "example.com", "cert": "x"}, expected=0
        )
        await world.reconciler.round()
        with pytest.raises(StorageUnavailable, match="can't be read"):
            await world.certificates.chain(EXAMPLE)
