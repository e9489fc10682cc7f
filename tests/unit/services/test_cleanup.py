from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from acme_manager.domain.cleanup import Action
from acme_manager.domain.token import token_to_secret
from acme_manager.errors import InvalidRequest, IssuerUnavailable, NotLeader, StorageDenied, StorageUnavailable
from acme_manager.ports import Versioned, VersionInfo
from acme_manager.services.jobs import Flight
from acme_manager.storage.memory import MemoryStorage
from tests.fakes.secrets import DAY
from tests.unit.services.cleaning import WEB, open_cleaning, pem, put, secret
from tests.unit.services.world import ALICE, FixedClock, MovableClock, wish

TOKEN_ID = "6ae1c1c4-92b9-4c3c-b0a5-6d3d1a7d0f11"
TOKEN = f"tokens/alice/{TOKEN_ID}"


async def stored(*values: dict[str, object], key: str = WEB) -> MemoryStorage:
    storage = MemoryStorage(MovableClock())
    await put(storage, key, *values)
    return storage


async def test_two_cycles_destroy_what_has_expired_and_revoke_what_is_about_to() -> None:
    old = secret(5)
    async with open_cleaning(await stored(secret(-30), old, secret(60))) as it:
        assert await it.preview() == [(WEB, 1, Action.DESTROY), (WEB, 2, Action.REVOKE)]
        assert (it.revoked, await it.destroyed()) == ([], [])
        await it.cleanup.round()
        assert (it.revoked, await it.destroyed()) == ([old["serial"]], [1])
        await it.cleanup.round()
        await it.cleanup.round()
        assert (it.revoked, await it.destroyed()) == ([old["serial"]], [1, 2])
        assert (await it.storage.get(WEB)).value is not None
        assert it.world.state.certificates.get("alice/test/www.example.com") is not None
        assert [it.counted(one) for one in ("revoke", "destroy", "purge", "failed")] == [1, 2, 0, 0]
        assert it.world.ca.revoked == [(old["cert"], 4)]


async def test_a_new_leader_knows_what_the_last_one_has_revoked() -> None:
    storage = await stored(secret(5), secret(60))
    async with open_cleaning(storage) as first:
        await first.cleanup.round()
        notes = dict(first.world.cluster.items("cleanup/"))
    assert list(notes) == ["cleanup/" + WEB]
    async with open_cleaning(storage) as second:
        for key, value in notes.items():
            second.world.cluster.put(key, value)
        await second.cleanup.round()
        assert (second.revoked, await second.destroyed()) == ([], [1])
        await second.cleanup.round()
        assert list(second.world.cluster.items("cleanup/")) == []


async def test_without_the_notes_a_version_is_revoked_again_and_goes_a_cycle_later() -> None:
    storage = await stored(secret(5), secret(60))
    async with open_cleaning(storage) as first:
        await first.cleanup.round()
    async with open_cleaning(storage) as second:
        await second.cleanup.round()
        assert (len(second.revoked), await second.destroyed()) == (1, [])
        await second.cleanup.round()
        assert await second.destroyed() == [1]


async def test_a_secret_of_which_only_what_is_served_is_left_costs_one_request() -> None:
    class Counting(MemoryStorage):
        reads = 0

        async def get(self, key: str, version: int | None = None) -> Versioned:
            self.reads += 1
            return await super().get(key, version)

    storage = Counting(MovableClock())
    await put(storage, WEB, secret(-30), secret(60))
    async with open_cleaning(storage) as it:
        await it.cleanup.round()
        storage.reads = 0
        assert await it.preview() == []
        assert storage.reads == 0


async def test_notes_about_secrets_that_are_gone_are_forgotten() -> None:
    async with open_cleaning(await stored(secret(5), secret(60))) as it:
        await it.cleanup.round()
        await it.storage.purge(WEB)
        await it.cleanup.round()
        assert list(it.world.cluster.items("cleanup/")) == []


