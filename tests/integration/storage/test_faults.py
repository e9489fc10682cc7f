"""A real OpenBao that is sealed, killed, frozen, or cut off in the middle."""

from __future__ import annotations

import signal

import attrs
import pytest
import trio
from prometheus_client import CollectorRegistry

from acme_manager.config.model import VaultConfig
from acme_manager.errors import StaleVersion, StorageUnavailable
from acme_manager.ports import Versioned
from acme_manager.storage.vault import open_vault
from tests.integration.storage.wire import relay_to
from tests.parts.openbao import OpenBao

KEY = "certificates/o/le/example.com"


async def test_while_sealed_operations_say_so_quickly_and_recover_by_themselves(
    bao: OpenBao, config: VaultConfig, registry: CollectorRegistry
) -> None:
    async with open_vault(config, registry) as storage:
        await storage.put(KEY, {"n": 1}, expected=0)
        await bao.seal()
        with pytest.raises(StorageUnavailable, match="sealed"):
            await storage.get(KEY)
        tried = registry.get_sample_value("acme_manager_vault_request_retries_total")
        assert tried == config.retry_max
        with trio.fail_after(0.5), pytest.raises(StorageUnavailable, match="sealed"):
            await storage.put(KEY, {"n": 2}, expected=1)
        assert "sealed" in (await storage.health() or "")
        assert registry.get_sample_value("acme_manager_vault_request_retries_total") == tried
        await bao.unseal()
        assert await storage.get(KEY) == Versioned({"n": 1}, 1)
        assert await storage.health() is None


async def test_a_probe_that_meets_a_hiccup_does_not_stop_others_from_trying_again(
    config: VaultConfig, registry: CollectorRegistry
) -> None:
    async with relay_to(config.url) as relay, open_vault(attrs.evolve(config, url=relay.url), registry) as storage:
        await storage.get(KEY)
        relay.swallow = 2
        assert "broke the connection" in (await storage.health() or "")
        assert await storage.put(KEY, {"n": 1}, expected=0) == 1
        assert relay.swallow == 0


async def test_a_server_that_is_killed_and_started_again_loses_no_write(
    bao: OpenBao, config: VaultConfig, registry: CollectorRegistry
) -> None:
    patient = attrs.evolve(config, retry_max=100)
    async with open_vault(patient, registry) as storage:
        done, halfway = 0, trio.Event()

        async def write() -> None:
            nonlocal done
            for n in range(60):
                done = await storage.put(KEY, {"n": n}, expected=n)
                if n == 5:
                    halfway.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            with trio.fail_after(10):
                await halfway.wait()
            await bao.stop(signal.SIGKILL)
            await bao.start()
        assert done == 60
        assert await storage.get(KEY) == Versioned({"n": 59}, 60)
        assert (registry.get_sample_value("acme_manager_vault_request_retries_total") or 0) > 0


async def test_it_starts_while_the_server_is_away_and_works_once_it_is_there(
    bao: OpenBao, config: VaultConfig, registry: CollectorRegistry
) -> None:
    await bao.stop(signal.SIGKILL)
    async with open_vault(config, registry) as storage:
        with trio.fail_after(1), pytest.raises(StorageUnavailable, match="does not answer"):
            await storage.get(KEY)
        assert "does not answer" in (await storage.health() or "")
        await bao.start()
        assert await storage.put(KEY, {"n": 1}, expected=0) == 1


async def test_a_frozen_server_costs_the_transports_timeout_and_a_cancelled_read_nothing(
    bao: OpenBao, config: VaultConfig, registry: CollectorRegistry
) -> None:
    async with open_vault(attrs.evolve(config, retry_max=0), registry, io_timeout=0.5) as storage:
        await storage.put(KEY, {"n": 1}, expected=0)
        bao.freeze()
        try:
            with trio.fail_after(3), pytest.raises(StorageUnavailable, match="silent"):
                await storage.get(KEY)
            started = trio.current_time()
            with trio.move_on_after(0.05):
                await storage.get(KEY)
            assert trio.current_time() - started < 0.4
        finally:
            bao.thaw()
        with trio.fail_after(10):
            assert await storage.get(KEY) == Versioned({"n": 1}, 1)


async def test_a_cancelled_write_is_waited_for_so_that_none_goes_on_unseen(
    bao: OpenBao, config: VaultConfig, registry: CollectorRegistry
) -> None:
    async with open_vault(attrs.evolve(config, retry_max=0), registry, io_timeout=0.5) as storage:
        await storage.put(KEY, {"n": 1}, expected=0)
        bao.freeze()
        try:
            started = trio.current_time()
            with trio.move_on_after(0.05), pytest.raises(StorageUnavailable):
                await storage.put(KEY, {"n": 2}, expected=1)
            assert trio.current_time() - started >= 0.4
        finally:
            bao.thaw()


async def test_pauses_between_attempts_can_be_cancelled(
    bao: OpenBao, config: VaultConfig, registry: CollectorRegistry
) -> None:
    slow = attrs.evolve(config, retry_wait_min=30.0, retry_wait_max=30.0)
    async with open_vault(slow, registry) as storage:
        await storage.get(KEY)
        await bao.seal()
        with trio.fail_after(5):
            with trio.move_on_after(0.2) as scope:
                await storage.put(KEY, {}, expected=0)
            assert scope.cancelled_caught


async def test_a_write_whose_answer_got_lost_is_recognized_as_done(
    config: VaultConfig, registry: CollectorRegistry
) -> None:
    async with relay_to(config.url) as relay, open_vault(attrs.evolve(config, url=relay.url), registry) as storage:
        await storage.put(KEY, {"n": 1}, expected=0)
        relay.swallow = 1
        assert await storage.put(KEY, {"n": 2, "names": ("a", "b")}, expected=1) == 2
        assert relay.swallow == 0
        assert [one.version for one in await storage.versions(KEY)] == [1, 2]


async def test_a_lost_answer_does_not_make_a_conflict_a_success(
    bao: OpenBao, config: VaultConfig, registry: CollectorRegistry
) -> None:
    async with relay_to(config.url) as relay, open_vault(attrs.evolve(config, url=relay.url), registry) as storage:
        await storage.get(KEY)
        await bao.write(KEY, {"n": "somebody else's"})
        relay.swallow = 1
        with pytest.raises(StaleVersion):
            await storage.put(KEY, {"n": "ours"}, expected=0)
        assert relay.swallow == 0
