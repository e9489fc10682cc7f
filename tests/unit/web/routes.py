"""Every route of the pages, with what it takes to ask for one thing there, and who may. Tests walk along this table; a
route that is not in it fails them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from urllib.parse import urlencode

import attrs

from tests.unit.api.world import Api


class Who(Enum):
    """The least that somebody has to be."""

    STRANGER = "has not logged in"
    PUBLIC = "anybody, where ui.public_read is set"
    OWNER = "has logged in"
    SCOPED = "owns it, and has the scope"
    ADMIN = "administrator"


@attrs.frozen(kw_only=True)
class Get:
    """`query` names a thing, with the places of planting.Things; `html` is False for files."""

    who: Who
    query: Mapping[str, str] = {}
    about_one: bool = False  # a thing of an owner: for others it is not there
    html: bool = True


@attrs.frozen(kw_only=True)
class Post:
    """`fields` is a form about a thing, as its page would send it."""

    who: Who
    fields: Mapping[str, str] = {}


_NAMED = {"owner": "{owner}", "name": "{name}"}
_PLAIN = {"owner": "{owner}", "issuer": "test", "domain": "{domain}"}

GETS: Mapping[str, Get] = {
    "ui_home.home": Get(who=Who.PUBLIC),
    "ui_login.login_page": Get(who=Who.STRANGER, query={"next": "certificates?q={name}"}),
    "ui_login_oidc.begin": Get(who=Who.STRANGER),
    "ui_login_oidc.finish": Get(who=Who.STRANGER, query={"state": "x", "code": "{token}"}),
    "ui_events.events": Get(who=Who.PUBLIC, html=False),
    "ui_audit.audit": Get(who=Who.OWNER),
    "ui_audit.verify": Get(who=Who.ADMIN),
    "ui_certificates.certificates": Get(who=Who.PUBLIC),
    "ui_certificates.export": Get(who=Who.PUBLIC, html=False),
    "ui_inventory.inventory": Get(who=Who.PUBLIC),
    "ui_inventory.export": Get(who=Who.PUBLIC, html=False),
    "ui_issuers.issuers": Get(who=Who.PUBLIC),
    "ui_dns.dns": Get(who=Who.PUBLIC),
    "ui_rate_limits.rate_limits": Get(who=Who.PUBLIC),
    "ui_cluster.cluster": Get(who=Who.PUBLIC),
    "ui_cluster.forget_page": Get(who=Who.ADMIN, query={"name": "node-9"}),
    "ui_tokens.tokens": Get(who=Who.PUBLIC),
    "ui_tokens.create_page": Get(who=Who.ADMIN),
    "ui_tokens.replace_page": Get(who=Who.ADMIN, query={"id": "{token}"}),
    "ui_tokens.revoke_page": Get(who=Who.ADMIN, query={"id": "{token}"}),
    "ui_certificate.certificate": Get(who=Who.PUBLIC, query=_NAMED, about_one=True),
    "ui_certificate_new.request_page": Get(who=Who.SCOPED, query=_PLAIN, about_one=True),
    "ui_certificate_update.update_page": Get(who=Who.SCOPED, query=_NAMED, about_one=True),
    "ui_certificate_removal.revoke_page": Get(who=Who.SCOPED, query=_NAMED, about_one=True),
    "ui_certificate_removal.delete_page": Get(who=Who.SCOPED, query=_NAMED, about_one=True),
    "ui_downloads.file": Get(who=Who.SCOPED, query=_PLAIN | {"part": "leaf"}, about_one=True, html=False),
    "ui_downloads.pkcs12_page": Get(who=Who.SCOPED, query=_PLAIN, about_one=True),
    "ui_operations.operations": Get(who=Who.ADMIN),
    "ui_operations.operation": Get(who=Who.ADMIN, query={"id": "{operation}"}),
    "ui_operations.new_page": Get(who=Who.ADMIN, query={"owners": "{owner}"}),
    "ui_operations.abort_page": Get(who=Who.ADMIN, query={"id": "{operation}"}),
}

POSTS: Mapping[str, Post] = {
    "ui_login.logout": Post(who=Who.OWNER),
    "ui_cluster.forget": Post(who=Who.ADMIN, fields={"name": "node-9", "typed": "node-9"}),
    "ui_cluster.resync": Post(who=Who.ADMIN),
    "ui_tokens.create": Post(who=Who.ADMIN, fields={"username": "{owner}", "scope": "read", "duration": "1d"}),
    "ui_tokens.replace": Post(who=Who.ADMIN, fields={"id": "{token}", "username": "{owner}", "scope": "read"}),
    "ui_tokens.revoke": Post(who=Who.ADMIN, fields={"id": "{token}", "typed": "{owner}"}),
    "ui_certificate_new.request": Post(who=Who.SCOPED, fields=_PLAIN | {"domain": "new.{domain}"}),
    "ui_certificate_new.check": Post(who=Who.SCOPED, fields=_PLAIN | {"domain": "new.{domain}"}),
    "ui_certificate_new.dismiss": Post(who=Who.SCOPED, fields=_PLAIN | {"domain": "new.{domain}"}),
    "ui_certificate_update.update": Post(who=Who.SCOPED, fields=_PLAIN | {"labels": "a=b"}),
    "ui_certificate_update.check": Post(who=Who.SCOPED, fields=_PLAIN | {"labels": "a=b"}),
    "ui_certificate_renewal.renew": Post(who=Who.SCOPED, fields=_PLAIN),
    "ui_certificate_removal.revoke": Post(
        who=Who.SCOPED, fields=_PLAIN | {"reason": "superseded", "confirm": "{domain}"}
    ),
    "ui_certificate_removal.delete": Post(who=Who.SCOPED, fields=_PLAIN | {"confirm": "{domain}"}),
    "ui_operations.preview": Post(who=Who.ADMIN, fields={"kind": "renew", "owners": "{owner}"}),
    "ui_operations.start": Post(who=Who.ADMIN, fields={"kind": "renew", "owners": "{owner}", "typed": "3"}),
    "ui_operations.pause": Post(who=Who.ADMIN, fields={"id": "{operation}"}),
    "ui_operations.resume": Post(who=Who.ADMIN, fields={"id": "{operation}"}),
    "ui_operations.abort": Post(who=Who.ADMIN, fields={"id": "{operation}", "typed": "abort"}),
    "ui_downloads.private_key": Post(who=Who.SCOPED, fields=_PLAIN),
    "ui_downloads.pkcs12_file": Post(who=Who.SCOPED, fields=_PLAIN | {"password": "a password of some length"}),
}

ELSEWHERE = frozenset(
    {"ui_login.login", "ui_assets.asset", "ui_home.without_slash"}
    | {"original.index", "original.certificates", "original.tokens"}
)
"""Tested on their own: the log-in, files for anybody, and what leads from other addresses to ours."""


def page_routes(api: Api) -> Iterator[tuple[str, str, str]]:
    """Method, address below `/ui/`, and endpoint of every route of the site that is none of the API's."""
    for rule in api.app.url_map.iter_rules():
        if rule.endpoint.startswith(("ui_", "original.")) and rule.endpoint not in ELSEWHERE:
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                yield method, str(rule).removeprefix("/ui").removeprefix("/"), rule.endpoint


def filled(texts: Mapping[str, str], places: Mapping[str, str]) -> dict[str, str]:
    """A query or a form about certain things."""
    return {name: text.format(**places) for name, text in texts.items()}


def gets(api: Api) -> Sequence[tuple[str, Get]]:
    """All pages, by address."""
    return [
        (path, GETS[endpoint]) for method, path, endpoint in page_routes(api) if method == "GET" and endpoint in GETS
    ]


def posts(api: Api) -> Sequence[tuple[str, Post]]:
    """All forms, by address."""
    return [
        (path, POSTS[endpoint]) for method, path, endpoint in page_routes(api) if method == "POST" and endpoint in POSTS
    ]


def address_of(path: str, one: Get, places: Mapping[str, str]) -> str:
    """The address of a page about certain things."""
    query = urlencode(filled(one.query, places))
    return f"{path}?{query}" if query else path
