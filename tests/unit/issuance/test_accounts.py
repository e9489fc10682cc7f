"""The account in storage: shared by all nodes, brought along in files, re-keyed and given up whatever fails."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from acme_manager.errors import (
    AcmeManagerError,
    IssuanceFailed,
    IssuerUnavailable,
    StaleVersion,
    StorageDenied,
    StorageUnavailable,
)
from acme_manager.issuance.account_files import AccountFiles
from acme_manager.issuance.account_record import (
    AccountRecord,
    Registration,
    new_key,
    record_from_json,
    record_to_json,
)
from acme_manager.storage.memory import MemoryStorage
from tests.unit.issuance.bench import ACCOUNT, FixedClock, issue, opened
from tests.unit.issuance.fake_ca import FakeCa, problem

AWAY = StorageUnavailable("Vault is sealed; unseal it")


def new_storage() -> MemoryStorage:
    return MemoryStorage(FixedClock())


async def _kept(storage: MemoryStorage) -> AccountRecord:
    value = (await storage.get(ACCOUNT)).value
    assert value is not None
    assert value["owner"] == ".acme-manager"
    return record_from_json(value)


async def _account_used(ca: FakeCa, storage: MemoryStorage, folder: Path | None = None) -> str:
    async with opened(ca, folder, storage=storage) as issuer:
        await issuer.check()
        return (await issuer.facts()).account


def test_a_record_comes_back_as_it_was() -> None:
    registration = Registration("a@example.org", "https://ca.test/account/1", {"status": "valid"})
    for record in (
        AccountRecord(key=new_key()),
        AccountRecord(key=new_key(), next_key=new_key(), registration=registration),
    ):
        assert record_from_json(record_to_json(record)) == record
        assert record.key not in repr(record)


async def test_nodes_without_a_folder_make_one_account_and_share_it(autojump_clock: MockClock) -> None:
    ca, storage = FakeCa(), new_storage()
    used = []

    async def node() -> None:
        used.append(await _account_used(ca, storage))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(node)
    assert len(used) == 5
    assert set(used) == {await _account_used(ca, storage)}
    assert (await _kept(storage)).registration is not None


@pytest.mark.parametrize("others_first", [True, False])
async def test_an_account_in_the_folder_is_put_into_storage_by_whoever_starts_first(
    tmp_path: Path, autojump_clock: MockClock, *, others_first: bool
) -> None:
    ca, storage, one, two = FakeCa(), new_storage(), tmp_path / "1", tmp_path / "2"
    accounts = [await _account_used(ca, new_storage(), folder) for folder in (one, two)]
    if others_first:
        (one / "ca").rename(tmp_path / "x")
        (two / "ca").rename(one / "ca")
        (tmp_path / "x").rename(two / "ca")
        accounts.reverse()
    ours = AccountFiles(one / "ca").load()
    assert await _account_used(ca, storage, one) == accounts[0]
    assert await _account_used(ca, storage, two) == accounts[0]
    assert await _kept(storage) == ours == AccountFiles(two / "ca").load()
    assert len(list((two / "ca").glob("private_key.?*.pem"))) == 1


async def test_a_registered_account_in_the_folder_counts_more_than_one_in_storage_that_came_to_nothing(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    ca, storage = FakeCa(), new_storage()
    brought = await _account_used(ca, new_storage(), tmp_path)
    ca.faults = [lambda _: None] * 2 + [lambda _: problem("externalAccountRequired", 403)]
    with pytest.raises(IssuanceFailed):
        await _account_used(ca, storage)
    assert (await _kept(storage)).registration is None
    ca.faults = []
    assert await _account_used(ca, storage, tmp_path) == brought


async def test_a_folder_that_can_not_be_read_or_written_matters_only_where_storage_has_no_account(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    ca, storage = FakeCa(), new_storage()
    (tmp_path / "ca").mkdir()
    (tmp_path / "ca" / "private_key.pem").write_text("precious")
    with pytest.raises(IssuanceFailed, match=r"private_key\.pem is no private key"):
        await _account_used(ca, storage, tmp_path)
    assert (await storage.get(ACCOUNT)).version == 0
    used = await _account_used(ca, storage)
    with capture_logs() as logs:
        assert await _account_used(ca, storage, tmp_path) == used
    assert any(line["event"] == "account not copied to its folder" for line in logs)
    assert (tmp_path / "ca" / "private_key.pem").read_text() == "precious"


async def test_what_storage_has_and_is_no_account_is_named_and_left_alone(autojump_clock: MockClock) -> None:
    for value in ({"x": 1}, {"private_key": "precious"}, {"private_key": new_key(), "next_private_key": 7}):
        storage = new_storage()
        await storage.put(ACCOUNT, value, expected=0)
        with pytest.raises(IssuanceFailed, match=f"'{ACCOUNT}' in storage is no account") as caught:
            await _account_used(FakeCa(), storage)
        assert "precious" not in str(caught.value)
        assert (await storage.get(ACCOUNT)).version == 1


@pytest.mark.parametrize("error", [AWAY, StorageDenied("no permission to read")])
async def test_without_storage_an_account_that_is_known_is_used_and_another_waited_for(
    autojump_clock: MockClock, error: Exception
) -> None:
    ca, storage = FakeCa(), new_storage()
    async with opened(ca, storage=storage) as knows, opened(ca, storage=storage) as new:
        await issue(knows)
        storage.down = error
        with pytest.raises(type(error)):
            await issue(new)
        await issue(knows)
        await knows.check()
        ca.faults = [lambda _: problem("unauthorized", 403)]
        with pytest.raises(IssuanceFailed, match="does not permit"):  # most likely it isn't about the account
            await issue(knows)
        ca.forget_accounts()
        with pytest.raises(type(error)):
            await issue(knows)
        storage.down = None
        await issue(knows)
        await issue(new)


async def test_an_account_that_others_change_all_the_time_is_no_endless_loop(autojump_clock: MockClock) -> None:
    class Busy(MemoryStorage):
        async def put(self, key: str, value: object, *, expected: int) -> int:
            raise StaleVersion(key, expected)

    with pytest.raises(StorageUnavailable, match="changed by others all the time"):
        await _account_used(FakeCa(), Busy(FixedClock()))


class _Died(Exception):
    pass


async def test_a_roll_over_that_dies_between_any_two_steps_leaves_every_node_an_account_that_works(
    autojump_clock: MockClock,
) -> None:
    """Steps are requests, to the CA and to storage; each is lost before it is done, or right after."""
    for turn in itertools.count():
        step, done = divmod(turn, 2)
        ca, storage = FakeCa(), new_storage()
        async with opened(ca, storage=storage) as running:
            await issue(running)
            before = await _kept(storage)
            completed = False
            with suppress(_Died):
                async with opened(ca, storage=storage) as issuer:
                    await issuer.check()
                    with _dying_at(step, ca, storage, done=bool(done)):
                        await issuer.roll_over()
                    completed = True
            await issue(running)  # it knows the old key only
            async with opened(ca, storage=storage) as another:
                await issue(another)
                await another.roll_over()
            await issue(running)
        after = await _kept(storage)
        assert after.key != before.key
        assert after.next_key == ""
        assert after.registration == before.registration
        if completed:
            assert step >= 4  # next key read and written, CA told, next key adopted
            return


class _dying_at:  # noqa: N801 it reads as a verb
    """Count requests to the CA and to storage from now on, and die at one of them, before or after it has effect."""

    def __init__(self, step: int, ca: FakeCa, storage: MemoryStorage, *, done: bool) -> None:
        self._left, self._done = step, done
        self._parts = ((ca, ("handle_async_request",)), (storage, ("get", "put")))

    def __enter__(self) -> None:
        for part, names in self._parts:
            for name in names:
                object.__setattr__(part, name, self._mortal(getattr(part, name)))

    def __exit__(self, *_: object) -> None:
        for part, names in self._parts:
            for name in names:
                part.__dict__.pop(name, None)

    def _mortal(self, request: Callable[..., object]) -> Callable[..., object]:
        async def instead(*args: object, **named: object) -> object:
            self._left -= 1
            if self._left == -1 and not self._done:
                raise _Died
            answer = await request(*args, **named)  # type: ignore[misc]
            if self._left == -1:
                raise _Died
            return answer

        return instead


async def test_a_roll_over_that_storage_did_not_hear_the_end_of_is_finished_by_the_next(
    autojump_clock: MockClock,
) -> None:
    ca, storage = FakeCa(), new_storage()
    async with opened(ca, storage=storage) as issuer:
        await issuer.check()

        def away(_request: object) -> None:
            storage.down = AWAY  # once the CA has been asked, and has done as it was told

        ca.faults = [away]
        with pytest.raises(StorageUnavailable):
            await issuer.roll_over()
        half = await _kept_when_back(storage)
        assert half.next_key
        await issue(issuer)
    assert (await _kept(storage)) == half.adopted(half.next_key)


async def _kept_when_back(storage: MemoryStorage) -> AccountRecord:
    storage.down = None
    return await _kept(storage)


async def test_unregister_removes_it_everywhere_and_each_node_may_ask_for_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    ca, storage, one, two = FakeCa(), new_storage(), tmp_path / "1", tmp_path / "2"
    for folder in (one, two):
        await _account_used(ca, storage, folder)
    for folder in (one, two):
        async with opened(ca, folder, storage=storage, unregister=True) as issuer:
            await issuer.check()
            assert await issuer.unregister() is False
        assert list((folder / "ca").iterdir()) == []
        ca.faults = [lambda _: None] * 2 + [lambda _: problem("unauthorized", 403, detail="it is deactivated")]
    assert (await storage.get(ACCOUNT)).version == 0


async def test_an_account_of_a_ca_that_is_away_is_not_forgotten(autojump_clock: MockClock) -> None:
    ca, storage = FakeCa(), new_storage()
    used = await _account_used(ca, storage)
    async with opened(ca, storage=storage, unregister=True) as issuer:
        ca.faults = [lambda _: problem("serverInternal", 503, {"Retry-After": "3600"})]
        with pytest.raises(IssuerUnavailable):
            await issuer.unregister()
        ca.faults = [lambda _: None] * 2 + [lambda _: problem("malformed")]
        with pytest.raises(AcmeManagerError):
            await issuer.unregister()
    ca.faults = []
    assert await _account_used(ca, storage) == used
