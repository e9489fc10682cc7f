"""What a TLS client says first (RFC 8446 section 4.1.2): the name and the protocols that it asks for. Pure.

Python's `ssl` shows the name but not the protocols before it chooses a certificate; tls-alpn-01 needs both.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import attrs

_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME, _ALPN = 0, 16
_LONGEST = 16 * 1024  # bytes of the message
_MOST_RECORDS = 8


@attrs.frozen
class ClientHello:
    """Empty where the client says nothing."""

    server_name: str = ""
    protocols: tuple[bytes, ...] = ()


class Incomplete(ValueError):
    """More must be read."""


def read_client_hello(data: bytes) -> ClientHello:
    """Read the beginning of a connection. Raises Incomplete, and ValueError for what is none."""
    body = _handshake(data)
    try:
        return _read_body(body)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise ValueError("not a ClientHello") from error


def _handshake(data: bytes) -> bytes:
    """The body of the first handshake message, which may be spread over a few records."""
    message, at = b"", 0
    for _ in range(_MOST_RECORDS + 1):
        if len(message) >= 4:
            length = int.from_bytes(message[1:4], "big")
            if message[0] != _CLIENT_HELLO or length > _LONGEST:
                raise ValueError("not a ClientHello")
            if len(message) >= 4 + length:
                return message[4 : 4 + length]
        if len(data) > at and data[at] != _HANDSHAKE:
            raise ValueError("not a TLS handshake")
        if len(data) < at + 5:
            raise Incomplete
        end = at + 5 + int.from_bytes(data[at + 3 : at + 5], "big")
        if end == at + 5:
            raise ValueError("an empty TLS record")
        message += data[at + 5 : end]
        if end > len(data):
            raise Incomplete
        at = end
    raise ValueError("a ClientHello in too many parts")


def _read_body(body: bytes) -> ClientHello:
    at = 2 + 32  # version and random
    at += 1 + body[at]  # session id
    at += 2 + struct.unpack_from("!H", body, at)[0]  # cipher suites
    at += 1 + body[at]  # compression methods
    if at == len(body):
        return ClientHello()
    hello = ClientHello()
    for kind, data in _extensions(_prefixed(body[at:], 2)):
        if kind == _SERVER_NAME:
            hello = attrs.evolve(hello, server_name=_server_name(_prefixed(data, 2)))
        elif kind == _ALPN:
            hello = attrs.evolve(hello, protocols=tuple(_strings(_prefixed(data, 2))))
    return hello


def _prefixed(data: bytes, size: int) -> bytes:
    """The content of a field that begins with its length."""
    length = int.from_bytes(data[:size], "big")
    if len(data) < size + length:
        raise IndexError
    return data[size : size + length]


def _extensions(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        kind: int = struct.unpack_from("!H", data)[0]
        content = _prefixed(data[2:], 2)
        yield kind, content
        data = data[4 + len(content) :]


def _server_name(data: bytes) -> str:
    """The host name (RFC 6066 section 3); a list has one entry of that type."""
    return _prefixed(data[1:], 2).decode("ascii") if data and data[0] == 0 else ""


def _strings(data: bytes) -> Iterator[bytes]:
    while data:
        one = _prefixed(data, 1)
        yield one
        data = data[1 + len(one) :]
