"""What every page and every form has to keep, whoever asks: headers, nothing inline, no link that leads elsewhere, only
forms of our own; and that nothing which comes over the wire makes the server fail."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from werkzeug.datastructures import MultiDict
from werkzeug.datastructures.structures import TypeConversionDict

from acme_manager.web.forms import Form
from acme_manager.web.site import HEADERS
from tests.unit.api.world import ADMIN
from tests.unit.web.browser import Browser, Element, Page, administrator, owner
from tests.unit.web.planting import ALICE, open_planted
from tests.unit.web.routes import Who, address_of, filled, gets, posts
from tests.unit.web.test_isolation import NOBODYS, snapshot

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}
OURS = re.compile(r"(\./|[a-z][a-z0-9-]*|static/[a-z.]+|\.\./swagger/index\.html)?(\?[^#\s]*)?(#[\w-]+)?")
LINKS = ("href", "src", "action", "formaction", "data-check", "data-events", "poster", "srcset", "data", "ping")


def check_headers(page: Page) -> None:
    wrong = {name: page.headers.get(name) for name, value in HEADERS.items() if page.headers.get(name) != value}
    assert not wrong
    assert len(page.headers.getlist("Content-Security-Policy")) == 1


def check_markup(page: Page) -> None:
    """Nothing in it that could run or fetch anything but our own script and style sheet."""
    elements = page.root.all()
    assert [one["src"].partition("?")[0] for one in page.root.all("script")] == ["static/app.js"]
    assert not any(one.text for one in page.root.all("script"))
    assert not {one.tag for one in elements} & {"style", "iframe", "object", "embed", "base", "frame", "applet"}
    for one in elements:
        assert not [name for name in one.attributes if name.startswith("on") or name in {"style", "srcdoc"}], one
        for name in LINKS:
            if name in one.attributes:
                check_link(one, one[name])
    for one in page.root.all("meta"):
        assert one.attributes.get("http-equiv") in {None, "refresh"}
        assert "url" not in one.attributes.get("content", "")
    ids = [one["id"] for one in elements if "id" in one.attributes]
    assert len(ids) == len(set(ids)), "an id that is there twice"


def check_link(one: Element, to: str) -> None:
    """It stays in the folder of the pages, but for the API's own page and what a CA says about a renewal."""
    if one.attributes.get("target") == "_blank":
        assert to.startswith(("https://", "http://")), to
        assert {"noopener", "noreferrer"} <= set(one["rel"].split())
        return
    assert OURS.fullmatch(to), to


def check_file(page: Page) -> None:
    assert page.headers["Content-Disposition"].startswith('attachment; filename="')
    assert "html" not in page.headers["Content-Type"]


async def test_pages_have_the_headers_and_nothing_in_them_that_could_run() -> None:
    assert dict(part.split(" ", 1) for part in HEADERS["Content-Security-Policy"].split("; ")) == POLICY
    assert (HEADERS["X-Content-Type-Options"], HEADERS["Cache-Control"]) == ("nosniff", "no-store")
    async with open_planted() as api:
        viewers = [await administrator(api), await owner(api), Browser(api)]
        for viewer in viewers:
            for path, one in gets(api):
                if path == "events":
                    continue  # tests/unit/web/test_live.py
                for places in (ALICE.place, NOBODYS):
                    page = await viewer.get(address_of(path, one, places))
                    check_headers(page)
                    if page.status == 303:
                        check_link(page.root, page.goes_to)
                    elif page.status == 200 and not one.html:
                        check_file(page)
                    else:
                        check_markup(page)
                program = await viewer.json(address_of(path, one, ALICE.place))
                check_headers(program)
        for address in ("nothing-here", "static/nothing", "certificate/", "//evil.example", "..%2f..%2fetc%2fpasswd"):
            page = await viewers[0].get(address)
            check_headers(page)
            assert page.status == 404, address
            check_markup(page)


async def test_a_form_is_taken_from_a_page_of_the_same_session_only() -> None:
    async with open_planted() as api:
        alice, again, admin = await owner(api), await owner(api), await administrator(api)
        own, other, theirs = [(await one.get()).form("logout").values["form_token"] for one in (alice, again, admin)]
        assert len({own, other, theirs}) == 3
        before = snapshot(api)
        for path, form in posts(api):
            viewer, token, foreign = (admin, theirs, own) if form.who is Who.ADMIN else (alice, own, other)
            fields = filled(form.fields, ALICE.place)
            for wrong in (
                {},
                {"form_token": ""},
                {"form_token": "x"},
                {"form_token": foreign},
                {"form_token": token[:-1]},
            ):
                page = await viewer.post(path, fields | wrong)
                assert page.status == 403, (path, wrong)
                assert "PRIVATE" not in page.body
                check_headers(page)
            sent = urlencode(fields | {"form_token": token})
            for site in ("cross-site", "same-site", "nonsense"):
                assert await _status(viewer, path, sent, {"Sec-Fetch-Site": site}) == 403, (path, site)
            # In the address it is no form, and a body that is no form has no fields.
            assert await _status(viewer, f"{path}?{sent}", "", {}) == 403
            assert (
                await _status(viewer, path, json.dumps({"form_token": token}), {"Content-Type": "application/json"})
                == 403
            )
            for program in (ADMIN, api.token()):
                assert await _status(Browser(api), path, sent, program) == 401, path
        assert snapshot(api) == before
        assert (await alice.get()).status == (await admin.get()).status == 200


