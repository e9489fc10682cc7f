from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from acme_manager.api.listing import SORTABLE
from acme_manager.domain.certificate import Certificate
from acme_manager.domain.token import Scope
from tests.unit.api.world import Api, open_api

PATH = "/api/v1/certificate/metadata"


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with open_api() as opened:
        kept = [
            Certificate(owner="alice", issuer="a", domain="one.example", labels="team=x,env=prod", updated_at=3),
            Certificate(owner="alice", issuer="a", domain="two.example", labels="team=y", updated_at=1),
            Certificate(owner="alice", issuer="b", domain="one.example", san="WWW.one.example", updated_at=2),
            Certificate(
                owner="alice", issuer="b", domain="web.example", name="web", expires="2027-01-01 00:00:00 +0000 UTC"
            ),
            Certificate(owner="alicia", issuer="b", domain="other.example"),
        ]
        for one in kept:
            opened.world.state.certificates.put(one.id.key, one)
        yield opened


async def found(api: Api, query: str) -> list[str]:
    answer = await api.client.get(f"{PATH}{query}", headers=api.token(Scope.CREATE))
    assert answer.status_code == 200, await answer.get_data(as_text=True)
    records = await answer.get_json()
    assert isinstance(records, list)
    assert answer.headers["Owner"] == "alice"
    return [f"{one['issuer']}/{one['domain']}" for one in records]


async def test_all_of_the_owner_s_certificates_are_listed_without_any_scope_but_a_token(api: Api) -> None:
    assert await found(api, "") == ["a/one.example", "a/two.example", "b/one.example", "b/web.example"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?issuer=b", ["b/one.example", "b/web.example"]),
        ("?domain=one.example", ["a/one.example", "b/one.example"]),
        ("?name=web", ["b/web.example"]),
        ("?issuer=a&domain=one.example", ["a/one.example"]),
        ("?issuer=b&domain=web.example&name=web", ["b/web.example"]),
        ("?issuer=nobody", []),
        ("?q=www", ["b/one.example"]),
        ("?q=TWO", ["a/two.example"]),
        ("?label=team", ["a/one.example", "a/two.example"]),
        ("?label=team=x", ["a/one.example"]),
        ("?label=team&label=env=prod", ["a/one.example"]),
        ("?label=team=", []),
        ("?sort=updated_at", ["b/web.example", "a/two.example", "b/one.example", "a/one.example"]),
        ("?sort=-updated_at&limit=1", ["a/one.example"]),
        ("?sort=-expires&limit=1", ["b/web.example"]),
        ("?limit=2&offset=3", ["b/web.example"]),
        ("?limit=2&offset=9", []),
        ("?limit=", ["a/one.example", "a/two.example", "b/one.example", "b/web.example"]),
        ("?unknown=1&issuer=b", ["b/one.example", "b/web.example"]),
    ],
)
async def test_filters_order_and_page_narrow_the_list(api: Api, query: str, expected: list[str]) -> None:
    assert await found(api, query) == expected


@pytest.mark.parametrize("sort", SORTABLE)
async def test_every_promised_order_works(api: Api, sort: str) -> None:
    assert sorted(await found(api, f"?sort={sort}")) == sorted(await found(api, f"?sort=-{sort}"))


async def test_a_look_up_by_issuer_and_domain_says_when_there_is_none(api: Api) -> None:
    answer = await api.client.get(f"{PATH}?issuer=b&domain=web.example", headers=api.token())
    assert answer.status_code == 404
    assert (await answer.get_json())["error"] == "certificate 'alice/b/web.example' not found"


async def test_pages_name_their_neighbours_and_the_total(api: Api) -> None:
    answer = await api.client.get(f"{PATH}?limit=1&offset=1&sort=domain&label=team", headers=api.token())
    assert answer.headers["X-Total-Count"] == "2"
    assert answer.headers["Link"] == (
        f'<{PATH}?limit=1&sort=domain&label=team&offset=0>; rel="first", '
        f'<{PATH}?limit=1&sort=domain&label=team&offset=0>; rel="prev", '
        f'<{PATH}?limit=1&sort=domain&label=team&offset=1>; rel="last"'
    )


async def test_following_next_visits_everything_once(api: Api) -> None:
    seen, url = [], f"{PATH}?limit=3"
    while url:
        answer = await api.client.get(url, headers=api.token())
        seen += [one["domain"] for one in await answer.get_json()]
        links = [part.split("; ") for part in answer.headers["Link"].split(", ")]
        url = next((target.strip("<>") for target, rel in links if rel == 'rel="next"'), "")
    assert sorted(seen) == ["one.example", "one.example", "two.example", "web.example"]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=-1", "limit=x", "limit=1e3", "offset=-1", "offset=%EF%BC%99", "sort=csr"]
)
async def test_a_bad_parameter_is_named(api: Api, query: str) -> None:
    answer = await api.client.get(f"{PATH}?{query}", headers=api.token())
    document = await answer.get_json()
    name = query.partition("=")[0]
    assert answer.status_code == 400
    assert document["complaints"][0]["field"] == name
    assert f"'{name}' must be" in document["error"]


async def test_labels_that_another_program_wrote_wrongly_match_nothing(api: Api) -> None:
    odd = Certificate(owner="alice", issuer="c", domain="odd.example", labels="not-a-name=1,team=x")
    api.world.state.certificates.put(odd.id.key, odd)
    assert await found(api, "?label=team=x") == ["a/one.example"]
