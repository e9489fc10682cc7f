"""Certificates that live for seconds stay valid on every node while leaders die in the middle of renewing them.

A change of leaders takes seconds, too, which is a large part of such a life; so the names are chosen for renewals that
are drawn early. Everything else is as it would be with lives of days.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any

import attrs
import httpx
import trio

from acme_manager.domain.renewal import spread
from acme_manager.structure import background
from tests.integration.cluster.asking import path_of, wish
from tests.integration.cluster.clients import OWNER, Reader
from tests.integration.cluster.observers import OrderBook
from tests.integration.site import eventually, leaf
from tests.parts.cluster import ZONE, Cluster, open_cluster
from tests.parts.faults import FaultProxy, Forward, Hold, HungUp, Reply
from tests.parts.node import Node

LIFE = 24  # seconds
CERTIFICATES = 5
EARLY = 0.15  # of the window
METADATA = "/api/v1/certificate/metadata"
WRITES = "(PUT|POST) /v1/secret/data/certificates/"


@attrs.frozen(kw_only=True)
class Lost(Hold):
    """A request that gets no further than its sender, who dies waiting."""

    async def apply(self, forward: Forward) -> Reply:
        """Never returns."""
        self.reached.set()
        await self.release.wait()
        raise HungUp


@attrs.define
class Watcher(Reader):
    """Reads all certificates from one node, again and again; one that is not valid is as bad as no answer."""

    paths: list[str] = attrs.field(kw_only=True)

    async def _look(self) -> str | None:
        try:
            async with self.node.client() as client:
                for path in tuple(self.paths):
                    answer = await client.get(path, timeout=5)
                    if not answer.is_success:
                        return f"{path}: {answer.status_code} {answer.text}"
                    read, now = leaf(answer.json()), datetime.now(UTC)  # noqa: TID251 what a client sees
                    if not read.not_valid_before_utc <= now < read.not_valid_after_utc:
                        return f"{path}: expired at {read.not_valid_after_utc}, read at {now}"
        except httpx.TransportError as error:
            return repr(error)
        return None


async def test_certificates_stay_valid_while_leaders_die_in_the_middle_of_renewing_them(tmp_path: Path) -> None:
    async with open_cluster(tmp_path, validity=LIFE) as cluster:
        book = OrderBook(cluster.to_ca, cluster.to_bao)
        watchers = [Watcher(node, paths=[]) for node in cluster.nodes]
        domains = list(islice(early_names(), CERTIFICATES))
        async with background(*(one.run for one in watchers)):
            for number, domain in enumerate(domains):
                await make(cluster, domain, by_caller=bool(number))
                for one in watchers:
                    one.paths.append(path_of(domain))
                await trio.sleep(LIFE / 3 / CERTIFICATES)  # so that at any time one of them is renewed soon
            await kill_the_leader(cluster, cluster.to_ca, "POST /finalize-order/")
            await kill_the_leader(cluster, cluster.to_bao, f"{WRITES}{OWNER}/")  # it is issued, and nobody has it
            await eventually(partial(all_renewed, cluster.nodes[0]), within=LIFE)
        await eventually(partial(at_rest, cluster, book, domains), within=10)
        assert [wrong for one in watchers for wrong in one.refused] == []
        assert all(one.answered > LIFE for one in watchers)
        assert all(order.recorded for order in book.orders if order.request)


def early_names() -> Iterator[str]:
    """Names whose renewals are drawn soon after half of their life."""
    names = (f"w{number}.{ZONE}" for number in count())
    return (name for name in names if spread(f"{OWNER}/pebble/{name}") < EARLY)


async def make(cluster: Cluster, domain: str, *, by_caller: bool) -> None:
    """Ask for a certificate, with the caller's key or one that the server makes, and wait until all nodes have it."""
    body = wish(domain) if by_caller else {"issuer": "pebble", "domain": domain}
    async with cluster.nodes[0].client() as client:
        answer = await client.post("/api/v1/certificate", json=body)
    assert answer.status_code == 201, answer.text
    for node in cluster.nodes:
        await eventually(partial(shows, node, domain), within=5)


async def shows(node: Node, domain: str) -> bool:
    return any(one["domain"] == domain for one in await metadata(node))


async def kill_the_leader(cluster: Cluster, proxy: FaultProxy, moment: str) -> None:
    """Kill whoever leads at that moment of its next renewal, start it again, and let its successor catch up."""
    leader, fault = await cluster.wait_until_formed(), Lost()
    proxy.plan(fault, on=moment)
    with trio.fail_after(LIFE):
        await fault.reached.wait()
    leader.program.kill()
    fault.release.set()
    await cluster.start(leader)
    await eventually(partial(nothing_overdue, leader), within=LIFE / 2)


async def nothing_overdue(node: Node) -> bool:
    now = datetime.now(UTC)  # noqa: TID251 the nodes' clock
    return not any(datetime.fromisoformat(one["renewal"]["due"]) <= now for one in await metadata(node))


async def all_renewed(node: Node) -> bool:
    """Each of them, and most of them again."""
    counts = [int(one.get("renewal_count", 0)) for one in await metadata(node)]
    return min(counts) >= 1 and sum(counts) > 1.5 * CERTIFICATES


async def at_rest(cluster: Cluster, book: OrderBook, domains: list[str]) -> bool:
    """Nothing is under way, and all agree: each recorded order has led to one version in storage, and left nothing."""
    stored = {one: await cluster.bao.read(f"certificates/{OWNER}/pebble/{one}") or {} for one in domains}
    versions = [
        (await cluster.bao.api("GET", f"secret/metadata/certificates/{OWNER}/pebble/{one}"))["data"] for one in domains
    ]
    shown = [{one["domain"]: one["serial"] for one in await metadata(node)} for node in cluster.nodes]
    issued = sum(one["renewal_count"] + 1 for one in stored.values())
    return (
        all(one == {domain: secret["serial"] for domain, secret in stored.items()} for one in shown)
        and issued == sum(one["current_version"] for one in versions)
        and issued == sum(order.recorded for order in book.orders)
        and await cluster.bao.keys("certificates/.acme-manager/orders") == []
        and not any([await cluster.dns.txt(f"_acme-challenge.{domain}") for domain in domains])
    )


async def metadata(node: Node) -> list[dict[str, Any]]:
    async with node.client() as client:
        return list((await client.get(METADATA, timeout=5)).raise_for_status().json())
