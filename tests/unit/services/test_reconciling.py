from __future__ import annotations

from datetime import timedelta

import pytest
import trio
import trio.testing

from acme_manager.errors import CertificateNotFound, InvalidRequest, NotLeader, StorageUnavailable
from acme_manager.services.jobs import Flight
from acme_manager.services.resync import Resync
from acme_manager.storage.memory import MemoryStorage
from tests.unit.services.world import ALICE, FixedClock, MovableClock, open_world, token_wish, wish

GO_SECRET = {
    "domain": "www.example.com", "issuer": "test", "owner": "alice", "name": "web",
    "expires": "2027-02-09 11:09:01 +0000 UTC",
    "serial": "3f", "fingerprint": "ab", "cert": "PEM", "ca_issuer": "", "url": "https://ca.test/1", "updated_at": 5,
}  # fmt: skip
GO_TOKEN = {"id": "t-go", "token": "dC1nbzpz", "tokenHash": "0" * 64, "scope": ["read"], "username": "carol"}


async def test_what_the_go_program_wrote_is_loaded() -> None:
    storage = MemoryStorage(FixedClock())
    await storage.put("certificates/alice/web", GO_SECRET, expected=0)
    async with open_world(storage) as world:
        assert [one.serial for one in world.certificates.list("alice")] == ["3f"]
        stored = await world.certificates.get(world.certificates.list("alice")[0].id)
        assert (stored.cert, stored.url) == ("PEM", "https://ca.test/1")


async def test_named_certificates_move_from_their_old_path() -> None:
    storage = MemoryStorage(FixedClock())
    await storage.put("certificates/alice/test/web/www.example.com", GO_SECRET, expected=0)
    async with open_world(storage) as world:
        assert [one.name for one in world.certificates.list("alice")] == ["web"]
    assert (await storage.get("certificates/alice/web")).value == GO_SECRET
    assert (await storage.get("certificates/alice/test/web/www.example.com")).value is None


async def test_what_is_no_certificate_of_ours_is_left_alone() -> None:
    storage = MemoryStorage(FixedClock())
    strangers: dict[str, dict[str, str]] = {
        "certificates/alice/test/a.example": {"cert": "C", "key": "K"},  # an agent's backup
        "certificates/alice/test/b.example": {"domain": "a.example", "owner": "alice", "cert": "C"},  # lies elsewhere
        "certificates/x": {"cert": "C", "days": "many"},
        "certificates/alice/notes": {"text": "hello"},
    }
    for key, value in strangers.items():
        await storage.put(key, value, expected=0)
    async with open_world(storage) as world:
        assert world.certificates.list("alice") == []
    for key, value in strangers.items():
        assert (await storage.get(key)).value == value


async def test_a_node_that_starts_before_storage_waits_for_it(autojump_clock: trio.testing.MockClock) -> None:
    async with open_world() as world:
        await world.certificates.request(ALICE, wish())
    world.storage.down = StorageUnavailable("sealed")
    async with open_world(world.storage, load=False) as late, trio.open_nursery() as nursery:

        async def lead() -> None:
            await late.reconciler.take_over()
            late.state.announce_complete(late.cluster.stamp())

        nursery.start_soon(lead)
        await trio.sleep(60)
        assert not late.state.loaded.is_set()
        assert await late.state.health() is not None
        world.storage.down = None
        await late.state.loaded.wait()
        assert await late.state.health() is None
        assert len(late.certificates.list("alice")) == 1


async def test_the_map_is_corrected_by_what_storage_says() -> None:
    async with open_world() as world:
        kept = await world.certificates.request(ALICE, wish())
        gone = await world.certificates.request(ALICE, wish(name="gone"))
        deleted = await world.certificates.request(ALICE, wish(name="deleted"))
        await world.storage.purge("certificates/alice/gone")
        await world.storage.delete("certificates/alice/deleted")
        newer = {**GO_SECRET, "domain": "example.com", "name": "", "serial": "77"}
        await world.storage.put("certificates/alice/test/example.com", newer, expected=1)
        token, _ = await world.tokens.create(token_wish())
        await world.storage.purge(f"tokens/bob/{token.id}")

        await world.reconciler.round()

        assert [one.serial for one in world.certificates.list("alice")] == ["77"]
        assert (await world.certificates.get(kept.certificate.id)).cert == "PEM"
        for lost in (gone, deleted):
            with pytest.raises(CertificateNotFound):
                await world.certificates.get(lost.certificate.id)
        assert world.tokens.list() == []


