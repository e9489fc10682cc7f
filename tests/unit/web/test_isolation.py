"""Owners neither see nor touch what is another's, by any address; the public looks, and does nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlencode

from acme_manager.domain.token import Scope, hash_secret
from tests.unit.api.world import Api
from tests.unit.web.browser import Browser, Page, administrator, owner
from tests.unit.web.planting import ALICE, BOB, open_planted, words
from tests.unit.web.routes import ELSEWHERE, GETS, POSTS, Who, address_of, filled, gets, page_routes, posts
from tests.unit.web.test_login import configure

PLANTED = """
    domain name san label value serial profile challenge lost issuer number failure explanation reason problem record
    proof provider server words refusal wanted host why check fetcher program auditobject auditactor auditerror
    credential zone glob token issued
"""
SECRETS = {"zqhidden"}  # values of variables, keys and hashes: nobody is shown them
PRIVATE = {"zqcontact", "zqkid", "zqpath", "zqchecksum", "zqvariable", "zqstarter", *SECRETS}  # of administrators
NOBODYS = {
    "owner": "zqnobody",
    "name": "zqnone",
    "domain": "zqnowhere.example",
    "token": "zqnotoken",
    "operation": "99",
}

# What the address of a page about one thing may be turned into, and what a list may be asked for.
TURNED = ({"owner": "{owner}"}, {"name": "{name}"}, {"name": "../{owner}/{name}"}, {"domain": "{domain}"})
ASKED = (
    {"owner": "{owner}"},
    {"id": "{token}"},
    {"q": "{name}"},
    {"q": "{owner} {domain}"},
    {"label": "{label}"},
    {"issuer": "{issuer}"},
    {"profile": "{profile}", "challenge": "dns: {challenge}"},
    {"object": "{object}"},
    {"actor": "{actor}"},
)
# Whatever brings more to light: every column, every order, as a program.
VARIANTS = (
    "columns=owner,san,serial,labels,challenge,profile,encryption,hosts,domain&limit=200",
    "sort=-owner",
    "sort=owner&owner=",
    "condition=failing&condition=request_failed&condition=no_issuer&reported=yes",
    "weakness=&expiring=9999",
    "action=certificate&from=2026-11-24&to=2026-11-24",
)


def snapshot(api: Api) -> dict[str, bytes]:
    """Everything that is kept, but for the log of who did what."""
    kept = {key: value for key, value in api.world.cluster.items("") if not key.startswith(("audit/", "session-"))}
    versions = {key: b"%d" % len(found) for key, found in api.world.storage._histories.items() if "audit" not in key}
    return kept | versions


def shown(page: Page) -> str:
    return page.body + "\n".join(f"{name}: {value}" for name, value in page.headers.items())


def places(things: Mapping[str, str]) -> dict[str, str]:
    mark = "zq" if things["owner"].startswith("zq") else "mine"
    more = {
        "label": f"{mark}label",
        "issuer": f"{mark}issuer",
        "profile": f"{mark}profile",
        "challenge": f"{mark}challenge",
    }
    return {**things, **more, "object": f"{mark}auditobject", "actor": f"{mark}auditactor"}


async def test_every_route_of_the_pages_is_in_the_table() -> None:
    async with open_planted() as api:
        there = {(method, endpoint) for method, _path, endpoint in page_routes(api)}
        assert there == {("GET", one) for one in GETS} | {("POST", one) for one in POSTS}
        assert {rule.endpoint for rule in api.app.url_map.iter_rules()} >= ELSEWHERE


async def test_what_is_planted_can_be_seen_by_administrators_but_no_secret() -> None:
    """Else that others don't see it would mean nothing."""
    async with open_planted() as api:
        admin, seen = await administrator(api), ""
        for path, one in gets(api):
            if not path.startswith(("events", "login")):
                for ask in (admin.get, admin.json):
                    seen += (await ask(address_of(path, one, BOB.place))).body
        seen += (await admin.get(f"certificates?{VARIANTS[0]}")).body
        planted = set(map(BOB.mark, PLANTED.split()))
        assert planted - words(seen) == set()
        assert words(seen) & SECRETS == set()
        assert hash_secret("zqhidden") not in seen
        assert "PRIVATE KEY" not in seen


async def test_an_owner_is_shown_nothing_of_anothers_whatever_is_asked_for() -> None:
    async with open_planted() as api:
        alice, theirs = await owner(api), places(BOB.place)
        for path, one in gets(api):
            if path == "events":
                continue  # tests/unit/web/test_live.py
            own = filled(one.query, places(ALICE.place))
            turned = () if one.who is Who.ADMIN else TURNED if one.about_one else ASKED
            queries = [urlencode(own | filled(texts, theirs)) for texts in (one.query, *turned)]
            more = VARIANTS if turned is ASKED else ()
            for ask, asked in ((alice.get, [*queries, *more]), (alice.json, [queries[0], *more])):
                for query in asked:
                    page = await ask(f"{path}?{query}")
                    leaked = words(shown(page)) - words(query)
                    assert not leaked, (path, query, page.status, leaked)
                    assert page.status < 500, (path, query)
                    assert one.who is not Who.ADMIN or page.status == 403, (path, query)


