"""Which requests the agent makes again, and where."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import trio
from trio.testing import MockClock

from acme_manager.client.manager import Access, Manager, ManagerRefused, ManagerUnavailable, Preference, Retries
from acme_manager.domain.certificate import Certificate

ONE, TWO = "http://one.test/api/v1", "http://two.test/api/v1"
QUICK = Retries(most=3, wait_min=0.0, wait_max=0.001)


class Servers:
    """Answers by turns, and remembers what was asked."""

    def __init__(self, *answers: httpx.Response | type[httpx.TransportError]) -> None:
        self.answers, self.asked = list(answers), list[httpx.Request]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, httpx.Response):
            return answer
        raise answer("as the test wants it", request=request)

    @property
    def hosts(self) -> list[str]:
        return [request.url.host for request in self.asked]


@asynccontextmanager
async def manager(
    servers: Servers, retries: Retries = QUICK, preference: Preference | None = None
) -> AsyncIterator[Manager]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(servers)) as client:
        yield Manager(Access(urls=(ONE, TWO), token="t"), retries, client, preference)


async def test_a_question_goes_to_the_next_server_until_one_answers_and_stays_with_that() -> None:
    listed = httpx.Response(200, json=[])
    servers = Servers(httpx.ReadTimeout, httpx.Response(503), httpx.ConnectError, listed, listed)
    async with manager(servers) as api:
        assert await api.certificates() == []
        assert await api.certificates() == []
    assert servers.hosts == ["one.test", "two.test", "one.test", "two.test", "two.test"]


async def test_a_server_that_is_away_costs_no_pause_and_is_not_asked_first_the_next_time(
    autojump_clock: MockClock,
) -> None:
    listed, changed = httpx.Response(200, json=[]), httpx.Response(200, json={"digest": "d", "changed": True})
    servers, preference, began = Servers(httpx.ConnectTimeout, listed, changed), Preference(), trio.current_time()
    async with manager(servers, Retries(), preference) as api:
        assert await api.certificates() == []
    async with manager(servers, Retries(), preference) as api:
        assert (await api.events("", 1)).changed
    assert servers.hosts == ["one.test", "two.test", "two.test"]
    assert trio.current_time() == began


async def test_the_servers_are_left_in_peace_once_each_of_them_has_failed(autojump_clock: MockClock) -> None:
    servers, began = Servers(*[httpx.Response(503)] * 2, httpx.Response(200, json=[])), trio.current_time()
    async with manager(servers, Retries()) as api:
        assert await api.certificates() == []
    assert trio.current_time() - began >= Retries().wait_min


async def test_a_question_that_nobody_answers_says_so() -> None:
    servers = Servers(*[httpx.Response(502, json={"detail": "no leader"})] * 4)
    async with manager(servers) as api:
        with pytest.raises(ManagerUnavailable, match="no leader"):
            await api.username()
    assert len(servers.asked) == 4


async def test_a_refusal_is_final_and_told_in_the_servers_words() -> None:
    servers = Servers(httpx.Response(403, json={"error": "invalid scope"}))
    async with manager(servers) as api:
        with pytest.raises(ManagerRefused, match="invalid scope") as caught:
            await api.username()
    assert caught.value.status == 403


async def test_a_change_goes_on_to_another_server_only_if_it_reached_none() -> None:
    servers = Servers(httpx.ConnectError, httpx.Response(201, json={"domain": "a", "cert": "c"}))
    async with manager(servers) as api:
        assert (await api.create({"domain": "a"})).cert == "c"
    assert servers.hosts == ["one.test", "two.test"]


@pytest.mark.parametrize("answer", [httpx.ReadTimeout, httpx.ReadError, httpx.Response(503), httpx.Response(500)])
async def test_a_change_that_may_have_arrived_is_not_made_again(
    answer: httpx.Response | type[httpx.TransportError],
) -> None:
    servers = Servers(answer)
    async with manager(servers) as api:
        with pytest.raises(ManagerUnavailable):
            await api.create({"domain": "a"})
    assert len(servers.asked) == 1


async def test_what_is_gone_counts_as_deleted_and_names_are_escaped() -> None:
    servers = Servers(httpx.Response(404, json={}), httpx.Response(204))
    async with manager(servers) as api:
        await api.delete(Certificate(issuer="c a", domain="*.a"), revoke=True)
        await api.delete(Certificate(issuer="ca", domain="a", name="n&m"), revoke=False)
    assert [str(request.url).removeprefix(ONE) for request in servers.asked] == [
        "/certificate/c%20a/%2A.a?revoke=true",
        "/certificate/ca/a?name=n%26m&revoke=false",
    ]


async def test_a_list_tells_which_keys_are_to_be_replaced() -> None:
    listed = [{"domain": "a", "renewal": {"new_key_wanted": True}}, {"domain": "b", "renewal": {}}, {"domain": "c"}]
    async with manager(Servers(httpx.Response(200, json=listed))) as api:
        assert [one.new_key_wanted for one in await api.certificates()] == [True, False, False]


@pytest.mark.parametrize("body", ["{}", "[1]", "no JSON", '[{"days": []}]'])
async def test_a_list_that_can_not_be_read_is_none(body: str) -> None:
    async with manager(Servers(httpx.Response(200, text=body))) as api:
        with pytest.raises(ManagerUnavailable, match="can't be read"):
            await api.certificates()