async def test_what_is_being_worked_on_is_left_to_the_work() -> None:
    async with open_world() as world:
        first = await world.certificates.request(ALICE, wish())
        go = trio.Event()

        async def work(_flight: Flight[None]) -> None:
            await go.wait()

        world.jobs.start(first.certificate.id.key, "busy", work)
        await world.storage.purge("certificates/alice/test/example.com")
        await world.reconciler.round()
        assert len(world.certificates.list("alice")) == 1
        go.set()


async def test_a_node_that_does_not_lead_takes_no_work() -> None:
    async with open_world() as world:
        pass
    with pytest.raises(NotLeader):
        await world.certificates.request(ALICE, wish())


async def test_a_look_says_what_it_found_and_a_second_one_finds_nothing() -> None:
    async with open_world() as world:
        await world.certificates.request(ALICE, wish())
        await world.certificates.request(ALICE, wish(name="gone"))
        token, _ = await world.tokens.create(token_wish())
        await world.storage.delete("certificates/alice/gone")
        await world.storage.delete(f"tokens/bob/{token.id}")
        await world.storage.put("certificates/alice/web", GO_SECRET, expected=0)
        await world.storage.put("tokens/carol/t-go", GO_TOKEN, expected=0)
        done = await world.reconciler.round()
        assert (done.certificates, done.tokens) == (2, 1)
        assert (done.certificates_changed, done.certificates_gone) == (["alice/web"], ["alice/gone"])
        assert (done.tokens_changed, done.tokens_gone) == (["t-go"], [token.id])
        again = await world.reconciler.round()
        assert again == Resync(certificates=2, tokens=1, seconds=again.seconds)
        for labels, value in (
            ({"kind": "certificate", "change": "changed"}, 1),
            ({"kind": "token", "change": "gone"}, 1),
        ):
            assert world.registry.get_sample_value("acme_manager_storage_resync_changes_total", labels) == value
        assert world.registry.get_sample_value("acme_manager_storage_resync_secrets", {"kind": "certificate"}) == 2


async def test_a_token_counts_only_below_its_own_username() -> None:
    storage = MemoryStorage(FixedClock())
    await storage.put("tokens/mallory/t-go", GO_TOKEN, expected=0)
    async with open_world(storage) as world:
        assert world.tokens.list() == []


async def test_of_two_secrets_of_one_token_the_newer_one_counts() -> None:
    clock = MovableClock()
    storage = MemoryStorage(clock)
    await storage.put("tokens/zoe/t-go", {**GO_TOKEN, "username": "zoe"}, expected=0)
    clock.at += timedelta(seconds=1)
    await storage.put("tokens/carol/t-go", GO_TOKEN, expected=0)
    async with open_world(storage) as world:
        for _ in range(2):
            assert [one.username for one in world.tokens.list()] == ["carol"]
            assert (await world.reconciler.round()).tokens_changed == []


async def test_a_secret_that_can_not_be_shared_hinders_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = MemoryStorage(FixedClock())
    for name in ("big", "small"):
        await storage.put(f"certificates/alice/{name}", {**GO_SECRET, "name": name}, expected=0)
        await storage.put(f"tokens/carol/{name}", GO_TOKEN, expected=0)
    async with open_world(storage, load=False) as world:
        put = world.cluster.put

        def narrow(key: str, value: bytes) -> None:
            if key.endswith("big"):
                raise InvalidRequest("a value of 70000 bytes")
            put(key, value)

        monkeypatch.setattr(world.cluster, "put", narrow)
        done = await world.reconciler.round()
        assert (done.certificates_changed, done.tokens_changed) == (["alice/small"], ["small"])