async def test_a_deleted_certificate_goes_in_the_end_and_is_never_brought_back() -> None:
    async with open_cleaning(await stored(secret(-30), secret(60))) as it:
        await it.storage.delete(WEB)
        await it.cleanup.round()
        assert await it.destroyed() == [1]
        assert [one.deleted for one in await it.storage.versions(WEB)] == [False, True]
        it.clock.at += 399 * DAY
        await it.cleanup.round()
        assert await it.destroyed() == [1, 2]
        await it.cleanup.round()
        assert await it.storage.versions(WEB) == []
        assert await it.preview() == []


@pytest.mark.parametrize(
    ("key", "others"),
    [
        (WEB, {"cert": "C", "key": "K", "ca_issuer": "I"}),  # an agent's backup
        (WEB, {**secret(60), "key": "K"}),  # the same, merged into ours
        (WEB, {**secret(60), "cert": ""}),
        (WEB, {**secret(60), "cert": "garbage"}),
        (WEB, secret(60, domain="elsewhere.example.com")),
        ("certificates/alice/notes", {"text": "hello"}),
    ],
)
async def test_secrets_of_others_are_left_alone_with_their_history(key: str, others: dict[str, object]) -> None:
    storage = await stored(secret(-30) if key == WEB else others, others, key=key)
    async with open_cleaning(storage, last_version=True) as it:
        assert await it.preview() == [(key, 0, Action.SKIP)]
        for _ in range(3):
            await it.cleanup.round()
        assert [one.destroyed for one in await it.storage.versions(key)] == [False, False]


async def test_what_is_not_where_certificates_are_is_not_even_looked_at() -> None:
    storage = MemoryStorage(MovableClock())
    hidden = ["certificates/.acme-manager/fence", "certificates/.acme-manager/orders/alice/web"]
    strange = ["certificates/a/b/c/d/e", "certificates/x"]
    for key in (*hidden, *strange, "tokens/alice/notes"):
        await put(storage, key, secret(-30), secret(-20))
        await storage.delete(key)
    async with open_cleaning(storage, last_version=True) as it:
        it.clock.at += 500 * DAY
        assert await it.preview() == []
        await it.cleanup.round()
        assert await it.storage.list("certificates") == hidden + strange
        assert await it.storage.list("tokens") == ["tokens/alice/notes"]


async def test_a_secret_of_the_go_program_is_cleaned_up_like_ours() -> None:
    go = secret(-1, name="web", renewal_date="2026-10-01 07:33:00 +0200 CEST")
    async with open_cleaning(await stored(go, secret(60, name="web"), key="certificates/alice/web")) as it:
        await it.cleanup.round()
        assert await it.destroyed("certificates/alice/web") == [1]


async def test_the_copies_at_the_path_of_an_early_version_do_not_get_the_served_certificate_revoked() -> None:
    old = "certificates/alice/test/web/www.example.com"
    served = secret(5, name="web")
    async with open_cleaning(await stored(served, served, key=old)) as it:  # it moves to its present path at the start
        assert (await it.storage.get("certificates/alice/web")).value == served
        assert await it.preview() == []
        it.clock.at += 6 * DAY
        await it.cleanup.round()
        assert await it.destroyed(old) == [1]
        assert it.revoked == []


async def test_copies_are_left_alone_while_what_is_served_in_their_place_cannot_be_read() -> None:
    old = "certificates/alice/test/web/www.example.com"
    storage = await stored(secret(5, name="web"), secret(60, name="web"), key=old)
    await put(storage, "certificates/alice/web", secret(5, name="web", cert=pem(5 * DAY)) | {"cert": "garbage"})
    async with open_cleaning(storage) as it:
        assert (old, 0, Action.SKIP) in await it.preview()
        await it.cleanup.round()
        assert it.revoked == []


async def test_the_newest_version_goes_only_with_the_flag_and_leaves_the_list_with_it() -> None:
    expired = secret(-30)
    async with open_cleaning(await stored(expired)) as it:
        assert await it.preview() == []
    async with open_cleaning(await stored(expired), last_version=True) as it:
        assert it.world.state.certificates.get("alice/test/www.example.com") is not None
        await it.cleanup.round()
        assert it.world.state.certificates.get("alice/test/www.example.com") is None
        await it.cleanup.round()
        assert await it.storage.versions(WEB) == []
    overdue = secret(5)
    async with open_cleaning(await stored(overdue), last_version=True) as it:
        await it.cleanup.round()
        assert it.world.ca.revoked == [(overdue["cert"], 5)]


