"""What every contender gets: a CA and a DNS server of its own, made for one run, and the names to ask for."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import trio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.bench.acme_client import AcmeClient, Txt, certificate
from tests.parts.bind import bind
from tests.parts.dns_server import DnsServer
from tests.parts.pebble import Pebble, pebble

ZONE = "example.test"
CHECKOUT = Path(__file__).parents[2]
_PROBE = 10.0  # seconds


class BenchFailed(Exception):
    """A figure can't be had; the message says why."""


class Wedged(BenchFailed):
    """Pebble has locked itself up, which is none of the contender's doing: the run is to be repeated."""


@attrs.frozen(kw_only=True)
class Parts:
    """Pebble validates through BIND, which takes updates signed with its key."""

    dns: DnsServer
    ca: Pebble


@asynccontextmanager
async def open_parts(folder: Path) -> AsyncIterator[Parts]:
    """Start both."""
    records = {ZONE: ["* A 127.0.0.1"]}
    async with bind(folder, {ZONE: "zonesub TXT"}, records=records) as dns, pebble(folder, dns=dns.at) as ca:
        yield Parts(dns=dns, ca=ca)


async def still_issues(parts: Parts) -> bool:
    """Whether Pebble still gives certificates; when it has locked itself up it may go on answering some requests."""
    client, txt = AcmeClient(str(parts.ca.ca_pem)), Txt(ZONE, *parts.dns.at, parts.dns.key)
    (name,) = names("probe", 1)
    with trio.move_on_after(_PROBE):
        async with client.http:
            await client.register(parts.ca.directory)
            await certificate(client, txt, name, signing_request(name))
            return True
    return False


def names(prefix: str, count: int) -> list[str]:
    """Names of one run."""
    return [f"{prefix}{number}.{ZONE}" for number in range(count)]


def signing_request(name: str) -> x509.CertificateSigningRequest:
    """A CSR with a new EC P-256 key, which nobody needs afterwards."""
    builder = x509.CertificateSigningRequestBuilder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), SHA256())


def csr_text(name: str) -> str:
    """A CSR as our API wants it: PEM in base64."""
    return base64.b64encode(signing_request(name).public_bytes(Encoding.PEM)).decode()


def check_certificates(found: Mapping[str, str], wanted: Sequence[str], who: str) -> None:
    """Raise BenchFailed unless there is a certificate (PEM) for each name, and for that name only."""
    for name in wanted:
        if name not in found:
            raise BenchFailed(f"{who} has no certificate for {name}")
        leaf = x509.load_pem_x509_certificate(found[name].encode())
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if extension.get_values_for_type(x509.DNSName) != [name]:
            raise BenchFailed(f"{who} has a wrong certificate for {name}")
        if not isinstance(leaf.public_key(), ec.EllipticCurvePublicKey):
            raise BenchFailed(f"{who} has a certificate with another kind of key for {name}")


async def check_clean(dns: DnsServer, wanted: Sequence[str], who: str) -> None:
    """Raise BenchFailed if a TXT record was left behind: cleaning up is a part of the work."""
    left = [name for name in wanted if await dns.txt(f"_acme-challenge.{name}")]
    if left:
        raise BenchFailed(f"{who} left {len(left)} TXT records behind, such as that of {left[0]}")


async def run_module(module: str, order: Mapping[str, Any]) -> dict[str, Any]:
    """Run `python -m module` with an order as JSON on its standard input, and return the JSON that it prints."""
    command = [sys.executable, "-m", module]
    done = await trio.run_process(
        command,
        stdin=json.dumps(order).encode(),
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        cwd=CHECKOUT,
        deliver_cancel=_kill,
    )
    if done.returncode:
        raise BenchFailed(f"{module} ended with status {done.returncode}:\n{done.stderr.decode()[-3000:]}")
    return dict(json.loads(done.stdout))


async def run_program(command: Sequence[str], env: Mapping[str, str], folder: Path) -> None:
    """Run a foreign program to its end. Raises BenchFailed with the end of what it said."""
    done = await trio.run_process(
        command,
        stdin=b"",
        capture_stdout=True,
        stderr=subprocess.STDOUT,
        check=False,
        cwd=folder,
        env=dict(env),
        deliver_cancel=_kill,
    )
    if done.returncode:
        raise BenchFailed(f"{command[0]} ended with status {done.returncode}:\n{done.stdout.decode()[-3000:]}")


async def _kill(process: trio.Process) -> None:
    process.kill()
