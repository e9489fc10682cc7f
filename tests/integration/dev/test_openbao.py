from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import httpx
import pytest
import trio

from acme_manager.dev.folder import DevFailed, Folder, State, open_folder
from acme_manager.dev.openbao import OpenBao, open_openbao
from tests.integration.dev.processes import alive, children, until_gone

RESOLVER = ("127.0.0.1", 5300)
STARTER = """
import sys, trio
from acme_manager.dev.folder import open_folder
from acme_manager.dev.openbao import open_openbao
async def main():
    async with open_folder(sys.argv[1]) as folder:
        state = folder.load()
        folder.save(state)
        async with open_openbao(folder, state, ("127.0.0.1", 5300)) as openbao:
            print(openbao.pid, flush=True)
            await trio.sleep_forever()
trio.run(main)
"""


@asynccontextmanager
async def running(path: Path, wished: int = 0) -> AsyncIterator[tuple[OpenBao, Folder, State]]:
    async with open_folder(str(path)) as folder:
        state = attrs.evolve(folder.load(), openbao_port=wished)
        folder.save(state)
        async with open_openbao(folder, state, RESOLVER) as openbao:
            yield openbao, folder, state


@asynccontextmanager
async def store_of(openbao: OpenBao, state: State) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{openbao.url}/v1/", verify=False, trust_env=False) as client:
        ids = {"role_id": state.role_id, "secret_id": state.secret_id}
        login = await client.post("auth/approle/login", json=ids)
        client.headers["X-Vault-Token"] = login.json()["auth"]["client_token"]
        yield client


def family(pid: int) -> list[int]:
    return [pid, *children(pid)]


def public_face(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text() + Path(f"/proc/{pid}/environ").read_text()


async def lose(path: Path) -> None:
    async with running(path) as (openbao, _, _):
        os.kill(openbao.pid, signal.SIGKILL)
        with trio.fail_after(10):
            await trio.sleep_forever()


async def test_it_is_a_store_that_our_role_may_use_and_a_ca(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as (openbao, folder, state), store_of(openbao, state) as store:
        put = await store.post("secret/data/certificates/me/one", json={"data": {"a": "b"}, "options": {"cas": 0}})
        assert put.status_code == 200, put.text
        listed = await store.request("LIST", "secret/metadata/certificates/")
        assert listed.json()["data"]["keys"] == ["me/"]
        assert (await store.post("secret/data/elsewhere", json={"data": {}})).status_code == 403
        assert (await store.post("pki/config/acme", json={"enabled": False})).status_code == 403
        directory = (await store.get(openbao.ca_directory)).json()
        assert directory["newOrder"].startswith(openbao.url)
        assert folder.root_certificate.read_text().startswith("-----BEGIN CERTIFICATE-----")


async def test_it_starts_again_on_kept_data_at_another_port(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as (openbao, folder, state), store_of(openbao, state) as store:
        await store.post("secret/data/certificates/me/one", json={"data": {"a": "b"}})
        root = folder.root_certificate.read_text()
    with socket.create_server(("127.0.0.1", openbao.port)):
        async with running(tmp_path / "data", openbao.port) as (moved, folder, state):
            assert moved.port != openbao.port
            async with store_of(moved, state) as store:
                kept = await store.get("secret/data/certificates/me/one")
                assert kept.json()["data"]["data"] == {"a": "b"}
                assert (await store.get(moved.ca_directory)).json()["newOrder"].startswith(moved.url)
            assert folder.root_certificate.read_text() == root


async def test_it_takes_its_old_port_when_that_is_free(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as (openbao, _, _):
        pass
    async with running(tmp_path / "data", openbao.port) as (again, _, _):
        assert again.port == openbao.port


async def test_no_secret_is_in_its_arguments_or_environment(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as (openbao, _, state):
        seen = "".join(map(public_face, family(openbao.pid)))
        for secret in (value for value in attrs.astuple(state) if isinstance(value, str) and value):
            assert secret not in seen
        assert "PATH=" not in seen


async def test_it_leaves_no_process_behind(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as (openbao, _, _):
        processes = family(openbao.pid)
        assert len(processes) == 2
    await until_gone(*processes)


async def test_its_death_ends_the_block_with_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(DevFailed, match=r"OpenBao ended by itself \(killed by SIGKILL\)"):
        await lose(tmp_path / "data")


async def test_what_keeps_it_from_starting_is_told(tmp_path: Path) -> None:
    async with running(tmp_path / "data"):
        pass
    (tmp_path / "data" / "unseal.key").write_bytes(b"too short")
    with pytest.raises(DevFailed, match=r"OpenBao does not start .*status 1.*key"):
        async with running(tmp_path / "data"):
            pass


async def test_it_does_not_outlive_a_killed_starter_whose_folder_can_be_used_again_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTER, str(tmp_path / "data")]
    async with trio.open_nursery() as nursery:
        starter: trio.Process = await nursery.start(
            partial(trio.run_process, command, stdout=subprocess.PIPE, check=False)
        )
        assert starter.stdout is not None
        with trio.fail_after(20):
            pid = int(await starter.stdout.receive_some())
        processes = family(pid)
        starter.kill()
    async with running(tmp_path / "data") as (openbao, _, state):
        assert not alive(pid)
        async with store_of(openbao, state) as store:
            assert store.headers["X-Vault-Token"]
    await until_gone(*processes)
