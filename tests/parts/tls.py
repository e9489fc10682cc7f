"""TLS for the servers under test: one private CA for a test run."""

from __future__ import annotations

import ssl
from functools import cache
from pathlib import Path

import attrs
import trustme


@attrs.frozen(kw_only=True)
class ServerFiles:
    """Paths of PEM files: what a server on loopback needs, and the CA that its clients have to trust."""

    chain: Path
    key: Path
    ca: Path


@cache
def authority() -> trustme.CA:
    """The CA of this test run."""
    return trustme.CA()


def server_files(folder: Path) -> ServerFiles:
    """Make a certificate for `localhost` and 127.0.0.1, as files in `folder`."""
    leaf = authority().issue_cert("localhost", "127.0.0.1")
    files = ServerFiles(chain=folder / "tls.pem", key=folder / "tls.key", ca=folder / "tls-ca.pem")
    files.chain.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    files.key.write_bytes(leaf.private_key_pem.bytes())
    files.ca.write_bytes(authority().cert_pem.bytes())
    return files


def server_context(*names: str) -> ssl.SSLContext:
    """For a TLS server inside the test."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority().issue_cert(*dict.fromkeys(("localhost", "127.0.0.1", *names))).configure_cert(context)
    return context


@cache
def client_context() -> ssl.SSLContext:
    """Trusts our CA, and no other. One for all, since a context takes its time to make."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(context)
    return context
