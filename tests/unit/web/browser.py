"""A browser without a script, in process: it keeps cookies, fills in the forms that pages have, and sends them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import attrs
from quart import Response
from werkzeug.datastructures import Headers

from acme_manager.domain.token import Scope
from tests.unit.api.world import Api

API_KEY = "admin"
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
_INLINE = frozenset({"a", "code", "em", "strong", "time"})
Values = Mapping[str, "str | tuple[str, ...]"]


@attrs.define(eq=False)
class Element:
    """A part of a page. `text` is what is read of it, with single spaces."""

    tag: str
    attributes: dict[str, str] = attrs.field(factory=dict)
    parts: list[Element | str] = attrs.field(factory=list)

    def __getitem__(self, attribute: str) -> str:
        return self.attributes[attribute]

    @property
    def text(self) -> str:
        return " ".join("".join(self._texts()).split())

    def all(self, tag: str = "", **wanted: str) -> list[Element]:
        """The elements in it with that tag and these attributes, in order. `class_` finds one class among several."""
        return [one for one in self._inside() if _fits(one, tag, wanted)]

    def one(self, tag: str = "", **wanted: str) -> Element:
        """The only such element; it must be there."""
        found = self.all(tag, **wanted)
        assert len(found) == 1, f"{len(found)} elements <{tag}> with {wanted}"
        return found[0]

    def _inside(self) -> Iterator[Element]:
        for part in self.parts:
            if isinstance(part, Element):
                yield part
                yield from part._inside()

    def _texts(self) -> Iterator[str]:
        for part in self.parts:
            if isinstance(part, str):
                yield part
            elif part.tag in _INLINE:
                yield from part._texts()
            else:
                yield from (" ", *part._texts(), " ")


@attrs.frozen(kw_only=True)
class Page:
    """What came of a request. `root` is the document, `said` what its notes and errors say."""

    status: int
    headers: Headers
    body: str
    root: Element

    @property
    def text(self) -> str:
        return self.root.one("body").text

    @property
    def said(self) -> str:
        return " ".join(one.text for one in self.root.all(class_="note"))

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def goes_to(self) -> str:
        """Where a redirect leads, relative to the folder of the pages."""
        assert self.status == 303, (self.status, self.body)
        return self.headers["Location"]

    def id(self, name: str) -> Element:
        return self.root.one(id=name)

    def wrong(self) -> dict[str, str]:
        """What is wrong with which field."""
        fields = [one for one in self.root.all(class_="wrong") if one.attributes.get("id", "").startswith("field-")]
        return {one["id"].removeprefix("field-"): one.one(class_="wrong-text").text for one in fields}

    def form(self, action: str) -> Form:
        """The only form that is sent there."""
        return Form.read(self.root.one("form", action=action))

    def has_form(self, action: str) -> bool:
        return bool(self.root.all("form", action=action))


@attrs.frozen
class Form:
    """A form and what is in it. A box that is not ticked is not there."""

    action: str
    method: str
    values: dict[str, str | tuple[str, ...]]

    @classmethod
    def read(cls, element: Element) -> Form:
        found: dict[str, list[str]] = {}
        for field in element.all():
            if field.attributes.get("name") and (value := _value(field)) is not None:
                found.setdefault(field["name"], []).append(value)
        values = {name: values[0] if len(values) == 1 else tuple(values) for name, values in found.items()}
        return cls(element["action"], element.attributes.get("method", "get"), values)

    def with_(self, values: Values) -> dict[str, str | tuple[str, ...]]:
        """Its values, some of them changed. An empty tuple takes the field away, as an unticked box is."""
        return {**self.values, **values}


@attrs.define
class Browser:
    """Somebody at the pages of an API in memory."""

    api: Api
    _client: Any = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._client = self.api.client

    async def log_in(self, secret: str = API_KEY) -> Browser:
        """As an administrator with the API key, else with a token."""
        page = await self.get("login")
        assert (await self.submit(page.form("login"), secret=secret)).goes_to == "./"
        return self

    def cookie(self, name: str) -> str:
        """The value that it has been given."""
        return next(str(one.value) for one in self._client.cookie_jar if one.name == name)

    async def get(self, address: str = "", **headers: str) -> Page:
        """A page by its relative address."""
        return await self._answer(await self._client.get(f"/ui/{address.removeprefix('./')}", headers=headers))

    async def json(self, address: str = "") -> Page:
        """The same for a program."""
        return await self.get(address, Accept="application/json")

    async def submit(self, form: Form, **changed: str | tuple[str, ...]) -> Page:
        """Send a form, with other values in some of its fields."""
        values = form.with_(changed)
        if form.method == "get":
            return await self.get(f"{form.action}?{urlencode(values, doseq=True)}")
        return await self.post(form.action, values)

    async def post(self, address: str, values: Values) -> Page:
        """Send whatever, as no page of ours would."""
        return await self._answer(await self._post(address, values))

    async def raw(self, address: str, values: Values) -> bytes:
        """The same, for what is answered with a file that is no text."""
        content = await (await self._post(address, values)).get_data(as_text=False)
        assert isinstance(content, bytes)
        return content

    async def follow(self, page: Page) -> Page:
        """Go where a redirect leads."""
        return await self.get(page.goes_to)

    async def _post(self, address: str, values: Values) -> Response:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answered: Response = await self._client.post(
            f"/ui/{address}", data=urlencode(values, doseq=True), headers=headers
        )
        return answered

    async def _answer(self, response: Response) -> Page:
        body = await response.get_data(as_text=True)
        return Page(status=response.status_code, headers=response.headers, body=body, root=_parsed(body))


async def administrator(api: Api) -> Browser:
    """A browser of somebody with the API key."""
    return await Browser(api).log_in()


async def owner(api: Api, *scopes: Scope, username: str = "alice", **facts: Any) -> Browser:
    """A browser of somebody with a token that has these scopes, or all of them."""
    bearer = api.token(*scopes, username=username, **facts)["Authorization"].removeprefix("Bearer ")
    return await Browser(api).log_in(bearer)


def _fits(one: Element, tag: str, wanted: Mapping[str, str]) -> bool:
    if tag and one.tag != tag:
        return False
    for name, value in wanted.items():
        if name == "class_":
            if value not in one.attributes.get("class", "").split():
                return False
        elif one.attributes.get(name.replace("_", "-")) != value:
            return False
    return True


def _value(field: Element) -> str | None:
    """What a field sends; None: nothing."""
    match field.tag:
        case "input":
            kind, value = field.attributes.get("type", "text"), field.attributes.get("value", "")
            if kind in {"checkbox", "radio"} and "checked" not in field.attributes:
                return None
            return None if kind in {"submit", "file", "button"} else value
        case "textarea":
            return "".join(field._texts())
        case "select":
            options = field.all("option")
            chosen = [one for one in options if "selected" in one.attributes] or options[:1]
            return chosen[0].attributes.get("value", chosen[0].text) if chosen else None
        case _:
            return None


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("")
        self._open = [self.root]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        one = Element(tag, {name: value or "" for name, value in attributes})
        self._open[-1].parts.append(one)
        if tag not in _VOID:
            self._open.append(one)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in {one.tag for one in self._open[1:]}:
            while self._open.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        self._open[-1].parts.append(data)


def _parsed(text: str) -> Element:
    parser = _Parser()
    parser.feed(text)
    parser.close()
    return parser.root
