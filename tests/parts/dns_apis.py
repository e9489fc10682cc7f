"""HTTP APIs of DNS providers, as their documents describe them, in front of a real name server.

What they are told becomes visible in a zone of BIND, so that a CA can look at it.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import math
import re
import secrets
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import attrs

from tests.parts.dns_server import DnsServer
from tests.parts.faults import FaultProxy, Reply, Request, faulty_server


class Writable(Protocol):
    """What becomes of what they are told: a name server, or something in memory."""

    @property
    def zones(self) -> tuple[str, ...]:
        """The zones, without a final dot."""
        ...

    async def add(self, zone: str, name: str, rdtype: str, value: str) -> None:
        """Add a record."""
        ...

    async def remove(self, zone: str, name: str, rdtype: str, *values: str) -> None:
        """Remove the records with these values, or all of a name and type."""
        ...


_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")


def zone_of(zones: Sequence[str], name: str) -> str:
    """The longest of the zones that a name is in."""
    return max((zone for zone in zones if name == zone or name.endswith(f".{zone}")), key=len)


def header(request: Request, name: str) -> str:
    """A header's value, empty when it is missing."""
    return dict(request.headers).get(name.lower().encode(), b"").decode()


def reply(status: int, document: object, **headers: str) -> Reply:
    """A document as JSON."""
    given = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
    return Reply(
        status=status, headers=((b"Content-Type", b"application/json"), *given), body=json.dumps(document).encode()
    )


# --- acme-dns ----------------------------------------------------------------------------------------------------


@attrs.define
class AcmeDns:
    """https://github.com/joohoi/acme-dns: accounts with two values each, of which an update replaces the older."""

    dns: Writable
    zone: str
    registration: bool = True
    accounts: dict[str, dict[str, Any]] = attrs.field(factory=dict)  # by user name
    values: dict[str, list[str]] = attrs.field(factory=dict)  # by subdomain, the older first

    def account(self, allowed: Sequence[str] = ()) -> dict[str, Any]:
        """Register one."""
        subdomain, username = str(uuid.uuid4()), str(uuid.uuid4())
        account = {
            "username": username,
            "password": secrets.token_urlsafe(30),
            "fulldomain": f"{subdomain}.{self.zone}",
            "subdomain": subdomain,
            "allowfrom": list(allowed),
        }
        self.accounts[username], self.values[subdomain] = account, []
        return account

    async def answer(self, request: Request) -> Reply:
        """Its API."""
        if request.line == "POST /register" and self.registration:
            return reply(201, self.account((json.loads(request.body or b"{}") or {}).get("allowfrom") or ()))
        if request.line != "POST /update":
            return reply(404, {"error": "not found"})
        account = self.accounts.get(header(request, "X-Api-User"), {})
        asked = json.loads(request.body)
        if account.get("password") != header(request, "X-Api-Key") or account["subdomain"] != asked["subdomain"]:
            return reply(401, {"error": "forbidden"})
        if not _VALUE.fullmatch(asked["txt"]):
            return reply(400, {"error": "bad_txt"})
        await self._update(account, asked["txt"])
        return reply(200, {"txt": asked["txt"]})

    async def _update(self, account: Mapping[str, Any], value: str) -> None:
        values = self.values[account["subdomain"]]
        values[:] = [*values, value][-2:]
        await self.dns.remove(self.zone, account["fulldomain"], "TXT")
        for one in values:
            await self.dns.add(self.zone, account["fulldomain"], "TXT", f'"{one}"')


@asynccontextmanager
async def acme_dns(dns: Writable, zone: str) -> AsyncIterator[tuple[AcmeDns, FaultProxy]]:
    """Start one that answers for a zone."""
    server = AcmeDns(dns, zone)
    async with faulty_server(server.answer) as at:
        yield server, at


# --- httpreq -----------------------------------------------------------------------------------------------------


