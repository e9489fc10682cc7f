"""acme2certifier, a second CA: external account binding, profiles, renewal information (RFC 9773). Plain HTTP.

It builds its URLs from the Host header, so a proxy may stand before it. It validates http-01 on port 80 only, so use
dns-01. It doesn't read `replaces`, and takes a revocation signed with a certificate's own key for one of an account
that it doesn't know. An account needs a contact.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import httpx
import trustme

from tests.parts.program import LOOPBACK, Address, Program, free_port, new_folder, on_free_ports

_SERVER = Path(__file__).with_name("acme2certifier_server.py")
_CONFIG = """
[DEFAULT]
dns_server_list: ["{dns_address}"]
[CAhandler]
handler_module: acme2certifier.cahandlers.openssl_ca_handler
issuing_ca_key: {folder}/sub.key
issuing_ca_cert: {folder}/sub.pem
issuing_ca_crl: {folder}/crl.pem
cert_validity_days: {days}
ca_cert_chain_list: ["{folder}/root.pem"]
cert_save_path: {folder}/certs
[DBhandler]
handler: wsgi
dbfile: {folder}/acme_srv.db
[Order]
profiles: {profiles}
[Directory]
caaidentities: ["{caa_identity}"]
[Challenge]
dns_persist_01_support: {persist}
dns_persist_allow_policy_wildcard: True
[Renewalinfo]
renewalthreshold_pctg: 66
retry_after_timeout: 5
renewal_force: {renew_now}
"""
_EAB = """
[EABhandler]
eab_handler_module: acme2certifier.eabhandlers.json_handler
key_file: {folder}/eab.json
eab_strict_mode: True
"""


@attrs.frozen(kw_only=True)
class Acme2certifier:
    """A running CA. `root_pem` is the root that it issues under, through one intermediate."""

    directory: str
    root_pem: bytes
    program: Program

    async def renew_now(self) -> None:
        """From now on suggest windows that lie in the past. It is restarted, and forgets nothing."""
        config = self.program.folder / "acme_srv.cfg"
        config.write_text(config.read_text().replace("renewal_force: False", "renewal_force: True"))
        await self.program.stop()
        await self.start()

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        self.program.start()
        await self.program.ready(lambda: _get(self.directory))


@asynccontextmanager
async def acme2certifier(
    folder: Path,
    *,
    dns: Address,
    eab: Mapping[str, str] | None = None,
    profiles: Sequence[str] = (),
    days: int = 30,
    renew_now: bool = False,
    caa_identity: str = "a2c.test",
    persist: bool = False,
) -> AsyncIterator[Acme2certifier]:
    """Start it, validating through the server at `dns`.

    `eab` is {kid: base64url key} and makes a binding required; `days` is how long certificates are valid; with
    `renew_now` the suggested renewal windows lie in the past. It says that CAA records call it `caa_identity`, and
    looks at none. With `persist` it offers dns-persist-01, where records call it the same.
    """

    async def attempt() -> Acme2certifier:
        where = new_folder(folder, "acme2certifier")
        port = free_port()
        address, dns_port = dns
        root = _write_ca(where)
        config = _CONFIG + (_EAB if eab else "")
        (where / "acme_srv.cfg").write_text(
            config.format(
                dns_address=address,
                folder=where,
                days=days,
                profiles=json.dumps({name: f"http://{LOOPBACK}/profiles/{name}" for name in profiles}),
                renew_now=renew_now,
                persist=persist,
                caa_identity=caa_identity,
            )
        )
        (where / "eab.json").write_text(json.dumps(dict(eab or {})))
        ca = Acme2certifier(
            directory=f"http://{LOOPBACK}:{port}/directory",
            root_pem=root,
            program=Program(
                argv=(sys.executable, "-I", str(_SERVER), str(port), str(dns_port)),
                folder=where,
                package="acme2certifier",
                env={"ACME_SRV_CONFIGFILE": str(where / "acme_srv.cfg")},
            ),
        )
        await ca.start()
        return ca

    ca = await on_free_ports(attempt)
    try:
        yield ca
    finally:
        ca.program.kill()


def _write_ca(folder: Path) -> bytes:
    root = trustme.CA(organization_name="Second CA")
    sub = root.create_child_ca()
    (folder / "certs").mkdir()
    (folder / "root.pem").write_bytes(root.cert_pem.bytes())
    (folder / "sub.pem").write_bytes(sub.cert_pem.bytes())
    (folder / "sub.key").write_bytes(sub.private_key_pem.bytes())
    return root.cert_pem.bytes()


async def _get(url: str) -> None:
    async with httpx.AsyncClient(verify=False, trust_env=False, timeout=5) as client:
        (await client.get(url)).raise_for_status()
