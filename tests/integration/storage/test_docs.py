"""The commands of docs/vault.md, run as they stand."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import attrs
import trio
from prometheus_client import CollectorRegistry

from acme_manager.config.model import VaultConfig
from acme_manager.storage.vault import open_vault
from tests.parts.openbao import OpenBao

ROOT = Path(__file__).parents[3]


async def test_the_set_up_that_is_documented_works(
    bao: OpenBao, config: VaultConfig, registry: CollectorRegistry, tmp_path: Path
) -> None:
    for made_already in ("sys/mounts/secret", "sys/auth/approle"):
        await bao.api("DELETE", made_already)
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "vault.md").read_text(), re.DOTALL)
    assert len(blocks) == 2
    script = "\n".join(['set -eu; vault() { bao "$@"; }', *blocks])
    environ = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(tmp_path),
        "VAULT_ADDR": bao.url,
        "VAULT_TOKEN": bao.root_token,
    }
    with trio.fail_after(30):
        done = await trio.run_process(
            ["bash", "-c", script], capture_stdout=True, capture_stderr=True, check=False, env=environ, cwd=ROOT
        )
    assert done.returncode == 0, done.stderr.decode()
    ids = re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", done.stdout.decode())
    assert len(ids) == 2
    async with open_vault(attrs.evolve(config, role_id=ids[0], secret_id=ids[1]), registry) as storage:
        assert await storage.put("certificates/o/le/example.com", {"n": 1}, expected=0) == 1
        assert await storage.health() is None
