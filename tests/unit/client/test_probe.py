"""Looking at what a server serves: over TLS from the start, and after a few words in its own protocol."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trustme

from acme_manager.client.probe import Check, Served, parse_check, probe
from acme_manager.errors import InvalidRequest
from tests.parts.tls import authority

LOCALHOST = "127.0.0.1"
LDAP_OK = bytes.fromhex("300c02010178070a010004000400")
LDAP_REFUSED = bytes.fromhex("308400000010020101788400000007 0a0102 0400 0400".replace(" ", ""))

Script = Sequence[tuple[bytes, bytes]]  # what it waits for, and what it says then

SCRIPTS: dict[str, Script] = {
    "": [],
    "smtp": [
        (b"", b"220-mail\r\n220 ready\r\n"),
        (b"EHLO localhost\r\n", b"250-mail\r\n250-SIZE\r\n250 STARTTLS\r\n"),
        (b"STARTTLS\r\n", b"220 go on\r\n"),
    ],
    "imap": [(b"", b"* OK [CAPABILITY IMAP4rev2] hello\r\n"), (b"a STARTTLS\r\n", b"* CAPABILITY x\r\na OK begin\r\n")],
    "pop3": [(b"", b"+OK\r\n"), (b"STLS\r\n", b"+OK begin\r\n")],
    "ldap": [(b"1.3.6.1.4.1.1466.20037", LDAP_OK)],
    "postgres": [(b"\x00\x00\x00\x08\x04\xd2\x16\x2f", b"S")],
}


def leaf(name: str = "example.test", *, rsa: bool = False) -> trustme.LeafCert:
    return authority().issue_cert(name, key_type=trustme.KeyType.RSA if rsa else trustme.KeyType.ECDSA)


def context(*leaves: trustme.LeafCert) -> ssl.SSLContext:
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    for one in leaves:
        one.configure_cert(made)
    return made


def pem(of: trustme.LeafCert) -> str:
    return of.cert_chain_pems[0].bytes().decode()


@asynccontextmanager
async def server(tls: ssl.SSLContext, script: Script = ()) -> AsyncIterator[Check]:
    """Speaks a script and then TLS, to one connection after another; each line is sent octet by octet."""

    async def serve(stream: trio.SocketStream) -> None:
        try:
            for awaited, answer in script:
                heard = b""
                while not heard.endswith(awaited):
                    heard += await stream.receive_some(1)
                for octet in answer:
                    await stream.send_all(bytes([octet]))
            secure = trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
            await secure.do_handshake()
            await secure.receive_some()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(partial(trio.serve_tcp, serve, 0, host=LOCALHOST))
        yield Check(host=LOCALHOST, port=listener.socket.getsockname()[1])
        nursery.cancel_scope.cancel()


async def look(at: Check, protocol: str, expected: str, name: str = "example.test") -> Served:
    check = Check(host=at.host, port=at.port, protocol=protocol)
    return await probe(check, expected, name=name, patience=0)


@pytest.mark.parametrize("protocol", SCRIPTS)
async def test_the_leaf_is_compared_with_what_is_expected(protocol: str) -> None:
    one, other = leaf(), leaf()
    async with server(context(one), SCRIPTS[protocol]) as at:
        served = await look(at, protocol, pem(one))
        assert served.ok, served.why
        assert served.not_after is not None
        refused = await look(at, protocol, pem(other))
        assert not refused.ok
        assert f"serial {served.serial}" in refused.why
        assert refused.serial == served.serial


@pytest.mark.parametrize(
    ("protocol", "script", "why"),
    [
        (
            "smtp",
            [(b"", b"220 x\r\n"), (b"EHLO localhost\r\n", b"250 x\r\n"), (b"STARTTLS\r\n", b"454 no\r\n")],
            "454 no",
        ),
        ("smtp", [(b"", b"220 x\r\n"), (b"EHLO localhost\r\n", b"250 x\r\n250 y\r\n")], ""),
        ("imap", [(b"", b"* BYE\r\n")], "BYE"),
        ("imap", [(b"", b"* OK\r\n"), (b"a STARTTLS\r\n", b"a BAD what\r\n")], "a BAD what"),
        ("pop3", [(b"", b"x" * 9000)], "no line"),
        ("smtp", [(b"", b"220-x\r\n" * 101)], "no end"),
        ("ldap", [(b"1466.20037", LDAP_REFUSED)], "result code 2"),
        ("ldap", [(b"1466.20037", b"HTTP/1.1 400\r\n")], "not LDAP"),
        ("ldap", [(b"1466.20037", b"\x30\x03\x02\x01\x01")], "cut short"),
        ("postgres", [(b"\x16\x2f", b"N")], "no TLS"),
        ("", [(b"", b"220 this is no TLS\r\n")], "WRONG_VERSION_NUMBER"),
    ],
)
async def test_what_is_in_the_way_is_said(protocol: str, script: Script, why: str) -> None:
    one = leaf()
    async with server(context(one), script) as at:
        served = await look(at, protocol, pem(one))
    assert not served.ok
    assert why in served.why
    assert served.not_after is None


async def test_nobody_there_and_nobody_answering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acme_manager.client.probe._ATTEMPT", 0.2)
    one = pem(leaf())
    async with server(context(), [(b"never", b"")]) as at:
        assert "does not answer" in (await look(at, "", one)).why
    assert "Connection refused" in (await look(at, "", one)).why


async def test_a_server_that_has_both_kinds_of_key_is_asked_for_the_one() -> None:
    ecdsa, rsa = leaf(), leaf(rsa=True)
    async with server(context(ecdsa, rsa)) as at:
        for one in (ecdsa, rsa):
            served = await look(at, "", pem(one))
            assert served.ok, served.why


@pytest.mark.parametrize(
    ("name", "asked"),
    [("*.example.test", "www.example.test"), ("bücher.test", "xn--bcher-kva.test"), ("192.0.2.1", None)],
)
async def test_the_name_of_the_certificate_is_asked_for(name: str, asked: str | None) -> None:
    one, seen = leaf(), list[str | None]()
    tls = context(one)
    tls.sni_callback = lambda _, name, __: seen.append(name)
    async with server(tls) as at:
        assert (await look(at, "", pem(one), name)).ok
    assert seen == [asked]


async def test_a_server_gets_a_moment_to_reload() -> None:
    old, new = leaf(), leaf()
    tls = context(old)
    async with server(tls) as at, trio.open_nursery() as nursery:

        async def reload() -> None:
            await trio.sleep(0.2)
            new.configure_cert(tls)

        nursery.start_soon(reload)
        assert (await probe(at, pem(new), name="example.test", patience=5)).ok


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("localhost:443", Check(host="localhost", port=443)),
        ("[::1]:25/smtp", Check(host="::1", port=25, protocol="smtp")),
        ("db.example:5432/postgres", Check(host="db.example", port=5432, protocol="postgres")),
    ],
)
def test_a_check_is_read_and_written(text: str, check: Check) -> None:
    assert parse_check(text) == check
    assert str(check) == text


@pytest.mark.parametrize("text", ["", "localhost", ":443", "localhost:0", "localhost:x", "a@b:1", "localhost:99999"])
def test_a_check_without_host_and_port_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"host:port\[/protocol\]"):
        parse_check(text)


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="'gopher' is none of smtp"):
        parse_check("localhost:70/gopher")
