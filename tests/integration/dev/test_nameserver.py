from __future__ import annotations

import socket

import dns.asyncquery
import dns.message
import dns.tsig
import dns.update
import pytest
import trio

from acme_manager.dev.nameserver import open_nameserver

KEY = dns.tsig.Key("dev", "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0", "hmac-sha256")
NAME = "_acme-challenge.www.example.test."
QUESTION = dns.message.make_query(NAME, "TXT")


@pytest.mark.parametrize("over", [dns.asyncquery.udp, dns.asyncquery.tcp])
async def test_updates_show_over_both_protocols(over: object) -> None:
    async with open_nameserver(KEY) as (host, port):
        update = dns.update.UpdateMessage("example.test.")
        update.use_tsig(KEY)
        update.add(NAME, 60, "TXT", "one")
        await over(update, host, port=port, timeout=5)  # type: ignore[operator]
        for ask in (dns.asyncquery.udp, dns.asyncquery.tcp):
            answer = await ask(QUESTION, host, port=port, timeout=5)
            assert answer.answer[0][0].to_text() == '"one"'


async def test_garbage_on_either_protocol_disturbs_nobody() -> None:
    async with open_nameserver(KEY) as (host, port):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            for junk in (b"", b"x", b"\0" * 12, b"\xff" * 2000):
                udp.sendto(junk, (host, port))
        for junk in (b"", b"\0", b"\0\0", b"\0\x05hello", b"\xff\xffshort", b"\0\x0c" + b"\0" * 12):
            async with await trio.open_tcp_stream(host, port) as stream:
                await stream.send_all(junk)
        assert (await dns.asyncquery.udp(QUESTION, host, port=port, timeout=5)).rcode() == 0
        assert (await dns.asyncquery.tcp(QUESTION, host, port=port, timeout=5)).rcode() == 0


async def test_one_connection_can_ask_many_times() -> None:
    wire = QUESTION.to_wire()
    async with open_nameserver(KEY) as (host, port), await trio.open_tcp_stream(host, port) as stream:
        for _ in range(3):
            await stream.send_all(len(wire).to_bytes(2) + wire)
            size = int.from_bytes(await stream.receive_some(2))
            answer = b""
            with trio.fail_after(5):
                while len(answer) < size:
                    answer += await stream.receive_some(size - len(answer))
            assert QUESTION.is_response(dns.message.from_wire(answer))


async def test_a_wished_port_is_used_when_it_is_free_and_another_when_it_is_not() -> None:
    async with open_nameserver(KEY) as (_, first), open_nameserver(KEY, first) as (_, other):
        assert other != first
    async with open_nameserver(KEY, first) as (_, again):
        assert again == first
