"""Log-in at an OpenID Connect provider, from the button to the page that one wanted, and each way in which it fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import attrs
import httpx
import pytest

from acme_manager.config.ui import OidcConfig
from acme_manager.domain.oidc import OidcOwner
from acme_manager.domain.token import Scope
from acme_manager.errors import StorageUnavailable
from acme_manager.oidc.provider import OpenIdProviders
from tests.fakes.oidc import CLIENT_ID, CLIENT_SECRET, ISSUER, FakeProvider
from tests.unit.api.test_audit import audited, entries
from tests.unit.api.world import Api, open_api
from tests.unit.services.cataloguing import certificate
from tests.unit.services.world import FixedClock, MovableClock
from tests.unit.web.browser import Browser, Page
from tests.unit.web.test_login import configure

OUTSIDE = "https://acme.example"
OIDC = OidcConfig(
    issuer_url=ISSUER,
    client_id=CLIENT_ID,
    client_secret=CLIENT_SECRET,
    admin_groups=("root",),
    owners=(OidcOwner("web-team", "web", (Scope.READ, Scope.CREATE)),),
    label="Example",
)


@attrs.frozen
class Desk:
    """A browser before a node whose people are known to a provider."""

    api: Api
    provider: FakeProvider
    browser: Browser

    async def begin(self, next: str = "") -> str:
        """Where the button leads, if it is to the provider."""
        address = "login-oidc" + (f"?{urlencode({'next': next})}" if next else "")
        to = (await self.browser.get(address)).goes_to
        assert to.startswith(f"{ISSUER}/authorize?")
        return to

    async def come_back(self, link: str, **changed: str) -> Page:
        """As the provider sends somebody back who has logged in there."""
        asked = parse_qs(urlsplit(link).query)
        answer = {"state": asked["state"][0], "code": self.provider.authorize(link), "iss": ISSUER} | changed
        return await self.browser.get(f"login-callback?{urlencode(answer)}")


@asynccontextmanager
async def open_desk(config: OidcConfig = OIDC, outside: str = OUTSIDE, **world: Any) -> AsyncIterator[Desk]:
    provider = FakeProvider()
    async with open_api(replaced={"oidc": OpenIdProviders(FixedClock(), provider)}, **world) as api:
        configure(api, oidc=config, external_url=outside)
        yield Desk(api, provider, Browser(api))


async def test_an_owner_gets_what_their_group_may_and_to_the_page_they_wanted() -> None:
    async with open_desk() as desk, audited(desk.api):
        for one in (certificate("hers.example", "web"), certificate("other.example", "alice")):
            desk.api.world.state.publish(one)
        wanted = await desk.browser.get("certificates?q=example")
        login = await desk.browser.follow(wanted)
        (button,) = [one for one in login.root.all("a") if one.text == "Log in with Example"]
        page = await desk.browser.get(button["href"])
        assert "Secure" in page.headers["Set-Cookie"]
        assert "HttpOnly" in page.headers["Set-Cookie"]
        page = await desk.come_back(page.goes_to)
        assert page.goes_to == "certificates?q=example"
        page = await desk.browser.follow(page)
        assert "hers.example" in page.text
        assert "other.example" not in page.body
        home = await desk.browser.get()
        assert "Owner web, may create, read." in home.id("account-menu").text
        form = home.form("logout").with_({"owner": "alice", "issuer": "test", "domain": "new.example"})
        assert (await desk.browser.post("certificate-request", form)).status == 404
        page = await desk.browser.post("certificate-request", form | {"owner": "web"})
        assert page.goes_to.startswith("certificate?owner=web")
        assert (await desk.browser.get("tokens")).status == 403
        assert (await desk.browser.get("certificate-delete?owner=web&issuer=le&domain=hers.example")).status == 403
        noted = [(one["action"], one["actor"], one["status"]) for one in reversed(await entries(desk.api))]
        assert noted[0] == ("login", "oidc alice", 303)
        assert noted[1:] == [("certificate.request", "oidc alice", status) for status in (404, 303)]


async def test_an_administrator_does_everything_and_logs_out_at_the_provider_too() -> None:
    async with open_desk() as desk:
        desk.provider.claims["groups"] = ["root", "web-team"]
        assert (await desk.come_back(await desk.begin())).goes_to == "./"
        page = await desk.browser.get("token-create")
        assert page.status == 200
        out = await desk.browser.follow(await desk.browser.submit(page.form("logout")))
        (link,) = [one["href"] for one in out.root.all("a") if one["href"].startswith(ISSUER)]
        assert parse_qs(urlsplit(link).query)["post_logout_redirect_uri"] == [f"{OUTSIDE}/ui/login"]
        assert (await desk.browser.get("tokens")).status == 303
        desk.provider.answers["openid-configuration"] = httpx.ConnectError("away")
        assert (await desk.browser.get("login?ended=1")).status == 200


async def test_who_is_in_no_group_that_counts_is_told_so_and_stays_out() -> None:
    async with open_desk() as desk:
        desk.provider.claims["groups"] = ["others"]
        page = await desk.come_back(await desk.begin("tokens"))
        assert page.status == 403
        assert "web-team" in page.said
        assert page.form("login").values["next"] == "tokens"
        assert (await desk.browser.get()).status == 303
        assert desk.api.served("acme_manager_ui_logins_total", outcome="refused") == 1


async def test_a_name_that_means_harm_makes_no_owner() -> None:
    async with open_desk(attrs.evolve(OIDC, owners=(), own_username_scope=tuple(Scope))) as desk:
        for name in ("../web", "web/x", "<script>/", "a\x00b", " a", ".a"):
            desk.provider.claims |= {"groups": [], "preferred_username": name}
            page = await desk.come_back(await desk.begin())
            assert page.status == 403, name
            assert not [one for one in page.root.all("script") if "src" not in one.attributes]
        desk.provider.claims["preferred_username"] = "<b>carol</b>".replace("/", "")
        assert (await desk.come_back(await desk.begin())).goes_to == "./"
        page = await desk.browser.get()
        assert "<b>" not in page.body
        assert "<b>carol<b>" in page.id("account-menu").text


@pytest.mark.parametrize(
    ("changed", "status", "words"),
    [
        ({"state": "of another"}, 401, "no log-in that was begun in this browser"),
        ({"state": ""}, 401, "no log-in that was begun in this browser"),
        ({"iss": "https://evil.example"}, 401, "another provider"),
        ({"code": ""}, 401, "has no code"),
        ({"code": "stolen"}, 401, "took too long"),
        ({"error": "access_denied", "error_description": "<b>no</b>"}, 401, "broken off"),
    ],
)
async def test_an_answer_that_does_not_fit_lets_nobody_in(changed: dict[str, str], status: int, words: str) -> None:
    async with open_desk() as desk:
        page = await desk.come_back(await desk.begin(), **changed)
        assert page.status == status
        assert words in page.said
        assert "<b>" not in page.body
        assert not [one for one in page.headers.getlist("Set-Cookie") if one.startswith("acme_manager_session=")]
        assert (await desk.browser.get()).status == 303


async def test_the_answer_counts_in_the_browser_that_asked_and_once() -> None:
    async with open_desk() as desk:
        link = await desk.begin()
        other = attrs.evolve(desk, browser=Browser(desk.api))
        page = await other.come_back(link)
        assert page.status == 401
        assert "begin again" in page.said
        state, code = parse_qs(urlsplit(link).query)["state"][0], desk.provider.authorize(link)
        back = f"login-callback?{urlencode({'state': state, 'code': code})}"
        assert (await desk.browser.get(back)).goes_to == "./"
        assert (await desk.browser.get(back)).status == 401  # the cookie of the attempt is gone
        await other.begin()
        assert (await other.browser.get(back)).status == 401  # it belongs to another attempt


async def test_what_is_sealed_for_one_thing_opens_nothing_else() -> None:
    async with open_desk() as desk:
        await desk.come_back(await desk.begin())
        session = desk.browser.cookie("acme_manager_session")
        await desk.begin()
        attempt = desk.browser.cookie("acme_manager_oidc")
        stranger = desk.api.client
        for cookies in (f"acme_manager_session={attempt}", f"acme_manager_oidc={session}; acme_manager_session=x"):
            for path in ("/ui/", "/ui/login-callback?state=x&code=y"):
                answered = await stranger.get(path, headers={"Cookie": cookies})
                assert answered.status_code in {303, 401}
                assert "acme_manager_session=g" not in str(answered.headers.getlist("Set-Cookie"))


async def test_who_takes_too_long_begins_again() -> None:
    clock = MovableClock()
    async with open_desk(clock=clock) as desk:
        link = await desk.begin()
        clock.at += timedelta(minutes=10, seconds=1)
        page = await desk.come_back(link)
        assert page.status == 401
        assert "longer than 10 minutes" in page.said


async def test_while_the_provider_is_away_keys_and_tokens_still_open() -> None:
    async with open_desk() as desk:
        desk.provider.answers["openid-configuration"] = httpx.ConnectError("away")
        page = await desk.browser.get("login-oidc?next=tokens")
        assert page.status == 503
        assert page.said
        assert (await desk.browser.submit(page.form("login"), secret="admin")).goes_to == "tokens"


async def test_a_provider_that_goes_away_in_between_is_no_fault_of_who_logs_in() -> None:
    async with open_desk() as desk:
        for _ in range(12):
            link = await desk.begin()
            desk.provider.answers["token"] = httpx.ConnectError("away")
            assert (await desk.come_back(link)).status == 503
            desk.provider.answers.clear()
        assert (await desk.come_back(await desk.begin())).goes_to == "./"


async def test_a_prefix_of_the_outside_address_is_kept() -> None:
    async with open_desk(outside="https://proxy.example/certs") as desk:
        link = await desk.begin()
        assert parse_qs(urlsplit(link).query)["redirect_uri"] == ["https://proxy.example/certs/ui/login-callback"]


@pytest.mark.parametrize(
    "next", ["https://evil.example", "//evil.example", "/x", "javascript:alert(1)", "a\r\nb", "logout"]
)
async def test_nobody_is_led_elsewhere_afterwards(next: str) -> None:
    async with open_desk() as desk:
        assert (await desk.come_back(await desk.begin(next))).goes_to == "./"


async def test_guesses_are_throttled_here_too() -> None:
    async with open_desk() as desk:
        for _ in range(10):
            assert (await desk.browser.get("login-callback?state=x&code=y")).status == 401
        page = await desk.browser.get("login-callback?state=x&code=y")
        assert page.status == 429
        assert int(page.headers["Retry-After"]) >= 1
        assert (await desk.browser.get("login-oidc")).status == 429


async def test_without_storage_or_without_a_provider_nothing_begins() -> None:
    async with open_desk() as desk:
        desk.api.world.storage.down = StorageUnavailable("sealed")
        assert (await desk.browser.get("login-oidc")).status == 503
    async with open_api() as api:
        page = await Browser(api).get("login-oidc")
        assert page.status == 401
        assert "not configured" in page.said
        assert not (await Browser(api).get("login")).root.all("a", href="login-oidc")
