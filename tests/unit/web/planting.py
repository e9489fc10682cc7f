"""A node full of what two owners have, each thing with a word of its own by which it is known wherever it turns up."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs

from acme_manager.config.dns import DnsCredentials
from acme_manager.config.model import Common, Plugin
from acme_manager.domain.certificate import Certificate
from acme_manager.domain.gotime import rfc3339
from acme_manager.domain.operation import OperationKind
from acme_manager.domain.renewal_state import RenewalState, Suggestion
from acme_manager.domain.report import Installed, Report, Served
from acme_manager.domain.request import OperationParams
from acme_manager.domain.token import Scope, Token, hash_secret
from tests.unit.api.test_audit import audited
from tests.unit.api.world import Api, open_api
from tests.unit.services.cataloguing import certificate
from tests.unit.services.world import NOW, wish, with_limits

_WORD = re.compile(r"zq[a-z]+")


def words(text: str) -> set[str]:
    """The planted words in a text."""
    return set(_WORD.findall(text.lower()))


@attrs.frozen
class Things:
    """What one owner has. Every text is made of one word; `mark` puts the owner's letters into it."""

    owner: str
    prefix: str

    def mark(self, word: str) -> str:
        return f"{self.prefix}{word}"

    @property
    def place(self) -> dict[str, str]:
        """What addresses and forms are filled with."""
        return {
            "owner": self.owner,
            "name": self.mark("name"),
            "domain": f"{self.mark('issued')}.example",
            "token": self.mark("token"),
            "operation": "1",
        }


ALICE, BOB = Things("alice", "mine"), Things("zqbob", "zq")


@asynccontextmanager
async def open_planted(**world: Any) -> AsyncIterator[Api]:
    """Both owners have the same kinds of things, and administrators have things of their own."""
    common = Common(
        rate_limit_enabled=True,
        rate_limit_max_requests=9,
        plugins=(
            Plugin(name="plug", path=Path("/zqpath/plugin"), checksum="zqchecksum", env={"ZQVARIABLE": "zqhidden"}),
        ),
    )
    async with open_api(common=common, **world) as api, audited(api):
        with_limits(api.services.settings, "letsencrypt")
        _configure(api)
        for one in (ALICE, BOB):
            await _plant(api, one)
        await api.services.operations.start(OperationKind.RENEW, OperationParams(owners=(BOB.owner,)), "zqstarter")
        await api.services.fetches.look()
        yield api


def _configure(api: Api) -> None:
    settings = api.services.settings
    sets = {
        one.mark("credential"): DnsCredentials(
            name=one.mark("credential"),
            provider="route53",
            owners=(one.owner,),
            zones=(f"{one.mark('zone')}.example",),
            env={"AWS_SECRET_ACCESS_KEY": "zqhidden"},
        )
        for one in (ALICE, BOB)
    }
    issuers = {
        name: attrs.evolve(one, contact="zqcontact@example.com", eab=True, kid="zqkid", hmac="zqhidden")
        for name, one in settings.issuers.items()
    }
    settings.go_by(attrs.evolve(settings.config, dns_credentials=sets, issuers=issuers))


async def _plant(api: Api, things: Things) -> None:
    mark, owner = things.mark, things.owner
    world, known = api.world, api.services
    token = Token(
        id=mark("token"),
        token_hash=hash_secret("zqhidden"),
        username=owner,
        scope=tuple(Scope),
        domains=(f"*{mark('glob')}.example", f"*{mark('issued')}.example"),
    )
    world.state.tokens.put(token.id, token)
    issued = await world.certificates.request(token, wish(domain=f"{mark('issued')}.example"))
    failing = _certificate(things)
    world.state.publish(failing)
    world.state.publish(certificate(f"{mark('lost')}.example", owner, issuer=mark("issuer"), serial=mark("number")))
    world.state.publish_renewal(failing.id.key, _renewal(failing, mark))
    for key, attempts in _attempts(things, failing):
        world.cluster.put(f"attempt/{key}", json.dumps(attempts).encode())
    served = Served(ok=False, why=mark("why"), fingerprint=mark("seen"))
    installed = Installed(name=failing.name, fingerprint=mark("other"), check=f"{mark('check')}:443", served=served)
    known.reports.take(owner, Report(host=mark("host"), version=mark("agent"), certificates=(installed,)))
    for one in (failing.id, issued.certificate.id):
        known.fetches.note(one, by=f"token {mark('fetcher')}", address="192.0.2.9", user_agent=f"{mark('program')}/1 x")
    facts = {name: mark(f"audit{name}") for name in ("object", "error", "source", "actor")}
    known.audit.note(
        action="certificate.renew", owner=owner, status=500, forwarded_for="", request_id=mark("id"), **facts
    )


def _certificate(things: Things) -> Certificate:
    mark = things.mark
    return certificate(
        f"{mark('domain')}.example",
        things.owner,
        issuer="test",
        name=mark("name"),
        san=f"{mark('san')}.example",
        labels=f"{mark('label')}={mark('value')}",
        serial=mark("serial"),
        profile=mark("profile"),
        dns_challenge=mark("challenge"),
        fingerprint=mark("print"),
        encryption=mark("encryption"),
        age=85,
    )


def _renewal(one: Certificate, mark: Any) -> RenewalState:
    ari = Suggestion(start=NOW, end=NOW + timedelta(days=1), explanation=f"https://ca.test/{mark('explanation')}")
    return RenewalState(
        leaf=one.fingerprint,
        ari=ari,
        failures=3,
        error=mark("failure"),
        cause="dns",
        cure="time",
        waits_for=mark("limit"),
        retry_at=NOW + timedelta(hours=1),
    )


def _attempts(things: Things, failing: Certificate) -> Iterable[tuple[str, list[dict[str, Any]]]]:
    mark, began = things.mark, rfc3339(NOW - timedelta(minutes=5))
    server = {"server": f"{mark('server')}.example", "complete": False, "words": mark("words")}
    record = {
        "name": f"_acme-challenge.{mark('record')}.example",
        "value": mark("proof"),
        "provider": mark("provider"),
        "servers": [server],
    }
    failed = {
        "began": began,
        "outcome": "failed",
        "reason": mark("reason"),
        "issuer": "test",
        "steps": [{"step": "ordered", "at": began}],
        "error": mark("error"),
        "problem": mark("problem"),
        "records": [record],
    }
    yield failing.id.key, [failed]
    yield f"{things.owner}/test/{mark('wanted')}.example", [failed | {"error": mark("refusal")}]
    running = {"began": rfc3339(NOW), "outcome": "running", "reason": "requested", "issuer": "test", "records": []}
    yield f"{things.owner}/test/{mark('running')}.example", [running | {"steps": [{"step": "ordered", "at": began}]}]
