"""The ACME account of a node that runs: brought along, kept in storage, and re-keyed under its feet."""

from __future__ import annotations

import os
from pathlib import Path
from subprocess import STDOUT
from typing import Any

import trio
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.integration.site import Site, open_site

ACCOUNT = "certificates/.acme-manager/accounts/pebble"


async def test_the_command_gives_the_account_of_running_nodes_a_new_key(tmp_path: Path) -> None:
    folder = tmp_path / "accounts"
    async with open_site(tmp_path, common={"rootpath_account": str(folder)}) as site:
        await issue(site, "a.example.test")
        before = await kept(site)
        assert (folder / "pebble" / "private_key.pem").read_text() == before["private_key"]

        program = site.node.program
        command = [*program.argv, "-account.rollover=pebble"]
        environ = {"PATH": os.environ["PATH"], **program.env}
        with trio.fail_after(60):
            done = await trio.run_process(
                command, cwd=program.folder, env=environ, capture_stdout=True, stderr=STDOUT, check=False
            )
        said = done.stdout.decode()
        assert done.returncode == 0, said
        after = await kept(site)
        assert after["account"] == before["account"]
        assert set(after) == {"owner", "private_key", "account"}
        assert after["private_key"] != before["private_key"]
        load_pem_private_key(after["private_key"].encode(), None)
        assert "PRIVATE KEY" not in said

        await issue(site, "b.example.test")  # the node knew the old key only
        assert await kept(site) == after
        assert (folder / "pebble" / "private_key.pem").read_text() == after["private_key"]
        assert "PRIVATE KEY" not in program.log()


async def issue(site: Site, domain: str) -> None:
    async with site.node.client() as client:
        created = await client.post("/api/v1/certificate", json={"issuer": "pebble", "domain": domain})
    assert created.status_code == 201, created.text


async def kept(site: Site) -> dict[str, Any]:
    found = await site.bao.read(ACCOUNT)
    assert found is not None
    return found