async def test_a_certificate_that_is_being_worked_on_is_left_to_the_work() -> None:
    async with open_cleaning(await stored(secret(-30), secret(5), secret(60))) as it:
        done = trio.Event()

        async def renewal(_: Flight[None]) -> None:
            await done.wait()

        flight = it.world.jobs.start("alice/test/www.example.com", "renewal", renewal)
        await it.cleanup.round()
        assert (it.revoked, await it.destroyed(), it.counted("skip")) == ([], [], 2)
        done.set()
        await flight.answered.wait()
        await it.cleanup.round()
        assert (len(it.revoked), await it.destroyed()) == (1, [1])


async def test_a_secret_that_is_written_to_meanwhile_waits_for_the_next_round() -> None:
    class Moving(MemoryStorage):
        late: tuple[dict[str, object], ...] = ()

        async def get(self, key: str, version: int | None = None) -> Versioned:
            found = await super().get(key, version)
            late, self.late = self.late, ()
            await put(self, key, *late)  # right after its history was read
            return found

    storage = Moving(MovableClock())
    await put(storage, WEB, secret(-30), secret(60))
    async with open_cleaning(storage) as it:
        storage.late = (secret(80),)
        await it.cleanup.round()
        assert await it.destroyed() == []
        await it.cleanup.round()
        assert await it.destroyed() == [1]


async def test_a_secret_that_was_made_anew_meanwhile_is_not_revoked_for_what_it_held() -> None:
    class Reborn(MemoryStorage):
        seen = False

        async def get(self, key: str, version: int | None = None) -> Versioned:
            if version == 1 and self.seen:
                return Versioned(secret(80), 1)
            self.seen = self.seen or version == 1
            return await super().get(key, version)

    storage = Reborn(MovableClock())
    await put(storage, WEB, secret(5), secret(60))
    async with open_cleaning(storage) as it:
        await it.cleanup.round()
        assert it.revoked == []


async def test_a_ca_that_does_not_answer_is_asked_once_a_round_and_hinders_nothing_else() -> None:
    asked: list[str] = []

    async def before(step: str) -> None:
        await trio.lowlevel.checkpoint()
        asked.append(step)
        raise IssuerUnavailable("the CA is away")

    storage = MemoryStorage(MovableClock())
    for number in range(9):
        domain = f"w{number}.example.com"
        at = f"certificates/alice/test/{domain}"
        await put(storage, at, secret(-30, domain=domain), secret(5, domain=domain), secret(60, domain=domain))
    async with open_cleaning(storage, before=before) as it:
        with capture_logs() as logs:
            await it.cleanup.round()
        assert len(asked) <= 4  # a few secrets are looked at side by side
        assert it.counted("failed") + it.counted("skip") == 9
        assert it.counted("destroy") == 9
        line = next(one for one in logs if one["event"] == "cleanup done")
        assert (line["secrets"], line["destroy"], line["revoke"], line["keep"]) == (9, 9, 0, 9)
        again = len(asked)
        await it.cleanup.round()
        assert len(asked) > again


async def test_a_policy_that_lacks_destroy_is_said_once_and_not_tried_for_everything() -> None:
    class Strict(MemoryStorage):
        tried = 0

        async def destroy(self, key: str, versions: object) -> None:
            await trio.lowlevel.checkpoint()
            Strict.tried += 1
            raise StorageDenied(f"Vault denies update on secret/destroy/{key}")

    storage = Strict(MovableClock())
    for number in range(9):
        domain = f"w{number}.example.com"
        await put(storage, f"certificates/alice/test/{domain}", secret(-30, domain=domain), secret(60, domain=domain))
    async with open_cleaning(storage) as it:
        with capture_logs() as logs:
            await it.cleanup.round()
        assert Strict.tried <= 4
        assert it.counted("failed") + it.counted("skip") == 9
        assert any("Vault denies update on secret/destroy/" in one.get("error", "") for one in logs)


