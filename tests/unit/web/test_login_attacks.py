"""Cookies that were tampered with, addresses that lead elsewhere, headers that lie: what attackers send at the door."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import httpx

from acme_manager.domain.token import Scope
from acme_manager.errors import InvalidRequest
from acme_manager.web.page import go_to
from tests.unit.api.served import SOON, open_server
from tests.unit.api.world import Api, open_api
from tests.unit.services.world import ALICE, wish
from tests.unit.web.browser import Browser, administrator, owner

SESSION = "acme_manager_session"
LIES = {
    "Host": "evil.example",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "javascript",
    "X-Forwarded-Prefix": "//evil.example",
    "X-Forwarded-For": "<script>, 127.0.0.1\x7f",
    "Forwarded": "host=evil.example;proto=https",
    "X-Original-URL": "/ui/tokens",
    "X-Rewrite-URL": "/ui/tokens",
    "Referer": "https://evil.example/",
    "Origin": "https://evil.example",
}


async def opens(api: Api, cookie: str) -> bool:
    answered = await api.client.get("/ui/tokens", headers={"Cookie": cookie})
    assert answered.status_code in {200, 303}
    return bool(answered.status_code == 200)


async def test_a_cookie_opens_only_as_it_was_given() -> None:
    async with open_api() as api:
        value = (await administrator(api)).cookie(SESSION)
        assert await opens(api, f"{SESSION}={value}")
        changed = value[:40] + ("A" if value[40] != "A" else "B") + value[41:]
        for wrong in (
            "",
            "x",
            value[:-10],
            value[20:],
            changed,
            value.swapcase(),
            "\xff" * 50,
            "A" * 60_000,
        ):
            assert not await opens(api, f"{SESSION}={wrong}"), wrong[:40]
        many = "; ".join(f"{SESSION}{number}={value}" for number in range(500))
        assert not await opens(api, many)
        assert not await opens(api, f"{SESSION}=x; {many}")
        assert not await opens(api, f"acme_manager_oidc={value}; acme_manager_login={value}")


async def test_a_log_in_makes_a_new_session_whatever_the_browser_had_before() -> None:
    async with open_api() as api:
        planted = (await owner(api, Scope.READ)).cookie(SESSION)
        browser = Browser(api)
        form = (await browser.get("login", Cookie=f"{SESSION}={planted}")).form("login")
        page = await browser.submit(form, secret="admin")
        first = browser.cookie(SESSION)
        assert first != planted
        assert "acme_manager_login=;" in str(page.headers.getlist("Set-Cookie"))
        again = await (await administrator(api)).get()
        (one, other) = [await api.services.sessions.open(value) for value in (first, planted)]
        assert one is not None
        assert other is not None
        assert one.id != other.id
        # The form of the log-in is tied to the browser, and used up.
        assert (await Browser(api).submit(form, secret="admin")).status == 403
        assert again.status == 200


async def test_a_log_in_form_can_not_be_made_by_who_knows_nothing_of_the_browser() -> None:
    async with open_api() as api:
        theirs = Browser(api)
        form = (await theirs.get("login")).form("login")
        for mark in ("", "short", "x" * 65, "a b" * 10, theirs.cookie("acme_manager_login")[:-1] + "_"):
            answered = await api.client.post(
                "/ui/login",
                data=f"secret=admin&form_token={form.values['form_token']}",
                headers={"Cookie": f"acme_manager_login={mark}", "Content-Type": "application/x-www-form-urlencoded"},
            )
            assert answered.status_code == 403, mark
        answered = await api.client.post("/ui/login", data="secret=admin", headers={"Sec-Fetch-Site": "cross-site"})
        assert answered.status_code == 403


async def test_headers_that_lie_lead_nobody_elsewhere_and_let_nobody_in() -> None:
    async with open_server() as server, httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=SOON) as client:
        for path in (
            "/",
            "/ui",
            "/ui/",
            "/ui/tokens",
            "/ui/certificates?q=x",
            "/certificates",
            "/tokens",
            "/ui//evil.example",
        ):
            answered = await client.get(path, headers={"Accept": "text/html", **LIES})
            assert answered.status_code in {303, 404}, path
            assert "evil" not in str(answered.headers) or path.endswith("evil.example"), path
            assert "evil.example" not in answered.text or path.endswith("evil.example"), path
            location = answered.headers.get("Location", "")
            assert not location.startswith(("/", "http", "\\")), location
        page = await client.get("/ui/login", headers=LIES)
        assert "evil" not in page.text + str(page.headers)
        assert "<script>" not in page.text


ODD = (
    "\0", "?\0", "./?a\tb", "?\x7f", "./?ä", "?\u2028", "tokens?x=%0d%0aX:%20y", "tokens?\r\nX: y", "//x", "/\\x",
    "\\\\x", "https:x",
)  # fmt: skip


async def test_wherever_a_log_in_is_to_lead_its_answer_comes_through() -> None:
    """Over a real connection: a header that can't be sent would cut it off."""
    async with open_server() as server:
        for next in ODD:
            async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=SOON) as client:
                page = await client.get("/ui/login", params={"next": next})
                token = page.text.partition('name="form_token" value="')[2].partition('"')[0]
                fields = {"form_token": token, "next": next, "secret": "admin"}
                answered = await client.post("/ui/login", data=fields)
                assert answered.status_code == 303, next
                assert answered.headers["Location"] in {"./", "tokens?x=%0d%0aX:%20y"}
                assert "X" not in answered.headers
                assert client.cookies.get(SESSION)


async def test_names_of_files_are_harmless_whatever_certificates_are_called() -> None:
    async with open_api() as api:
        reader, taken = await owner(api), 0
        for name in (
            'a"; filename="evil.html',
            "a;b",
            "ä ö",
            "a\\b",
            ".htaccess",
            "a%0d%0ab",
            "CON",
            "\u202ex",
            "x" * 200,
        ):
            try:
                await api.world.certificates.request(ALICE, wish(domain="n.example", name=name))
            except InvalidRequest:
                continue
            taken += 1
            page = await reader.get(f"certificate-file?{urlencode({'owner': 'alice', 'name': name, 'part': 'leaf'})}")
            inner = page.headers["Content-Disposition"].removeprefix('attachment; filename="').removesuffix('"')
            assert re.fullmatch(r"[\w-][\w. -]*\.crt", inner, re.ASCII), (name, inner)
        assert taken


async def test_attempts_are_told_apart_by_source_and_locked_out_by_peer() -> None:
    async with open_api() as api:
        browser = Browser(api)
        form = (await browser.get("login")).form("login")

        async def wrong(source: str) -> int:
            answered = await browser._client.post(
                "/ui/login",
                data=f"secret=wrong&form_token={form.values['form_token']}",
                headers={"X-Forwarded-For": source, "Content-Type": "application/x-www-form-urlencoded"},
            )
            return int(answered.status_code)

        assert [await wrong("192.0.2.1") for _ in range(11)] == [401] * 10 + [429]
        assert await wrong("192.0.2.2") == 401
        assert await wrong("198.51.100.1, 192.0.2.1") == 429  # what is before the last can be written by anybody
        found = [await wrong(f"203.0.113.{number}") for number in range(120)]
        assert found[-1] == 429
        assert set(found) == {401, 429}


def test_redirects_are_relative() -> None:
    assert go_to("certificate", name="//evil\r\nX: y").headers["Location"] == "certificate?name=%2F%2Fevil%0D%0AX%3A+y"
