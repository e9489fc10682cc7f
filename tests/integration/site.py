"""Everything that one node needs, as real parts, and the node itself as a real process."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import attrs
import trio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from acme_manager.domain.keys import KeyType, make_csr, make_key
from acme_manager.domain.names import parse_identifier
from tests.parts.bind import bind
from tests.parts.dns_server import DnsServer
from tests.parts.faults import FaultProxy, fault_proxy
from tests.parts.node import Node, node
from tests.parts.openbao import OpenBao, openbao
from tests.parts.pebble import Pebble, pebble
from tests.parts.program import free_port

ZONES = {"example.test": "zonesub TXT", "auth.test": "zonesub ANY"}
RECORDS = {
    "example.test": [
        "* A 127.0.0.1",
        "@ A 127.0.0.1",
        "xn--bcher-kva A 127.0.0.1",
        "_acme-challenge.delegated CNAME delegated.auth.test.",
    ]
}


@attrs.frozen(kw_only=True)
class Site:
    """The parts. The node reaches CA and store through proxies that pass everything unless told otherwise."""

    bao: OpenBao
    ca: Pebble
    dns: DnsServer
    node: Node
    to_ca: FaultProxy
    to_bao: FaultProxy


@asynccontextmanager
async def open_site(
    folder: Path, *, nonce_reject: int = 5, issuer: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[Site]:
    """Start everything. `issuer` are further settings of the issuers, `options` those of `node`.

    There are two issuers on the same Pebble: `pebble` by dns-01, `web` by http-01.
    """
    http_port = free_port()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        dns = await enter(bind(folder, ZONES, records=RECORDS))
        bao = await enter(openbao(folder))
        ca = await enter(pebble(folder, dns=dns.at, http_port=http_port, nonce_reject=nonce_reject))
        to_ca = await enter(fault_proxy(ca.directory.removesuffix("/dir")))
        to_bao = await enter(fault_proxy(bao.url))
        common = {
            "ca_dir_url": f"{to_ca.url}/dir",
            "ca_bundle": str(ca.ca_pem),
            "overall_request_limit": 1000,  # no brake
            **(issuer or {}),
        }
        issuers = {
            "pebble": {**common, "dns_challenge": "rfc2136"},
            "web": {**common, "http_challenge": "kvring"},
        }
        # http-01 is asked for at our own listener: Pebble is told its port.
        through = attrs.evolve(bao, url=to_bao.url)
        running = await enter(node(folder, bao=through, issuers=issuers, dns=dns, port=http_port, **options))
        yield Site(bao=bao, ca=ca, dns=dns, node=running, to_ca=to_ca, to_bao=to_bao)


@contextmanager
def case(*what: object) -> Iterator[None]:
    """One of several cases on one set-up, which takes longer than they do: an error says in which of them it came."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in the case {what}")
        raise


def leaf(certificate: dict[str, Any]) -> x509.Certificate:
    """The certificate in an answer of the API."""
    return x509.load_pem_x509_certificate(certificate["cert"].encode())


def names(certificate: dict[str, Any]) -> set[str]:
    """What it vouches for."""
    found = leaf(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(one.value) for one in found}


def csr_for(*wanted: str, key_type: KeyType = KeyType.EC256) -> str:
    """A signing request as the API takes it."""
    der = make_csr(make_key(key_type), [parse_identifier(name) for name in wanted])
    return base64.b64encode(x509.load_der_x509_csr(der).public_bytes(Encoding.PEM)).decode()


async def nothing_left(site: Site, *hosts: str) -> None:
    """No TXT record of these names, and no record of an order."""
    for host in hosts:
        assert await site.dns.txt(f"_acme-challenge.{host}") == set()
    assert await site.bao.keys("certificates/.acme-manager/orders") == []


async def eventually(holds: Callable[[], Awaitable[object]], within: float = 30.0) -> None:
    """Wait until a condition of another process holds; raises trio.TooSlowError if it does not."""
    with trio.fail_after(within):
        while not await holds():  # noqa: ASYNC110 another process sets no event of ours
            await trio.sleep(0.05)
