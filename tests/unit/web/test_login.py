"""Log-ins: who gets in, with which cookie, and what ends it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
import pytest

from acme_manager.api.forward import Waits
from acme_manager.config.ui import UiConfig
from acme_manager.domain.gotime import format_time
from acme_manager.domain.token import Scope, hash_secret
from acme_manager.errors import StorageUnavailable
from acme_manager.web.login import own_page
from tests.unit.api.served import Follower, Recorder, serving
from tests.unit.api.world import Api, open_api
from tests.unit.services.world import NOW, MovableClock
from tests.unit.web.browser import Browser, administrator, owner

SHORT = Waits(leader=0.1)


def configure(api: Api, **ui: Any) -> None:
    settings = api.services.settings
    settings.go_by(attrs.evolve(settings.config, ui=UiConfig(**ui)))


async def test_whoever_has_not_logged_in_is_led_to_the_log_in_and_back_again() -> None:
    async with open_api() as api:
        browser = Browser(api)
        page = await browser.get("certificates?q=www")
        assert page.goes_to == "login?next=certificates%3Fq%3Dwww"
        login = await browser.follow(page)
        assert (await browser.submit(login.form("login"), secret="admin")).goes_to == "certificates?q=www"
        assert (await browser.get("certificates?q=www")).status == 200


async def test_a_program_without_credentials_is_refused_and_not_led_anywhere() -> None:
    async with open_api() as api:
        page = await Browser(api).json("certificates")
        assert (page.status, page.json["type"]) == (401, "/problems/not-authenticated")


async def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites() -> None:
    async with open_api() as api:
        browser = Browser(api)
        login = await browser.get("login")
        page = await browser.submit(login.form("login"), secret="admin")
        cookie = next(one for one in page.headers.getlist("Set-Cookie") if one.startswith("acme_manager_session="))
        assert {"HttpOnly", "SameSite=Lax"} <= {part.strip() for part in cookie.split(";")}
        assert "Path" not in cookie  # the folder of the page, whatever the prefix
        assert "Secure" not in cookie
        configure(api, external_url="https://acme.example.com/acme")
        page = await browser.submit((await browser.get("login")).form("login"), secret="admin")
        assert all("Secure" in one for one in page.headers.getlist("Set-Cookie") if "session=" in one)


@pytest.mark.parametrize("secret", ["", "wrong", "d3Jvbmc6d3Jvbmc=", "ä" * 5000])
async def test_what_is_wrong_is_told_and_lets_nobody_in(secret: str) -> None:
    async with open_api() as api:
        browser = Browser(api)
        page = await browser.submit((await browser.get("login?next=tokens")).form("login"), secret=secret)
        assert page.status == 401
        assert page.said
        assert page.form("login").values["next"] == "tokens"
        assert secret == "" or secret not in page.body
        assert (await browser.get("tokens")).status == 303


async def test_who_is_wrong_too_often_has_to_wait_even_when_right() -> None:
    async with open_api() as api:
        browser = Browser(api)
        form = (await browser.get("login")).form("login")
        for _ in range(10):
            assert (await browser.submit(form, secret="wrong")).status == 401
        page = await browser.submit(form, secret="admin")
        assert page.status == 429
        assert int(page.headers["Retry-After"]) >= 1
        assert api.served("acme_manager_ui_logins_total", outcome="refused") == 10
        assert api.served("acme_manager_ui_logins_total", outcome="throttled") == 1


async def test_a_log_in_form_of_another_browser_is_refused() -> None:
    async with open_api() as api:
        foreign = (await Browser(api).get("login")).form("login")
        browser = Browser(api)
        await browser.get("login")
        assert (await browser.submit(foreign, secret="admin")).status == 403


async def test_a_session_ends_with_its_token() -> None:
    clock = MovableClock()
    async with open_api(clock=clock) as api:
        ends = format_time(NOW + timedelta(minutes=5))
        browser = await owner(api, Scope.READ, expires=ends)
        assert (await browser.get()).status == 200
        clock.at = NOW + timedelta(minutes=6)
        assert (await browser.get()).status == 303


async def test_a_session_ends_when_its_token_is_replaced_revoked_or_given_other_rights() -> None:
    async with open_api() as api:
        tokens = api.world.state.tokens
        for change in ({"token_hash": hash_secret("new")}, {"scope": ()}, {"username": "bob"}, None):
            browser = await owner(api, Scope.READ)
            assert (await browser.get()).status == 200
            (id, token), *_ = tokens.items()
            if change is None:
                tokens.remove(id)
            else:
                tokens.put(id, attrs.evolve(token, **change))
            assert (await browser.get()).status == 303, change


async def test_a_session_of_the_api_key_ends_when_the_key_is_changed() -> None:
    async with open_api() as api:
        browser, settings = await administrator(api), api.services.settings
        common = attrs.evolve(settings.common, api_key_hash=hash_secret("another"))
        settings.go_by(attrs.evolve(settings.config, common=common))
        assert (await browser.get()).status == 303


async def test_who_logs_out_is_out_on_every_node_even_with_a_copy_of_the_cookie() -> None:
    async with open_api() as api:
        browser = await administrator(api)
        page = await browser.get()
        cookie = browser.cookie("acme_manager_session")
        assert (await browser.submit(page.form("logout"))).goes_to == "login?ended=1"
        assert (await browser.get()).status == 303
        assert await api.services.sessions.open(cookie) is None


async def test_logging_out_works_without_a_leader_too() -> None:
    cluster = Follower()
    async with open_api(replaced={"cluster": cluster}, waits=SHORT) as api:
        browser = await administrator(api)
        page = await browser.submit((await browser.get()).form("logout"))
        assert page.goes_to == "login?ended=1"
        assert (await browser.get()).status == 303


async def test_a_node_that_has_read_the_key_once_opens_sessions_while_storage_is_away() -> None:
    async with open_api() as api:
        browser = await administrator(api)
        api.world.storage.down = StorageUnavailable("sealed")
        assert (await browser.get()).status == 200


async def test_the_public_sees_pages_without_buttons_where_that_is_configured() -> None:
    async with open_api() as api:
        configure(api, public_read=True)
        browser = Browser(api)
        page = await browser.get("tokens")
        assert page.status == 200
        assert not page.root.all("form", method="post")
        assert (await browser.get("token-create")).goes_to.startswith("login?next=")


async def test_a_form_without_the_token_of_the_session_is_refused() -> None:
    async with open_api() as api:
        browser = await administrator(api)
        form = (await browser.get("token-create")).form("token-create")
        other = await (await administrator(api)).get("token-create")
        for value in ((), "", "x", other.form("token-create").values["form_token"]):
            page = await browser.submit(form, username="alice", form_token=value)
            assert page.status == 403
            assert "token" in page.said
        assert not list(api.world.state.tokens.items())


@pytest.mark.parametrize(
    ("asked", "goes"),
    [
        ("tokens", "tokens"), ("certificate?owner=a&name=b%2Fc", "certificate?owner=a&name=b%2Fc"), ("./", "./"),
        ("./?q=x", "./?q=x"), ("", ""), ("?q=x", ""),
        ("//evil.example", ""), ("https://evil.example", ""), ("/\\evil", ""), ("login", ""), ("logout", ""),
        ("javascript:alert(1)", ""), ("tokens\r\nSet-Cookie: x", ""), ("../api/v1/token", ""),
    ],
)  # fmt: skip
def test_one_is_led_to_pages_of_ours_only(asked: str, goes: str) -> None:
    assert own_page(asked) == goes


async def test_a_log_in_at_another_node_is_done_by_the_leader_and_without_one_here() -> None:
    leader = Recorder()
    async with serving(leader.app) as served:
        cluster = Follower(served.url)
        async with open_api(replaced={"cluster": cluster}, waits=SHORT) as api:
            browser = Browser(api)
            form = (await browser.get("login")).form("login")
            assert (await browser.submit(form, secret="admin")).body == "{}"
            assert b"secret=admin" in leader.bodies[-1]
            cluster.url = "http://127.0.0.1:1"
            assert (await browser.submit(form, secret="admin")).goes_to == "./"
            cluster.url = None
            form = (await browser.get("login")).form("login")
            assert (await browser.submit(form, secret="admin")).goes_to == "./"