async def _status(viewer: Browser, path: str, body: str | bytes, headers: dict[str, str]) -> int:
    headers = {"Content-Type": "application/x-www-form-urlencoded"} | headers
    answered = await viewer._client.post(f"/ui/{path}", data=body, headers=headers)
    return int(answered.status_code)


BOMBS = (
    b"&".join(b"a%d=" % number for number in range(2_001)),
    b"a=" + b"x" * 1_048_577,
    b"owner=\xff\xfe&form_token=%ff",
    b"form_token=%00&domain=%00%0d%0a&owner=%ed%a0%80",
    b"=&==&&&;;%&%zz=%zz",
    b"\0" * 1000,
    b"form_token=" + "ä".encode() * 1000,
)


async def test_a_body_that_is_no_sensible_form_is_refused_and_nothing_fails() -> None:
    async with open_planted() as api:
        admin, stranger = await administrator(api), Browser(api)
        for path in [path for path, _form in posts(api)] + ["login"]:
            for bomb in BOMBS:
                for viewer in (admin, stranger):
                    assert 400 <= await _status(viewer, path, bomb, {}) < 500, (path, bomb[:40])


MIXED = "../../etc\0\r\nX: y'\"<>{{7*7}}=,*[\\\u202e\U0001f600"
GARBAGE = ("-1", "9" * 5000, "\u0663", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", MIXED)
OF_ALL = {"form_token", "said"}
SINGLE_THING = ("owner", "issuer", "domain", "name")


class Asked:
    """Which parameters and fields are asked for, whatever handler does so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: set[str] = set()
        for kind in (TypeConversionDict, MultiDict, Form):
            for method in {"get", "getlist", "__getitem__", "all"} & vars(kind).keys():
                monkeypatch.setattr(kind, method, self._noting(getattr(kind, method)))

    def _noting(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def noting(this: object, *arguments: Any, **more: Any) -> Any:
            self.names.update(one for one in arguments[:1] if isinstance(one, str))
            return method(this, *arguments, **more)

        return noting

    def taken(self) -> list[str]:
        names = sorted(one for one in self.names if one not in OF_ALL and not one.startswith("acme_manager_"))
        self.names = set()
        return names


async def test_no_parameter_makes_a_page_fail_whatever_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_planted() as api:
        admin, asked = await administrator(api), Asked(monkeypatch)
        found: dict[str, list[str]] = {}
        for path, one in gets(api):
            if path == "events":
                continue
            asked.taken()
            query = filled(one.query, ALICE.place)
            await admin.get(f"{path}?{urlencode(query)}")
            found[path] = asked.taken()
            for name in {*found[path], *(SINGLE_THING if one.about_one else ())}:
                for text in GARBAGE:
                    page = await admin.get(f"{path}?{urlencode(query | {name: text})}")
                    assert page.status < 500, (path, name, text[:40], page.said)
                    check_headers(page)
            page = await admin.get(f"{path}?{'&'.join(f'{name}=%ff&%ff={name}' for name in found[path])}")
            assert page.status < 500, path
        assert {"q", "sort", "limit", "offset", "columns"} <= set(found["certificates"])  # else it would test nothing
        assert {"from", "to", "cursor"} <= set(found["audit"])
        assert (await admin.get(f"?{urlencode({'said': MIXED})}")).status == 200


async def test_no_field_makes_a_form_fail_whatever_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_planted() as api:
        admin, asked = await administrator(api), Asked(monkeypatch)
        token = (await admin.get()).form("logout").values["form_token"]
        for path, form in posts(api):
            if path == "logout":
                continue
            fields = filled(form.fields, ALICE.place) | {"form_token": token}
            asked.taken()
            await admin.post(path, fields | {"typed": "", "confirm": ""})
            for name in asked.taken():
                for text in ("9" * 5000, MIXED):
                    page = await admin.post(path, fields | {name: text})
                    assert page.status < 500, (path, name, text[:40], page.said)
