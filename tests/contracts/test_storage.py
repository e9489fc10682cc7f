"""What every adapter of ports.Storage keeps to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
import trio

from acme_manager.errors import InvalidRequest, StaleVersion
from acme_manager.ports import Storage, Versioned

ODD_NAMES = [
    "*.example.com",
    "_acme.example.com",
    "2001:db8::1",
    "bücher.example",
    "a name with blanks",
    "100%25?&#+;=",
    "back\\slash",
    "'quotes\"",
    "a..b",
    "~",
    "証明書",
]


async def put_all(storage: Storage, keys: list[str]) -> None:
    for key in keys:
        await storage.put(key, {"key": key}, expected=0)


async def test_a_key_that_was_never_written_has_version_0_and_no_value(storage: Storage, folder: str) -> None:
    assert await storage.get(f"{folder}/never") == Versioned(None, 0)
    assert await storage.get(f"{folder}/never", 3) == Versioned(None, 0)
    assert list(await storage.versions(f"{folder}/never")) == []


async def test_what_was_written_is_read_back_with_types(storage: Storage, folder: str) -> None:
    value = {"text": "ü\n", "number": 3, "large": 1_770_635_341_123, "flag": True, "list": ["a", 1], "map": {"x": {}}}
    assert await storage.put(f"{folder}/types", value, expected=0) == 1
    assert await storage.get(f"{folder}/types") == Versioned(value, 1)


async def test_a_writer_that_read_an_old_version_is_turned_away(storage: Storage, folder: str) -> None:
    key = f"{folder}/contested"
    await storage.put(key, {"n": 1}, expected=0)
    await storage.put(key, {"n": 2}, expected=1)
    for stale in (0, 1, 3):
        with pytest.raises(StaleVersion) as caught:
            await storage.put(key, {"n": 99}, expected=stale)
        assert (caught.value.key, caught.value.expected) == (key, stale)
    assert await storage.get(key) == Versioned({"n": 2}, 2)


async def test_writing_what_is_there_already_from_a_stale_version_is_a_conflict_too(
    storage: Storage, folder: str
) -> None:
    await storage.put(f"{folder}/same", {"n": 1}, expected=0)
    with pytest.raises(StaleVersion):
        await storage.put(f"{folder}/same", {"n": 1}, expected=0)


async def test_one_of_many_writers_with_the_same_expectation_wins(storage: Storage, folder: str) -> None:
    won: list[int] = []
    lost: list[int] = []

    async def write(n: int) -> None:
        try:
            await storage.put(f"{folder}/race", {"n": n}, expected=0)
            won.append(n)
        except StaleVersion:
            lost.append(n)

    async with trio.open_nursery() as nursery:
        for n in range(20):
            nursery.start_soon(write, n)
    assert (len(won), len(lost)) == (1, 19)
    assert await storage.get(f"{folder}/race") == Versioned({"n": won[0]}, 1)


async def test_older_versions_stay_readable(storage: Storage, folder: str) -> None:
    for n in range(3):
        await storage.put(f"{folder}/history", {"n": n}, expected=n)
    assert await storage.get(f"{folder}/history", 1) == Versioned({"n": 0}, 1)
    assert await storage.get(f"{folder}/history", 3) == Versioned({"n": 2}, 3)
    assert await storage.get(f"{folder}/history", 4) == Versioned(None, 0)
    versions = await storage.versions(f"{folder}/history")
    assert [(one.version, one.deleted, one.destroyed) for one in versions] == [
        (1, False, False),
        (2, False, False),
        (3, False, False),
    ]
    assert all(one.created.utcoffset() == timedelta(0) for one in versions)


async def test_deletion_hides_the_newest_version_and_counting_goes_on(storage: Storage, folder: str) -> None:
    key = f"{folder}/deleted"
    await storage.put(key, {"n": 1}, expected=0)
    await storage.put(key, {"n": 2}, expected=1)
    await storage.delete(key)
    assert await storage.get(key) == Versioned(None, 2)
    assert await storage.get(key, 1) == Versioned({"n": 1}, 1)
    assert [one.deleted for one in await storage.versions(key)] == [False, True]
    with pytest.raises(StaleVersion):
        await storage.put(key, {"n": 3}, expected=0)
    assert await storage.put(key, {"n": 3}, expected=2) == 3
    assert await storage.get(key) == Versioned({"n": 3}, 3)


async def test_destroyed_versions_are_gone_and_the_others_stay(storage: Storage, folder: str) -> None:
    key = f"{folder}/destroyed"
    for n in range(3):
        await storage.put(key, {"n": n}, expected=n)
    await storage.destroy(key, [1, 3])
    await storage.destroy(key, [99])
    await storage.destroy(key, [])
    assert await storage.get(key, 1) == Versioned(None, 1)
    assert await storage.get(key) == Versioned(None, 3)
    assert await storage.get(key, 2) == Versioned({"n": 1}, 2)
    assert [one.destroyed for one in await storage.versions(key)] == [True, False, True]
    await storage.delete(key)
    assert [one.deleted for one in await storage.versions(key)] == [False, False, False]
    assert await storage.put(key, {"n": 3}, expected=3) == 4


async def test_a_purged_key_is_as_if_it_had_never_been(storage: Storage, folder: str) -> None:
    key = f"{folder}/purged"
    await storage.put(key, {"n": 1}, expected=0)
    await storage.put(key, {"n": 2}, expected=1)
    await storage.purge(key)
    assert await storage.get(key) == Versioned(None, 0)
    assert list(await storage.versions(key)) == []
    assert list(await storage.list(folder)) == []
    assert await storage.put(key, {"n": 1}, expected=0) == 1


async def test_removing_what_is_not_there_is_no_error(storage: Storage, folder: str) -> None:
    await storage.delete(f"{folder}/nothing")
    await storage.destroy(f"{folder}/nothing", [1, 2])
    await storage.purge(f"{folder}/nothing")
    await storage.put(f"{folder}/twice", {}, expected=0)
    await storage.delete(f"{folder}/twice")
    await storage.delete(f"{folder}/twice")
    assert await storage.get(f"{folder}/twice") == Versioned(None, 1)


async def test_listing_finds_keys_at_any_depth_sorted_and_whole(storage: Storage, folder: str) -> None:
    keys = [f"{folder}/{path}" for path in ("b", "a/b/c", "a/b/d/e/f/g", "a/b", "z/1", "z/2")]
    await put_all(storage, keys)
    assert list(await storage.list(folder)) == sorted(keys)
    assert list(await storage.list(f"{folder}/a/b")) == [f"{folder}/a/b/c", f"{folder}/a/b/d/e/f/g"]
    assert list(await storage.list(f"/{folder}/z/")) == [f"{folder}/z/1", f"{folder}/z/2"]
    assert list(await storage.list(f"{folder}/nowhere")) == []


async def test_listing_leaves_out_a_folder_that_is_to_be_skipped(storage: Storage, folder: str) -> None:
    keys = [f"{folder}/{path}" for path in ("a/.x/1", "a/b", ".x/1/2", ".x/3", ".xy/4")]
    await put_all(storage, keys)
    assert list(await storage.list(folder, skip=f"{folder}/.x")) == [
        f"{folder}/.xy/4",
        f"{folder}/a/.x/1",
        f"{folder}/a/b",
    ]


async def test_listing_has_deleted_and_destroyed_keys_but_no_prefix_of_a_name(storage: Storage, folder: str) -> None:
    await put_all(storage, [f"{folder}/x/deleted", f"{folder}/x/destroyed", f"{folder}/xy/other"])
    await storage.delete(f"{folder}/x/deleted")
    await storage.destroy(f"{folder}/x/destroyed", [1])
    assert list(await storage.list(f"{folder}/x")) == [f"{folder}/x/deleted", f"{folder}/x/destroyed"]


async def test_odd_names_are_kept_as_they_are(storage: Storage, folder: str) -> None:
    keys = [f"{folder}/{odd}/{name}" for odd in ("*", "ünï") for name in ODD_NAMES]
    await put_all(storage, keys)
    for key in keys:
        assert (await storage.get(key)).value == {"key": key}
    assert list(await storage.list(folder)) == sorted(keys)


@pytest.mark.parametrize(
    "path", ["", "/", "a//b", "../up", "a/../b", "./a", "a/", "/a", "nul\0", "line\nbreak", "\u202e"]
)
async def test_paths_that_would_mean_something_else_are_refused(storage: Storage, folder: str, path: str) -> None:
    key = path if not path or path.startswith("/") else f"{folder}/{path}"
    attempts: list[Any] = [
        lambda: storage.get(key),
        lambda: storage.put(key, {}, expected=0),
        lambda: storage.delete(key),
        lambda: storage.versions(key),
        lambda: storage.destroy(key, [1]),
        lambda: storage.purge(key),
    ]
    for attempt in attempts:
        with pytest.raises(InvalidRequest):
            await attempt()


async def test_200_writers_at_once_all_succeed(storage: Storage, folder: str) -> None:
    keys = [f"{folder}/{n % 7}/{n:03}" for n in range(200)]

    async def write(key: str) -> None:
        assert await storage.put(key, {"key": key, "padding": "x" * 3500}, expected=0) == 1

    async with trio.open_nursery() as nursery:
        for key in keys:
            nursery.start_soon(write, key)
    assert list(await storage.list(folder)) == sorted(keys)


async def test_a_value_of_half_a_megabyte_is_kept(storage: Storage, folder: str) -> None:
    value = {"blob": "0123456789abcdef" * 32_768}
    await storage.put(f"{folder}/big", value, expected=0)
    assert (await storage.get(f"{folder}/big")).value == value


async def test_changing_a_value_after_writing_or_reading_it_changes_nothing_in_the_store(
    storage: Storage, folder: str
) -> None:
    value: dict[str, Any] = {"list": [1]}
    await storage.put(f"{folder}/copy", value, expected=0)
    value["list"].append(2)
    found: Mapping[str, Any] = (await storage.get(f"{folder}/copy")).value or {}
    found["list"].append(3)
    assert (await storage.get(f"{folder}/copy")).value == {"list": [1]}