@attrs.define
class HttpReq:
    """What lego's provider `httpreq` talks to, in both modes, with basic authentication."""

    dns: Writable
    user: str = "lego"
    password: str = attrs.field(factory=lambda: secrets.token_urlsafe(20), repr=False)
    bodies: list[dict[str, str]] = attrs.field(factory=list)

    async def answer(self, request: Request) -> Reply:
        """Its API."""
        login = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        if header(request, "Authorization") != f"Basic {login}":
            return Reply(status=401, body=b"who are you?")
        body = json.loads(request.body)
        self.bodies.append(body)
        name, value = body.get("fqdn", "").rstrip("."), body.get("value", "")
        if "keyAuth" in body:
            assert body["keyAuth"].split(".")[0] == body["token"]
            name, value = f"_acme-challenge.{body['domain']}", _digest(body["keyAuth"])
        change = self.dns.add if request.line == "POST /present" else self.dns.remove
        await change(zone_of(self.dns.zones, name), name, "TXT", f'"{value}"')
        return Reply(status=200)


@asynccontextmanager
async def httpreq(dns: Writable) -> AsyncIterator[tuple[HttpReq, FaultProxy]]:
    """Start one for all zones of a server."""
    server = HttpReq(dns)
    async with faulty_server(server.answer) as at:
        yield server, at


def _digest(key_authorization: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(key_authorization.encode()).digest()).rstrip(b"=").decode()


# --- Cloudflare --------------------------------------------------------------------------------------------------


