"""Talk a server into TLS where a connection begins without it: one short dialogue for each protocol."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import trio

from acme_manager.errors import AcmeManagerError

_LONGEST_LINE = 8192  # octets
_MOST_LINES = 100

_LDAP_REQUEST = bytes.fromhex("301d02010177188016") + b"1.3.6.1.4.1.1466.20037"  # RFC 4511 section 4.14.1
_LDAP_ANSWER, _LDAP_CODE = 0x78, 0x0A  # ExtendedResponse, and its resultCode
_POSTGRES_REQUEST = bytes.fromhex("0000000804d2162f")  # SSLRequest: its length, and 80877103


class NoTls(AcmeManagerError):
    """The server does not want to, or does not speak the protocol."""


class _Conversation:
    """A connection, read in lines and in numbers of octets."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream, self._read = stream, bytearray()

    async def say(self, octets: bytes) -> None:
        await self._stream.send_all(octets)

    async def line(self) -> bytes:
        while b"\n" not in self._read:
            if len(self._read) > _LONGEST_LINE:
                raise NoTls("the server's answer is no line of text")
            await self._more()
        line, _, rest = bytes(self._read).partition(b"\n")
        self._read[:] = rest
        return line.rstrip(b"\r")

    async def octets(self, number: int) -> bytes:
        while len(self._read) < number:
            await self._more()
        found = bytes(self._read[:number])
        del self._read[:number]
        return found

    async def line_of(self, start: bytes, *, after: bytes = b"") -> None:
        """Read up to the line that begins so, past those before it that begin with `after`. Raises NoTls."""
        for _ in range(_MOST_LINES):
            line = await self.line()
            if line.startswith(start + b" ") or line == start:
                return
            if not after or not line.startswith(after):
                raise NoTls(f"the server answers {line[:80].decode(errors='replace')!r}")
        raise NoTls("the server's answer has no end")

    async def _more(self) -> None:
        octets = await self._stream.receive_some(4096)
        if not octets:
            raise NoTls("the server closed the connection before TLS")
        self._read += octets


async def _smtp(with_server: _Conversation) -> None:
    """RFC 3207."""
    await with_server.line_of(b"220", after=b"220-")
    await with_server.say(b"EHLO localhost\r\n")
    await with_server.line_of(b"250", after=b"250-")
    await with_server.say(b"STARTTLS\r\n")
    await with_server.line_of(b"220", after=b"220-")


async def _imap(with_server: _Conversation) -> None:
    """RFC 9051 section 6.2.1."""
    await with_server.line_of(b"* OK")
    await with_server.say(b"a STARTTLS\r\n")
    await with_server.line_of(b"a OK", after=b"* ")


async def _pop3(with_server: _Conversation) -> None:
    """RFC 2595 section 4."""
    await with_server.line_of(b"+OK")
    await with_server.say(b"STLS\r\n")
    await with_server.line_of(b"+OK")


async def _ldap(with_server: _Conversation) -> None:
    """RFC 4511 section 4.14. The answer is an LDAPMessage in BER: an id, then an ExtendedResponse."""
    await with_server.say(_LDAP_REQUEST)
    tag, size = await with_server.octets(2)
    if size & 0x80:
        size = int.from_bytes(await with_server.octets(size & 0x7F))
    if tag != 0x30 or size > _LONGEST_LINE:
        raise NoTls("the server's answer is not LDAP")
    message = await with_server.octets(size)
    _, _, answer = _element(message)
    tag, content, _ = _element(answer)
    code_tag, code, _ = _element(content)
    if (tag, code_tag) != (_LDAP_ANSWER, _LDAP_CODE):
        raise NoTls("the server's answer is no answer to StartTLS")
    if int.from_bytes(code):
        raise NoTls(f"the server refuses StartTLS with result code {int.from_bytes(code)}")


def _element(octets: bytes) -> tuple[int, bytes, bytes]:
    """The first element in BER: its tag, its content, and what follows."""
    try:
        tag, size, start = octets[0], octets[1], 2
        if size & 0x80:
            start += size & 0x7F
            size = int.from_bytes(octets[2:start])
    except IndexError:
        raise NoTls("the server's answer is cut short") from None
    return tag, octets[start : start + size], octets[start + size :]


async def _postgres(with_server: _Conversation) -> None:
    """PostgreSQL's documentation, "Message Flow", SSL Session Encryption."""
    await with_server.say(_POSTGRES_REQUEST)
    if await with_server.octets(1) != b"S":
        raise NoTls("the server has no TLS")


_DIALOGUES: Mapping[str, Callable[[_Conversation], Awaitable[None]]] = {
    "smtp": _smtp,
    "imap": _imap,
    "pop3": _pop3,
    "ldap": _ldap,
    "postgres": _postgres,
}

PROTOCOLS = tuple(_DIALOGUES)


async def start_tls(stream: trio.abc.Stream, protocol: str) -> None:
    """Get a server to the point where the handshake begins. Raises NoTls, and what the stream raises."""
    await _DIALOGUES[protocol](_Conversation(stream))
