"""Answers that no good name server gives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import dns.message
import dns.opcode
import dns.rcode
import dns.rrset
import dns.tsig
import pytest
import trio

from acme_manager.dns.rfc2136 import Rfc2136, read_settings
from acme_manager.errors import DnsFailed
from acme_manager.structure import background
from tests.parts.dns_server import TsigKey

NAME = "_acme-challenge.www.example.test"
KEY = TsigKey()
SOA = dns.rrset.from_text("example.test.", 5, "IN", "SOA", "ns. host. 1 60 60 600 1")

Script = Callable[[dns.message.Message], dns.message.Message | bytes]


@asynccontextmanager
async def answering(script: Script, *, signed: bool = True) -> AsyncIterator[dict[str, str]]:
    """A TCP name server; gives the variables that lead to it. Octets are sent as they are, an empty answer hangs up."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    keyring = dns.tsig.Key(KEY.name, KEY.secret, KEY.algorithm)

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            buffer = b""
            async for part in stream:
                buffer += part
                if len(buffer) < 2 or len(buffer) < 2 + int.from_bytes(buffer[:2], "big"):
                    continue
                answer = script(dns.message.from_wire(buffer[2:], keyring=keyring))
                buffer = b""
                wire = answer if isinstance(answer, bytes) else answer.to_wire(prepend_length=True)
                if not wire:
                    return
                await stream.send_all(wire)

    variables = {"RFC2136_NAMESERVER": f"127.0.0.1:{listeners[0].socket.getsockname()[1]}"}
    if signed:
        variables |= {"RFC2136_TSIG_KEY": KEY.name, "RFC2136_TSIG_SECRET": KEY.secret}
        variables |= {"RFC2136_TSIG_ALGORITHM": KEY.algorithm}
    async with background(partial(trio.serve_listeners, serve, listeners)):
        yield variables


def answer_to(query: dns.message.Message, rcode: dns.rcode.Rcode = dns.rcode.NOERROR) -> dns.message.Message:
    """SOA questions get the zone, updates the code."""
    answer = dns.message.make_response(query)
    if query.opcode() == dns.opcode.QUERY:
        answer.authority.append(SOA)
    else:
        answer.set_rcode(rcode)
    return answer


def unsigned(query: dns.message.Message) -> dns.message.Message:
    answer = answer_to(query)
    answer.tsig = None
    answer.keyring = None
    return answer


def late(query: dns.message.Message) -> dns.message.Message:
    answer = answer_to(query)
    answer.use_tsig(query.keyring, tsig_error=dns.rcode.BADTIME)
    return answer


def delegating(query: dns.message.Message) -> dns.message.Message:
    answer = dns.message.make_response(query)
    answer.authority.append(dns.rrset.from_text("www.example.test.", 5, "IN", "NS", "ns.elsewhere.test."))
    return answer


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (lambda _query: b"", "closed the connection instead of answering"),
        (lambda _query: b"\x00\x03abc", "gave an answer that can't be read"),
        (unsigned, "did not sign its answer to a signed message"),
        (late, "have clocks that differ"),
        (delegating, r"points to the servers of zone www\.example\.test"),
        (partial(answer_to, rcode=dns.rcode.SERVFAIL), "failed to change .*; its log says why"),
        (partial(answer_to, rcode=dns.rcode.NOTAUTH), "is not the primary of that zone"),
        (partial(answer_to, rcode=dns.rcode.NOTIMP), r"did not change .* in zone example\.test \(NOTIMP\)"),
    ],
)
async def test_a_fault_of_the_server_is_put_in_words(script: Script, words: str) -> None:
    async with answering(script) as variables:
        with pytest.raises(DnsFailed, match=words) as caught:
            await Rfc2136(read_settings(variables)).put_txt(NAME, "value")
    assert KEY.secret not in str(caught.value)


async def test_a_zone_that_was_wrong_is_looked_up_again() -> None:
    asked: list[str] = []

    def script(query: dns.message.Message) -> dns.message.Message:
        asked.append(dns.opcode.to_text(query.opcode()))
        return answer_to(query, dns.rcode.NOTZONE if len(asked) == 3 else dns.rcode.NOERROR)

    async with answering(script, signed=False) as variables:
        provider = Rfc2136(read_settings(variables))
        await provider.put_txt(NAME, "value")
        with pytest.raises(DnsFailed):
            await provider.remove_txt(NAME, "value")
        await provider.remove_txt(NAME, "value")
    assert asked == ["QUERY", "UPDATE", "UPDATE", "QUERY", "UPDATE"]


@pytest.mark.parametrize(
    ("code", "messages"),
    [(dns.rcode.NOERROR, ["UPDATE"]), (dns.rcode.NOTAUTH, ["UPDATE", "QUERY", "UPDATE"])],
)
async def test_a_zone_that_is_known_already_is_tried_before_the_server_is_asked(
    code: dns.rcode.Rcode, messages: list[str]
) -> None:
    asked: list[str] = []

    def script(query: dns.message.Message) -> dns.message.Message:
        asked.append(dns.opcode.to_text(query.opcode()))
        return answer_to(query, code if len(asked) == 1 else dns.rcode.NOERROR)

    async with answering(script, signed=False) as variables:
        provider = Rfc2136(read_settings(variables), lambda _name, _server: "example.test")
        await provider.put_txt(NAME, "value")
    assert asked == messages
