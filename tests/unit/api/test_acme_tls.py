"""tls-alpn-01 at the listener: what a CA sees, and what everybody else sees at the same time."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio
import trustme
from cryptography import x509

from acme_manager.api.connection import Limits
from acme_manager.config.model import Flags
from acme_manager.domain.names import parse_identifier
from acme_manager.domain.validation import make_validation_certificate, server_name
from acme_manager.errors import ChallengeNotFound
from tests.parts.program import free_port
from tests.unit.api.served import SOON, Serving, serving
from tests.unit.api.world import open_api

NAME = "www.example.com"
ANSWER = "token.thumbprint"
ACME = ("acme-tls/1",)


async def certificates(asked: str) -> bytes:
    for name in (NAME, "192.0.2.1", "2001:db8::1"):
        if asked == server_name(parse_identifier(name)):
            return make_validation_certificate(parse_identifier(name), ANSWER)
    raise ChallengeNotFound(asked)


@asynccontextmanager
async def open_tls(folder: Path, limits: Limits | None = None) -> AsyncIterator[tuple[Serving, bytes]]:
    """A server, and the certificate of its own."""
    ca = trustme.CA()
    leaf = ca.issue_cert(NAME)
    chain, key, clients = folder / "chain.pem", folder / "key.pem", folder / "ca.pem"
    leaf.cert_chain_pems[0].write_to_path(str(chain))
    leaf.private_key_pem.write_to_path(str(key))
    ca.cert_pem.write_to_path(str(clients))
    # Only clients with a certificate get in: a CA has none.
    flags = Flags(tls_cert_file=str(chain), tls_key_file=str(key), tls_client_ca_file=str(clients))
    async with open_api() as api, serving(api.app, flags, limits, validation=certificates) as served:
        yield served, ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())


async def shown(
    address: str, name: str | None, protocols: tuple[str, ...], *, pieces: int = 1
) -> tuple[bytes | None, str | None]:
    """The certificate that a client is shown, and the protocol that was agreed upon."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(list(protocols))
    host, _, port = address.rpartition(":")
    stream = await trio.open_tcp_stream(host, int(port))
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(received, sent, server_hostname=name)
    with trio.fail_after(SOON):
        async with stream:
            while True:
                with suppress(ssl.SSLWantReadError):
                    tls.do_handshake()
                    break
                data = sent.read()
                size = -(-len(data) // pieces) or 1
                for at in range(0, len(data), size):
                    await stream.send_all(data[at : at + size])
                    await trio.sleep(0.001 if pieces > 1 else 0)
                answer = await stream.receive_some()
                if not answer:
                    raise trio.BrokenResourceError("closed")
                received.write(answer)
            await stream.send_all(sent.read())
            return tls.getpeercert(binary_form=True), tls.selected_alpn_protocol()


async def test_a_ca_is_shown_the_proof_and_nobody_else_is(tmp_path: Path) -> None:
    async with open_tls(tmp_path) as (server, own):
        for name in (NAME, "192.0.2.1", "2001:db8::1"):
            identifier = parse_identifier(name)
            der, protocol = await shown(server.address, server_name(identifier), ACME)
            assert (protocol, der is not None) == ("acme-tls/1", True)
            certificate = x509.load_der_x509_certificate(der or b"")
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            assert [str(one.value) for one in names] == [name]
            proof = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31"))
            digest = hashlib.sha256(ANSWER.encode()).digest()
            assert (proof.critical, proof.value.public_bytes()) == (True, b"\x04\x20" + digest)
        for protocols in (("h2", "http/1.1"), ("http/1.1",), ("acme-tls/1", "h2")):
            der, protocol = await shown(server.address, NAME, protocols)
            assert der == own
            assert protocol in {"h2", "http/1.1"}


async def test_a_greeting_in_many_pieces_is_understood(tmp_path: Path) -> None:
    async with open_tls(tmp_path) as (server, own):
        assert (await shown(server.address, NAME, ("h2",), pieces=30))[0] == own
        der, _ = await shown(server.address, NAME, ACME, pieces=30)
        assert der not in {own, None}


@pytest.mark.parametrize("name", ["other.example.com", None])
async def test_without_a_challenge_for_the_name_the_connection_ends(tmp_path: Path, name: str | None) -> None:
    async with open_tls(tmp_path) as (server, _):
        with pytest.raises(trio.BrokenResourceError):
            await shown(server.address, name, ACME)


async def test_who_says_nothing_is_not_waited_for(tmp_path: Path) -> None:
    async with open_tls(tmp_path, Limits(header=0.2)) as (server, _):
        for begun in (b"", b"\x16\x03\x01\x02\x00\x01"):
            stream = await server.connect()
            await stream.send_all(begun)
            with trio.fail_after(SOON):
                assert await stream.receive_some() == b""


async def test_a_listener_of_its_own_speaks_nothing_else(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    flags = Flags(tls_alpn_address=address)
    async with open_api() as api, serving(api.app, flags, validation=certificates):
        assert (await shown(address, NAME, ACME))[1] == "acme-tls/1"
        with pytest.raises(trio.BrokenResourceError):
            await shown(address, NAME, ("h2",))
        with pytest.raises(trio.BrokenResourceError):
            await shown(address, NAME, ("acme-tls/1", "h2"))
