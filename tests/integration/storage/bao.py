"""A real OpenBao for the storage tests: unsealed by hand, so that it can be sealed, killed and restarted."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import hvac

from acme_manager.config.model import VaultConfig

POLICY = Path(__file__).parents[3] / "config" / "vault-policy.hcl"

_CONFIG = """
storage "pebbledb" {{
  path = "{folder}/data"
}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  tls_disable = true
}}
api_addr = "http://127.0.0.1:{port}"
log_level = "error"
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Bao:
    """One server process and its root client."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        (folder / "bao.hcl").write_text(_CONFIG.format(folder=folder, port=self._port))
        self._process: subprocess.Popen[bytes] | None = None
        self._unseal_key = ""
        self.root = hvac.Client(self.url, token="", timeout=5)

    def start(self) -> None:
        """Start it and wait until it is unsealed, initializing it the first time."""
        with (self._folder / "bao.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(Path(sys.executable).with_name("bao")), "server", f"-config={self._folder}/bao.hcl"],
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "HOME": str(self._folder)},
            )
        self._wait_for_listener()
        if not self._unseal_key:
            made = self.root.sys.initialize(1, 1)  # type: ignore[no-untyped-call]
            self._unseal_key, self.root.token = made["keys"][0], made["root_token"]
        self.unseal()

    def set_up(self, policy: str | None = None) -> None:
        """The engine, the AppRole method, and the shipped policy as `acme-manager`."""
        self.root.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
        self.root.sys.enable_auth_method("approle")
        self.root.sys.create_or_update_policy("acme-manager", policy or POLICY.read_text())

    def role(self, name: str, **settings: Any) -> VaultConfig:
        """Make a role and a secret id, and the configuration that uses them, with short pauses."""
        settings = {"token_policies": ["acme-manager"], "token_ttl": "1h", "token_max_ttl": "24h"} | settings
        self.root.auth.approle.create_or_update_approle(name, **settings)
        return VaultConfig(
            url=self.url,
            role_id=self.root.auth.approle.read_role_id(name)["data"]["role_id"],
            secret_id=self.root.auth.approle.generate_secret_id(name)["data"]["secret_id"],
            secret_engine="secret",
            certificate_prefix="certificates",
            token_prefix="tokens",
            retry_wait_min=0.02,
            retry_wait_max=0.1,
        )

    def unseal(self) -> None:
        self.root.sys.submit_unseal_key(self._unseal_key)

    def seal(self) -> None:
        self.root.sys.seal()  # type: ignore[no-untyped-call]

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def _wait_for_listener(self) -> None:
        end = time.monotonic() + 15
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1).close()
            except OSError:
                assert time.monotonic() < end, (self._folder / "bao.log").read_text()
                time.sleep(0.01)
            else:
                return
