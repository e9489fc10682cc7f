from __future__ import annotations

import dns.message
import pytest
import trio
from dns.rdatatype import TXT

from acme_manager.dns.wire import NoReply, Server, ask
from tests.integration.dns.servers import reply, scripted
from tests.parts.program import LOOPBACK, free_port

NAME = "_acme-challenge.www.example.test"


async def test_a_question_that_got_lost_is_put_again() -> None:
    port = free_port()

    def script(count: int, query: dns.message.Message) -> dns.message.Message | None:
        return reply(query, "value") if count == 2 else None

    async with scripted((LOOPBACK, port), script):
        with trio.fail_after(5):
            answer = await ask(Server(LOOPBACK, port), NAME, TXT, patience=1.0)
    assert answer.answer


async def test_an_answer_to_another_question_does_not_count() -> None:
    port = free_port()

    def script(_count: int, query: dns.message.Message) -> dns.message.Message:
        answer = reply(query, "value")
        answer.id ^= 1
        return answer

    async with scripted((LOOPBACK, port), script):
        with pytest.raises(NoReply, match=r"did not answer within 0\.2 s"):
            await ask(Server(LOOPBACK, port), NAME, TXT, patience=0.2)


async def test_a_name_where_an_address_belongs_says_so() -> None:
    with pytest.raises(NoReply, match="no IP address"):
        await ask(Server("ns.example.test"), NAME, TXT, patience=0.2)
