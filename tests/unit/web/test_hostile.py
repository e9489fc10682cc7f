"""Texts from outside that mean harm: whatever CAs, DNS servers, hosts, plugins, owners and callers say is mere text."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from acme_manager.dns.protocol import Description
from acme_manager.domain.token import Scope
from acme_manager.errors import IssuerUnavailable, StorageUnavailable
from acme_manager.ring.alone import Alone
from tests.unit.api.world import Api
from tests.unit.web.browser import Browser, Page, administrator, owner
from tests.unit.web.planting import Things, open_planted, words
from tests.unit.web.routes import Who, address_of, gets
from tests.unit.web.test_security import check_headers, check_markup

HARM = "<zqtag onclick=alert(1)>\"'><script>alert(2)</script>javascript:alert(3)\x1b[31m\u202e\u2066"
EVE = Things("eve<zqtag onclick=alert(1)>\"'", "zq", HARM)


class Odd(Alone):
    """A cluster with a member whose name means harm, too."""

    def members(self) -> Any:
        return [
            *super().members(),
            {"name": f"zqmember{HARM}", "state": f"zqstate{HARM}", "address": f"zqaddress{HARM}"},
        ]


def plant_more(api: Api) -> None:
    """What is said to the node itself."""
    known = api.services
    known.issuer_findings.note("test", IssuerUnavailable(f"zqdirectory{HARM}"))
    with suppress(StorageUnavailable), known.passes.noted(f"zqworker{HARM}", 60.0):
        raise StorageUnavailable(f"zqround{HARM}")
    known.health.latest = {"storage": f"zqstorage{HARM}"}
    for plugin in known.settings.common.plugins:
        known.plugins.descriptions._known[plugin.name] = plugin, Description(summary=f"zqsummary{HARM}")
    known.settings.refused = f"zqrefused{HARM}"


def check(page: Page) -> set[str]:
    """The planted words on it, once it is sure that nothing of them is more than text."""
    check_headers(page)
    check_markup(page)
    assert not page.root.all("zqtag")
    for raw in ("<zqtag", "<script>alert", "\x1b", "\u202e", "\u2066"):
        assert raw not in page.body, raw
    return words(page.body)


async def test_whatever_is_said_from_outside_is_text_on_every_page() -> None:
    async with open_planted(EVE, cluster=Odd()) as api:
        plant_more(api)
        seen = set()
        configured = await administrator(api), await owner(api, username=EVE.owner)
        for viewer in configured:
            for path, one in gets(api):
                if path != "events" and one.html and (one.who is not Who.ADMIN or viewer is configured[0]):
                    page = await viewer.get(address_of(path, one, EVE.place))
                    assert page.status < 500, (path, page.said)
                    seen |= check(page)
        assert seen >= {f"zq{word}" for word in WORDS.split()}


WORDS = """
    error problem refusal words record reason failure explanation host why agent fetcher program auditerror auditobject
    auditactor auditsource profile challenge serial directory round summary refused storage member
"""


async def test_what_a_caller_says_of_itself_is_text_too() -> None:
    async with open_planted(EVE) as api:
        admin = await administrator(api)
        token = api.token(Scope.READ, username=EVE.owner)
        headers = token | {
            "User-Agent": "zqagent<zqtag>/1",
            "X-Forwarded-For": "zqforward<zqtag>",
            "X-Request-ID": "zqid<zqtag>",
        }
        path = f"/ui/certificate-file?owner={EVE.owner}&issuer=test&domain={EVE.domain('issued')}&part=leaf"
        answered = await api.client.get(path, headers=headers)
        assert answered.status_code == 200
        assert "<" not in answered.headers["X-Request-ID"]
        await api.services.fetches.look()
        for address in (
            "audit?q=zqforward",
            f"certificate?owner={EVE.owner}&issuer=test&domain={EVE.domain('issued')}",
        ):
            check(await admin.get(address))
        failed = await Browser(api).submit((await Browser(api).get("login")).form("login"), secret=HARM)
        check(failed)


async def test_json_can_not_be_taken_for_a_page() -> None:
    async with open_planted(EVE) as api:
        admin = await administrator(api)
        for path, one in gets(api):
            if path == "events":
                continue
            page = await admin.json(address_of(path, one, EVE.place))
            if page.headers["Content-Type"].startswith(("application/json", "application/problem+json")):
                assert "<" not in page.body, path
                assert json.loads(page.body) is not None
                check_headers(page)