async def test_one_secret_that_cannot_be_read_does_not_end_the_round() -> None:
    class Torn(MemoryStorage):
        async def get(self, key: str, version: int | None = None) -> Versioned:
            if key.endswith("a.example.com") and version is not None:
                raise StorageUnavailable("Vault refused read on it")
            return await super().get(key, version)

    storage = Torn(MovableClock())
    for domain in ("a.example.com", "b.example.com"):
        await put(storage, f"certificates/alice/test/{domain}", secret(-30, domain=domain), secret(60, domain=domain))
    async with open_cleaning(storage) as it:
        await it.cleanup.round()
        assert (it.counted("skip"), it.counted("destroy")) == (1, 1)


async def test_a_round_ends_with_leadership_and_has_destroyed_nothing_after_it() -> None:
    async with open_cleaning(await stored(secret(-30), secret(60))) as it:

        async def confirm() -> None:
            await trio.lowlevel.checkpoint()
            raise NotLeader("another leads")

        it.world.cluster.confirm = confirm  # type: ignore[method-assign]
        with pytest.raises(NotLeader):
            await it.cleanup.round()
        assert await it.destroyed() == []


async def test_storage_that_cannot_be_listed_fails_the_round() -> None:
    async with open_cleaning() as it:
        it.storage.down = StorageDenied("Vault denies list on secret/metadata/certificates")
        with pytest.raises(StorageDenied, match="denies list"):
            await it.cleanup.round()


async def test_the_key_of_a_server_that_made_it_goes_with_its_version_and_the_rest_goes_on_working() -> None:
    async with open_cleaning() as it:
        first = await it.world.certificates.request(ALICE, wish())
        key = "certificates/" + first.certificate.id.key
        await it.world.certificates.update(ALICE, wish(labels="a=b"))
        await it.world.certificates.update(ALICE, wish(key_type="EC384"))
        it.clock.at += 89 * DAY
        await it.cleanup.round()
        assert len(it.revoked) == 1  # two versions have the first certificate
        await it.cleanup.round()
        assert await it.destroyed(key) == [1, 2]
        assert (await it.storage.get(key, 1)).value is None
        assert (await it.world.certificates.get(first.certificate.id)).private_key


async def test_a_token_that_was_deleted_goes_with_its_history() -> None:
    storage = MemoryStorage(FixedClock())
    await put(storage, TOKEN, token_to_secret(attrs.evolve(ALICE, id=TOKEN_ID)))
    async with open_cleaning(storage) as it:
        assert await it.preview() == []
        await storage.delete(TOKEN)
        assert it.world.state.tokens.get(TOKEN_ID) is not None
        assert await it.preview() == [(TOKEN, 0, Action.PURGE)]
        await it.cleanup.round()
        assert await it.storage.list("tokens") == []
        assert it.world.state.tokens.get(TOKEN_ID) is None


async def test_a_version_that_is_marked_but_still_readable_is_served_and_stays() -> None:
    """An engine with `delete_version_after` marks versions from the start with the time of their deletion."""

    class Marked(MemoryStorage):
        async def versions(self, key: str) -> Sequence[VersionInfo]:
            return [attrs.evolve(one, deleted=True) for one in await super().versions(key)]

    storage = Marked(MovableClock())
    await put(storage, WEB, secret(5))
    async with open_cleaning(storage) as it:
        it.clock.at += 400 * DAY
        assert await it.preview() == []


async def test_a_path_too_long_for_the_shared_map_does_not_end_the_round() -> None:
    storage = await stored(secret(5), secret(60))
    async with open_cleaning(storage) as it:
        original = it.world.cluster.put

        def put_short(key: str, value: bytes) -> None:
            if key == "cleanup/certificates/alice/a":
                raise InvalidRequest("a key of the shared map has 1 to 512 bytes")
            original(key, value)

        it.world.cluster.put = put_short  # type: ignore[method-assign]
        await put(storage, "certificates/alice/a", secret(5, name="a"), secret(60, name="a"))
        await it.cleanup.round()
        await it.cleanup.round()
        assert (len(it.revoked), await it.destroyed(), it.counted("failed")) == (3, [1], 0)


async def test_the_certificate_counts_and_not_what_the_record_says_of_it() -> None:
    lying = secret(60, expires="2020-01-01 00:00:00 +0000 UTC", cert=pem(50 * DAY))
    async with open_cleaning(await stored(lying, secret(60))) as it:
        assert await it.preview() == []