async def test_what_is_anothers_is_told_apart_from_what_is_not_there_by_nothing() -> None:
    async with open_planted() as api:
        alice = await owner(api)
        for path, one in gets(api):
            if not one.query or path.startswith("login"):
                continue
            for ask in (alice.get, alice.json):
                found = [await ask(address_of(path, one, things)) for things in (BOB.place, NOBODYS)]
                assert _plain(found[0], BOB.place) == _plain(found[1], NOBODYS), path
                if one.about_one:
                    assert found[0].status == 404, path


def _plain(page: Page, things: Mapping[str, str]) -> tuple[int, str]:
    text = re.sub(r"after=[\w-]+", "", page.body.replace(page.headers["X-Request-ID"], ""))
    for name in ("owner", "name", "domain", "token"):
        text = text.replace(things[name], "…")
    return page.status, text


async def test_an_owner_changes_nothing_of_anothers() -> None:
    async with open_planted() as api:
        alice = await owner(api)
        token = (await alice.get()).form("logout").values["form_token"]
        before = snapshot(api)
        for path, form in posts(api):
            if path == "logout":
                continue
            for things in (BOB.place, NOBODYS):
                fields = filled(form.fields, things)
                page = await alice.post(path, fields | {"form_token": token})
                assert page.status == (403 if form.who is Who.ADMIN else 404), (path, page.status)
                assert words(shown(page)) <= words(urlencode(fields)), path
        assert snapshot(api) == before


async def test_who_lacks_the_scope_has_no_button_and_is_refused() -> None:
    async with open_planted() as api:
        reader = await owner(api, Scope.READ)
        token = (await reader.get()).form("logout").values["form_token"]
        before = snapshot(api)
        allowed = {"certificate-key", "certificate-pkcs12", "logout"}
        for path, one in gets(api):
            page = await reader.get(address_of(path, one, ALICE.place)) if path != "events" else None
            if page is None or not one.html or page.status != 200 or path.startswith("login"):
                continue
            offered = {form["action"] for form in page.root.all("form", method="post")}
            assert offered <= allowed, (path, offered)
        for path, form in posts(api):
            if path not in allowed:
                page = await reader.post(path, filled(form.fields, ALICE.place) | {"form_token": token})
                assert page.status == 403, path
        idle = await owner(api, Scope.DELETE)
        token = (await idle.get()).form("logout").values["form_token"]
        for path in ("certificate-key", "certificate-pkcs12"):
            form = dict(posts(api))[path]
            page = await idle.post(path, filled(form.fields, ALICE.place) | {"form_token": token})
            assert (page.status, "BEGIN" in page.body) == (403, False)
        assert snapshot(api) == before


async def test_administrators_are_handed_no_private_key() -> None:
    async with open_planted() as api:
        admin = await administrator(api)
        token = (await admin.get()).form("logout").values["form_token"]
        for path in ("certificate-key", "certificate-pkcs12"):
            form = dict(posts(api))[path]
            page = await admin.post(path, filled(form.fields, BOB.place) | {"form_token": token})
            assert (page.status, "BEGIN" in page.body) == (403, False)


async def test_the_public_sees_no_more_than_which_certificates_there_are_and_does_nothing() -> None:
    async with open_planted() as api:
        configure(api, public_read=True)
        stranger, before = Browser(api), snapshot(api)
        hidden = PRIVATE | {
            BOB.mark(word) for word in ("fetcher", "program", "auditobject", "auditactor", "auditerror")
        }
        for path, one in gets(api):
            if path == "events" or path.startswith("login"):
                continue
            for things in (ALICE.place, BOB.place):
                for ask in (stranger.get, stranger.json):
                    page = await ask(address_of(path, one, things))
                    refused = one.who in {Who.OWNER, Who.SCOPED, Who.ADMIN}
                    assert (page.status in {303, 401, 403}) == refused, (path, page.status)
                    assert "BEGIN CERTIFICATE" not in page.body
                    assert "ouraccount" not in page.body, path
                    assert words(shown(page)) & hidden - words(path) == set(), path
                    assert not page.root.all("form", method="post"), path
        for path, form in posts(api):
            page = await stranger.post(path, filled(form.fields, BOB.place) | {"form_token": "x"})
            assert page.status == 401, path
        assert snapshot(api) == before


async def test_strangers_get_to_the_log_in_only() -> None:
    async with open_planted() as api:
        stranger = Browser(api)
        for path, one in gets(api):
            address = address_of(path, one, BOB.place)
            if one.who is Who.STRANGER:
                assert (await stranger.get(address)).status < 500
                continue
            page = await stranger.get(address)
            assert page.goes_to.startswith("login"), path
            assert words(page.goes_to) <= words(address)
            assert (await stranger.json(address)).status == 401, path
        for path, form in posts(api):
            assert (await stranger.post(path, filled(form.fields, BOB.place))).status == 401, path
