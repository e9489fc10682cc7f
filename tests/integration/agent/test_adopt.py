"""What the real certbot leaves on disk is found; it comes with one of the libraries that our extras bring."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import trio

from acme_manager.client.adopt import find
from acme_manager.client.install import check_together
from tests.parts.pebble import pebble

CERTBOT = Path(sys.executable).with_name("certbot")


async def test_what_certbot_has_is_found_with_key_and_chain(tmp_path: Path) -> None:
    folders = {kind: tmp_path / kind for kind in ("config", "work", "logs")}
    async with pebble(tmp_path, always_valid=True, chain_length=2) as ca:
        command = [str(CERTBOT), "certonly", "--non-interactive", "--agree-tos", "--register-unsafely-without-email"]
        command += ["--server", ca.directory, *(f"--{kind}-dir={folder}" for kind, folder in folders.items())]
        command += ["--manual", "--preferred-challenges", "dns", "--manual-auth-hook", "true"]
        command += ["--cert-name", "shop", "-d", "*.example.test", "-d", "example.test"]
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "REQUESTS_CA_BUNDLE": str(ca.ca_pem)}
        with trio.fail_after(60):
            await trio.run_process(command, env=env, capture_stdout=True, capture_stderr=True)
    live = folders["config"] / "live" / "shop"
    finding = find(folders["config"])
    assert finding.troubles == ()
    [found] = finding.found.values()
    assert found.domain == "example.test"
    assert found.names == {"example.test", "*.example.test"}
    assert found.source == live / "cert.pem"
    assert found.certificate.split() == (live / "cert.pem").read_text().split()
    assert found.chain.split() == (live / "chain.pem").read_text().split()
    assert found.key.split() == (live / "privkey.pem").read_text().split()
    check_together(found.certificate, found.chain, found.key)
