"""A node in memory with many certificates, for `scripts/bench ui`, and to look at pages: in disorder, or leaderless.

`python -m tests.bench.ui_server NUMBER [disorder|leaderless]` prints the address, and serves until it is ended. The API
key is `admin`.
"""

from __future__ import annotations

import json
import logging
import random
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta

import attrs
import structlog
import trio

from acme_manager.domain.certificate import Certificate
from acme_manager.domain.gotime import format_time, milliseconds, parse_time, rfc3339
from acme_manager.domain.operation import Operation, OperationKind, Selector
from acme_manager.domain.planning import renewal_date
from acme_manager.domain.renewal_state import RenewalState
from acme_manager.errors import IssuerUnavailable
from acme_manager.services.attempts import PREFIX
from tests.bench.figures import say
from tests.unit.api.served import open_server
from tests.unit.api.world import Api
from tests.unit.services.world import NOW, with_limits

_LIVES = (6, 47, 90, 90, 90, 198, 398)  # days
_WINDOW = "20-30"
_NXDOMAIN = "DNS problem: NXDOMAIN looking up TXT for _acme-challenge.{name} - check that a DNS record exists"


def certificates(number: int, now: datetime) -> Iterator[Certificate]:
    """So many records of all lifetimes, each somewhere between its issuance and its planned renewal."""
    rng = random.Random(7)
    for one in range(number):
        days = rng.choice(_LIVES)
        made = _issued_at(
            now,
            days,
            Certificate(
                domain=f"host{one:05}.{rng.choice(('shop', 'mail', 'intern'))}.example",
                issuer="test",
                owner=f"team{one % 20:02}",
                days=days,
                fingerprint=f"{one:064x}",
                serial=f"{rng.getrandbits(120):x}",
                encryption=rng.choice(("ECDSA-256", "RSA-2048")),
                labels=f"env={rng.choice(('prod', 'test'))},app=a{one % 50}",
            ),
        )
        age = (parse_time(made.renewal_date) - now) * rng.random()
        yield _issued_at(now - age, days, made)


def _issued_at(at: datetime, days: int, one: Certificate) -> Certificate:
    expires, issued = format_time(at + timedelta(days=days)), milliseconds(at)
    made = attrs.evolve(one, expires=expires, issued_at=issued, updated_at=issued)
    return attrs.evolve(made, renewal_date=renewal_date(made, _WINDOW))


def seed(api: Api, number: int) -> None:
    """Have that many."""
    for one in certificates(number, NOW):
        api.world.state.certificates.put(one.id.key, one)


def disturb(api: Api) -> None:
    """Have something of everything that can be wrong, and something under way."""
    state, cluster = api.world.state, api.world.cluster
    found = [one for _, one in state.certificates.items()]
    for number, one in enumerate(found[:60]):
        if number < 40:
            known = RenewalState(
                leaf=one.fingerprint,
                failures=3,
                error="the CA can't be reached: connection refused",
                cause="ca_unavailable",
                cure="another_ca",
                retry_at=NOW + timedelta(minutes=number + 1),
            )
        elif number < 45:
            error = _NXDOMAIN.format(name=one.domain)
            known = RenewalState(
                leaf=one.fingerprint, failures=4, error=error, cause="dns", retry_at=NOW + timedelta(hours=2)
            )
            _attempt(api, one, outcome="failed", error=error, problem=f"urn:ietf:params:acme:error:dns: {error}")
        else:
            break
        state.renewals.put(one.id.key, known)
    old = attrs.evolve(found[46], expires=format_time(NOW - timedelta(hours=3)), renewal_date="")
    state.certificates.put(old.id.key, old)
    state.certificates.put(found[47].id.key, attrs.evolve(found[47], expires="never"))
    lost = attrs.evolve(found[48], issuer="gone")
    state.certificates.remove(found[48].id.key)
    state.certificates.put(lost.id.key, lost)
    for one in found[50:53]:
        _attempt(api, one, outcome="running", steps=("ordered", "challenge presented"))
    asked = Certificate(owner="team01", issuer="test", domain="new.shop.example")
    _attempt(api, asked, outcome="failed", error="new.shop.example: the DNS provider refused the credentials")
    api.world.findings.note("test", IssuerUnavailable("https://ca.test/dir does not answer: connection refused"))
    api.services.health.latest = {"storage": "Vault is sealed (https://vault.example:8200)"}
    api.services.settings.refused = "issuer.le.dns_challenge: there is no provider 'rout53'"
    with_limits(api.services.settings, "letsencrypt")
    operation = Operation(
        id="3",
        kind=OperationKind.REPLACE,
        selector=Selector(owners=("team03", "team04")),
        started_at=milliseconds(NOW - timedelta(minutes=20)),
        since=milliseconds(NOW - timedelta(minutes=20)),
        total=max(60, len(found) // 5),
    )
    state.operations.put("3", operation)
    for _ in range(300):
        api.world.budgets.spend("test", found[0].identifiers, renewal=False)
    cluster.put("pass/renewal", json.dumps(_round("node-1", "")).encode())
    cluster.put("pass/cleanup", json.dumps(_round("node-1", "the store does not answer")).encode())


def _round(node: str, error: str) -> dict[str, object]:
    at = milliseconds(NOW - timedelta(minutes=4))
    return {"node": node, "interval": 600.0, "began": at, "ended": at, "error": error, "failures": int(bool(error))}


def _attempt(api: Api, one: Certificate, steps: tuple[str, ...] = (), **facts: str) -> None:
    began = rfc3339(NOW - timedelta(minutes=2))
    record = {
        "began": began,
        "reason": "renewal",
        "issuer": "test",
        "steps": [{"step": step, "at": began} for step in steps],
        "records": [],
        **facts,
    }
    if facts["outcome"] == "failed":
        server = {"server": "ns1.example (192.0.2.1)", "complete": False, "words": "has no such record"}
        record |= {"ended": began, "records": [{"name": f"_acme-challenge.{one.domain}", "servers": [server]}]}
    api.world.cluster.put(PREFIX + one.id.key, json.dumps([record]).encode())


async def serve(number: int, situation: str) -> None:
    """Serve until it is ended."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    async with open_server() as server:
        seed(server.api, number)
        if situation == "disorder":
            disturb(server.api)
        if situation == "leaderless":
            server.api.world.cluster.leading = False
        say(server.url)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(serve, int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")
