"""Whether a certificate is really served: a TLS handshake, and a look at the leaf that comes."""

from __future__ import annotations

import ssl
from datetime import datetime
from ipaddress import ip_address
from urllib.parse import urlsplit

import attrs
import trio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from acme_manager.client.starttls import PROTOCOLS, NoTls, start_tls
from acme_manager.connections import reason
from acme_manager.errors import InvalidRequest

_ATTEMPT = 5.0  # seconds for a connection with its handshake
_PAUSE = 0.5  # between attempts


@attrs.frozen(kw_only=True)
class Check:
    """`check: host:port[/protocol]`; without a protocol the connection begins with TLS."""

    host: str
    port: int
    protocol: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}{self.protocol and '/'}{self.protocol}"


def parse_check(text: str, where: str = "check") -> Check:
    """Raises InvalidRequest."""
    place, _, protocol = text.partition("/")
    try:
        parts = urlsplit(f"//{place}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or "@" in place:
        raise InvalidRequest(f"'{text}' is not host:port[/protocol], as in 'localhost:443' or '[::1]:25/smtp'", where)
    if protocol and protocol not in PROTOCOLS:
        raise InvalidRequest(f"'{protocol}' is none of {', '.join(PROTOCOLS)}; leave it out for TLS", where)
    return Check(host=host, port=port, protocol=protocol)


@attrs.frozen(kw_only=True)
class Served:
    """What a server showed; without a certificate, `why` says what was in the way."""

    ok: bool  # it is the one that was expected
    why: str = ""
    serial: str = ""  # plain lower-case hex
    not_after: datetime | None = None


async def probe(check: Check, expected: str, *, name: str, patience: float = 10.0) -> Served:
    """See whether a server shows the leaf `expected` (PEM) to who asks for `name`, a domain or IP address.

    Servers go on with the old one for a moment after they were told to reload: for `patience` seconds it is tried
    again until it is the right one. The chain is not verified: what counts is whether it is what was installed.
    """
    leaf = x509.load_pem_x509_certificate(expected.encode())
    deadline = trio.current_time() + patience
    while True:
        served = await _once(check, leaf, name)
        if served.ok or trio.current_time() + _PAUSE > deadline:
            return served
        await trio.sleep(_PAUSE)


async def _once(check: Check, expected: x509.Certificate, name: str) -> Served:
    try:
        with trio.fail_after(_ATTEMPT):
            shown = await _shown(check, name, "")
            if shown != expected and _kind(shown) != _kind(expected):
                # It may have one for each kind of key, and choose by what the client prefers.
                shown = await _shown(check, name, _kind(expected))
    except trio.TooSlowError:
        return Served(ok=False, why=f"{check} does not answer within {_ATTEMPT:.0f} s")
    except NoTls as error:
        return Served(ok=False, why=f"{check}: {error}")
    except (OSError, ValueError, trio.BrokenResourceError) as error:
        return Served(ok=False, why=f"{check}: {_reason(error)}")
    serial, not_after = f"{shown.serial_number:x}", shown.not_valid_after_utc
    if shown == expected:
        return Served(ok=True, serial=serial, not_after=not_after)
    why = (
        f"{check} serves another certificate: serial {serial}, valid until {not_after:%Y-%m-%d %H:%M} UTC, "
        f"instead of serial {expected.serial_number:x}"
    )
    return Served(ok=False, why=why, serial=serial, not_after=not_after)


async def _shown(check: Check, name: str, kind: str) -> x509.Certificate:
    """The leaf that a server shows, with `kind` to a client that wants that kind of key only."""
    socket = await trio.open_tcp_stream(check.host, check.port)
    async with socket:
        if check.protocol:
            await start_tls(socket, check.protocol)
        stream = trio.SSLStream(socket, _context(kind), server_hostname=_server_name(name), https_compatible=True)
        await stream.do_handshake()
        der = stream.getpeercert(binary_form=True)
        return x509.load_der_x509_certificate(der)


def _server_name(name: str) -> str | None:
    """What a client asks for: any name below a wildcard, and nothing where there is but an address (RFC 6066)."""
    try:
        ip_address(name)
    except ValueError:
        return name.replace("*", "www", 1).encode("idna").decode()
    return None


def _context(kind: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if kind:
        # The ssl module can't choose signature algorithms. Up to TLS 1.2 the cipher suites say which kind of key.
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(kind)
    return context


def _kind(certificate: x509.Certificate) -> str:
    """How OpenSSL calls the cipher suites for its key."""
    match certificate.public_key():
        case rsa.RSAPublicKey():
            return "aRSA"
        case ec.EllipticCurvePublicKey():
            return "aECDSA"
    return ""


def _reason(error: BaseException) -> str:
    """Trio hides what TLS and the system have said."""
    cause = error.__cause__
    if isinstance(cause, ssl.SSLError):
        return f"no TLS handshake: {cause.reason or cause}"
    return reason(error) or type(error).__name__
