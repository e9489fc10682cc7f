"""What TLS clients say first, as Python's own TLS says it, whole and in pieces."""

from __future__ import annotations

import ssl
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acme_manager.api.client_hello import ClientHello, Incomplete, read_client_hello


def hello(name: str | None = "www.example.com", protocols: tuple[str, ...] = ("acme-tls/1",)) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if name is None:
        context.check_hostname = False
    if protocols:
        context.set_alpn_protocols(list(protocols))
    sent = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read()


HELLO = hello()


def in_records(message: bytes, size: int) -> bytes:
    """A handshake message in records of that many bytes."""
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(struct.pack("!BHH", 22, 0x0301, len(piece)) + piece for piece in pieces)


@pytest.mark.parametrize("name", ["www.example.com", "1.0.0.127.in-addr.arpa", None])
@pytest.mark.parametrize("protocols", [("acme-tls/1",), ("h2", "http/1.1"), ("acme-tls/1", "h2"), ()])
def test_the_name_and_the_protocols_are_read(name: str | None, protocols: tuple[str, ...]) -> None:
    expected = ClientHello(name or "", tuple(one.encode() for one in protocols))
    assert read_client_hello(hello(name, protocols)) == expected


def test_every_beginning_of_it_is_incomplete() -> None:
    for size in range(len(HELLO)):
        with pytest.raises(Incomplete):
            read_client_hello(HELLO[:size])
    assert read_client_hello(HELLO + b"more") == read_client_hello(HELLO)


def test_it_may_come_in_a_few_records_but_not_in_many() -> None:
    message = HELLO[5:]
    assert read_client_hello(in_records(message, len(message) // 7)) == read_client_hello(HELLO)
    with pytest.raises(ValueError, match="too many parts"):
        read_client_hello(in_records(message, 8))


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x00\x00",
        in_records(b"\x02" + HELLO[6:], 10**4),
        in_records(b"\x01\xff\xff\xff" + HELLO[9:], 10**4),
        in_records(HELLO[5:6] + (20).to_bytes(3, "big") + HELLO[9:29], 10**4),
    ],
    ids=["plain HTTP", "empty record", "another message", "longer than any", "cut short"],
)
def test_what_is_no_such_message_is_no_such_message(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        read_client_hello(data)
    assert not isinstance(caught.value, Incomplete)


@given(at=st.integers(0, len(HELLO) - 1), octet=st.integers(0, 255), end=st.integers(0, len(HELLO)))
def test_damage_raises_nothing_else(at: int, octet: int, end: int) -> None:
    damaged = HELLO[:at] + bytes([octet]) + HELLO[at + 1 :]
    with suppress(ValueError):
        read_client_hello(damaged[:end])
