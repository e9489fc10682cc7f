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
    """What one owner has. Every text is made of one word; `mark` puts the owner's letters into it, and what comes after
    words where somebody means harm."""

    owner: str
    prefix: str
    harm: str = ""

    def mark(self, word: str) -> str:
        return f"{self.prefix}{word}{self.harm}"

    def domain(self, word: str) -> str:
        return f"{self.prefix}{word}.example"

    @property
    def name(self) -> str:
        """Of its certificate. Names are checked when they come."""
        return "".join(one for one in self.mark("name") if one.isprintable() and one != "/")

    @property
    def place(self) -> dict[str, str]:
        """What addresses and forms are filled with."""
        return {
            "owner": self.owner,
            "name": self.name,
            "domain": self.domain("issued"),
            "token": self.mark("token"),
            "operation": "1",
        }


ALICE, BOB = Things("alice", "mine"), Things("zqbob", "zq")


@asynccontextmanager
async def open_planted(*owners: Things, **world: Any) -> AsyncIterator[Api]:
    """All owners have the same kinds of things, and administrators have things of their own."""
    common = Common(
        rate_limit_enabled=True,
        rate_limit_max_requests=9,
        plugins=(
            Plugin(name="plug", path=Path("/zqpath/plugin"), checksum="zqchecksum", env={"ZQVARIABLE": "zqhidden"}),
        ),
    )
    async with open_api(common=common, **world) as api, audited(api):
        with_limits(api.services.settings, "letsencrypt")
        api.world.ca.said = attrs.evolve(api.world.ca.said, account="https://ca.test/ouraccount")
        api.services.issuer_findings.note("test", None)
        _configure(api)
        planted = owners or (ALICE, BOB)
        for one in planted:
            await _plant(api, one)
        selected = OperationParams(owners=(planted[-1].owner,))
        await api.services.operations.start(OperationKind.RENEW, selected, f"zqstarter{planted[-1].harm}")
        await api.services.fetches.look()
        yield api


def _configure(api: Api) -> None:
    settings = api.services.settings
    sets = {
        one.mark("credential"): DnsCredentials(
            name=one.mark("credential"),
            provider="route53",
            owners=(one.owner,),
            zones=(one.domain("zone"),),
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
        domains=("*" + things.domain("glob"), "*" + things.domain("issued")),
    )
    world.state.tokens.put(token.id, token)
    issued = await world.certificates.request(token, wish(domain=things.domain("issued")))
    failing = _certificate(things)
    world.state.publish(failing)
    world.state.publish(certificate(things.domain("lost"), owner, issuer=mark("issuer"), serial=mark("number")))
    world.state.publish_renewal(failing.id.key, _renewal(failing, mark))
    for key, attempts in _attempts(things, failing):
        world.cluster.put(f"attempt/{key}", json.dumps(attempts).encode())
    known.reports.take(owner, _report(things, failing.name))
    for one in (failing.id, issued.certificate.id):
        known.fetches.note(one, by=f"token {mark('fetcher')}", address="192.0.2.9", user_agent=f"{mark('program')}/1 x")
    facts = {name: mark(f"audit{name}") for name in ("object", "error", "source", "actor")}
    known.audit.note(
        action="certificate.renew", owner=owner, status=500, forwarded_for="", request_id=mark("id"), **facts
    )


def _certificate(things: Things) -> Certificate:
    mark = things.mark
    return certificate(
        things.domain("domain"),
        things.owner,
        issuer="test",
        name=things.name,
        san=things.domain("san"),
        labels=f"{mark('label')}={mark('value')}",
        serial=mark("serial"),
        profile=mark("profile"),
        dns_challenge=mark("challenge"),
        fingerprint=mark("print"),
        encryption=mark("encryption"),
        age=85,
    )


def _report(things: Things, name: str) -> Report:
    """Hosts can't say everything: reports are checked when they come."""
    why, seen, agent = ("".join(filter(str.isprintable, things.mark(word))) for word in ("why", "seen", "agent"))
    served = Served(ok=False, why=why, fingerprint=seen)
    installed = Installed(name=name, fingerprint=seen, check=f"{things.domain('check')}:443", served=served)
    return Report(host=things.domain("host"), version=agent, certificates=(installed,))


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
    server = {"server": things.domain("server"), "complete": False, "words": mark("words")}
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