@attrs.define
class Cloudflare:
    """https://developers.cloudflare.com/api: zones and their DNS records, with envelopes, pages and error codes."""

    dns: Writable
    records: dict[str, dict[str, dict[str, Any]]]  # by zone id and record id
    zones: dict[str, dict[str, str]]  # by id
    largest_page: int = 2  # so that there are pages
    email: str = "ops@example.org"
    key: str = attrs.field(factory=lambda: secrets.token_hex(18), repr=False)
    tokens: dict[str, str] = attrs.field(
        factory=dict, repr=False
    )  # token to its permissions: `zone`, `dns`, `zone dns`
    _ids: itertools.count[int] = attrs.field(factory=itertools.count)

    def token(self, permissions: str) -> str:
        """A new token."""
        token = secrets.token_urlsafe(30)
        self.tokens[token] = permissions
        return token

    async def answer(self, request: Request) -> Reply:
        """Its API."""
        url = urlsplit(request.target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        path = url.path.removeprefix("/client/v4").strip("/").split("/")
        permission = self._permissions(request)
        if isinstance(permission, Reply):
            return permission
        if path == ["zones"]:
            found = [one for one in self.zones.values() if one["name"] == query.get("name", one["name"])]
            return self._page(found if "zone" in permission else [], query)
        if len(path) < 3 or path[1] not in self.zones or path[2] != "dns_records":
            return _errors(404, (7003, f"Could not route to {url.path}, perhaps your object identifier is invalid?"))
        if "dns" not in permission:
            return _errors(403, (10000, "Authentication error"))
        records = self.records[path[1]]
        match request.method, path[3:]:
            case "GET", []:
                wanted = {name: query[name] for name in ("type", "name") if name in query}
                return self._page([one for one in records.values() if wanted.items() <= one.items()], query)
            case "POST", []:
                return await self._create(self.zones[path[1]]["name"], records, json.loads(request.body))
            case "DELETE", [one]:
                if one not in records:
                    return _errors(404, (81044, "Record does not exist."))
                gone = records.pop(one)
                await self.dns.remove(self.zones[path[1]]["name"], gone["name"], "TXT", gone["content"])
                return _result({"id": one})
            case _:
                return _errors(405, (10405, "Method not allowed for this authentication scheme"))

    def _permissions(self, request: Request) -> str | Reply:
        if header(request, "X-Auth-Key"):
            if (header(request, "X-Auth-Email"), header(request, "X-Auth-Key")) == (self.email, self.key):
                return "zone dns"
            return _errors(403, (9103, "Unknown X-Auth-Key or X-Auth-Email"))
        kind, _, token = header(request, "Authorization").partition(" ")
        if kind != "Bearer" or len(token) < 30:
            return _errors(400, (6003, "Invalid request headers"), (6111, "Invalid format for Authorization header"))
        if token not in self.tokens:
            return _errors(403, (9109, "Invalid access token"))
        return self.tokens[token]

    async def _create(self, zone: str, records: dict[str, dict[str, Any]], asked: dict[str, Any]) -> Reply:
        if asked["type"] != "TXT" or not (asked["ttl"] == 1 or 60 <= asked["ttl"] <= 86400):
            return _errors(400, (9021, "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic."))
        same = {name: asked[name] for name in ("type", "name", "content")}
        if any(same.items() <= one.items() for one in records.values()):
            return _errors(400, (81058, "An identical record already exists."))
        record = {"id": f"{next(self._ids):032x}", **asked}
        records[record["id"]] = record
        await self.dns.add(zone, asked["name"], "TXT", asked["content"])
        return _result(record)

    def _page(self, found: Sequence[object], query: Mapping[str, str]) -> Reply:
        page, size = int(query.get("page", 1)), min(int(query.get("per_page", 100)), self.largest_page)
        shown = found[(page - 1) * size : page * size]
        info = {
            "page": page,
            "per_page": size,
            "count": len(shown),
            "total_count": len(found),
            "total_pages": math.ceil(len(found) / size),
        }
        return _result(shown, result_info=info)


def _result(result: object, **more: object) -> Reply:
    return reply(200, {"success": True, "errors": [], "messages": [], "result": result, **more})


def _errors(status: int, first: tuple[int, str], *chain: tuple[int, str]) -> Reply:
    error: dict[str, Any] = {"code": first[0], "message": first[1]}
    if chain:
        error["error_chain"] = [{"code": code, "message": message} for code, message in chain]
    return reply(status, {"success": False, "errors": [error], "messages": [], "result": None})


@asynccontextmanager
async def cloudflare(dns: Writable, *, secure: bool = False) -> AsyncIterator[tuple[Cloudflare, FaultProxy]]:
    """Start it with the zones of a server."""
    zones = {hashlib.md5(zone.encode()).hexdigest(): {"name": zone, "status": "active"} for zone in dns.zones}
    for identifier, zone in zones.items():
        zone["id"] = identifier
    server = Cloudflare(dns, {identifier: {} for identifier in zones}, zones)
    async with faulty_server(server.answer, secure=secure) as at:
        yield server, at


# --- exec --------------------------------------------------------------------------------------------------------

_PROGRAM = """#!{python}
import base64, hashlib, sys
import dns.query, dns.tsigkeyring, dns.update
action, *rest = sys.argv[1:]
if rest[0] == "--":
    _, domain, token, key_authorization = rest
    assert key_authorization.split(".")[0] == token
    name = "_acme-challenge." + domain + "."
    digest = hashlib.sha256(key_authorization.encode()).digest()
    value = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
else:
    name, value = rest
print("a program may say what it likes")
assert sys.stdin.read() == ""
zone = max((one for one in {zones!r} if name.endswith("." + one + ".")), key=len)
update = dns.update.UpdateMessage(zone, keyring=dns.tsigkeyring.from_text({{{key.name!r}: {key.secret!r}}}))
(update.add if action == "present" else update.delete)(name, *([1] if action == "present" else []), "TXT", value)
sys.exit(dns.query.tcp(update, {address!r}, port={port}, timeout=5).rcode())
"""


def exec_program(dns: DnsServer, python: str) -> str:
    """A program for lego's provider `exec`, in both modes, that writes to a server."""
    return _PROGRAM.format(python=python, zones=dns.zones, key=dns.key, address=dns.address, port=dns.port)
