"""What pages are told has changed: which topic, whose, and since when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import attrs
import trio
from prometheus_client import CollectorRegistry
from trio.testing import MockClock, wait_all_tasks_blocked

from acme_manager.errors import IssuerUnavailable
from acme_manager.ring.alone import Alone
from acme_manager.services.issuer_findings import IssuerFindings
from acme_manager.services.signals import CLUSTER, ISSUERS, Signals
from acme_manager.services.state import State
from acme_manager.structure import background
from tests.unit.services.cataloguing import certificate
from tests.unit.services.world import ALICE, FixedClock


class Growing(Alone):
    def __init__(self) -> None:
        super().__init__()
        self.more: list[dict[str, Any]] = []

    def members(self) -> Any:
        return [*super().members(), *self.more]


@attrs.frozen
class Bench:
    cluster: Growing
    state: State
    findings: IssuerFindings
    signals: Signals

    async def told(self, known: int, owner: str | None) -> set[str]:
        return (await self.signals.wait(known, owner, 0))[1]


@contextmanager
def open_bench() -> Iterator[Bench]:
    cluster, findings = Growing(), IssuerFindings(FixedClock(), CollectorRegistry())
    state = State(cluster)
    signals = Signals(state, cluster, cluster, findings)
    with state.following(), signals.following():
        yield Bench(cluster, state, findings, signals)


async def test_changes_are_told_by_topic_to_administrators_and_to_their_owner_alone() -> None:
    with open_bench() as bench:
        changes: tuple[tuple[Callable[[], object], str], ...] = (
            (partial(bench.state.publish, certificate("a.example", "alice")), "certificates"),
            (partial(bench.cluster.put, "attempt/alice/le/a.example", b"[]"), "attempts"),
            (partial(bench.cluster.put, "report/alice/web-1", b"{}"), "reports"),
            (partial(bench.cluster.remove, "attempt/alice/le/a.example"), "attempts"),
        )
        for change, topic in changes:
            known = bench.signals.count
            change()
            assert topic in await bench.told(known, None)
            assert topic in await bench.told(known, "alice")
            assert await bench.told(known, "bob") == await bench.told(known, "alic") == set()


async def test_what_belongs_to_nobody_is_told_to_everybody() -> None:
    with open_bench() as bench:
        known = bench.signals.count
        bench.state.tokens.put(ALICE.id, ALICE)
        bench.cluster.put("audit/1", b"{}")
        assert await bench.told(known, None) == await bench.told(known, "bob") == {"tokens", "audit"}
        assert await bench.told(bench.signals.count, None) == set()
        assert await bench.told(bench.signals.count + 5, None) == set()


async def test_whoever_waits_is_woken_by_what_concerns_them_and_at_the_latest_in_time(
    autojump_clock: MockClock,
) -> None:
    with open_bench() as bench:
        woken = list[tuple[float, set[str]]]()

        async def follow(owner: str) -> None:
            _, topics = await bench.signals.wait(bench.signals.count, owner, 15)
            woken.append((trio.current_time(), topics))

        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow, "alice")
            nursery.start_soon(follow, "bob")
            await trio.sleep(5)
            bench.state.publish(certificate("a.example", "alice"))
        assert [(at - began, topics) for at, topics in woken] == [(5, {"certificates"}), (15, set())]


async def test_an_orderly_stop_ends_every_wait() -> None:
    with open_bench() as bench, trio.fail_after(5):
        stopping = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bench.signals.close_when, stopping)
            for owner in (None, "alice"):
                nursery.start_soon(bench.signals.wait, bench.signals.count, owner, 1000)
            await wait_all_tasks_blocked()
            stopping.set()
        assert bench.signals.closed
        assert await bench.signals.wait(bench.signals.count, None, 1000) == (bench.signals.count, set())


async def test_members_and_issuers_are_looked_at_every_second(autojump_clock: MockClock) -> None:
    with open_bench() as bench:
        async with background(bench.signals.run):
            await trio.sleep(3)
            known = bench.signals.count
            assert await bench.told(0, None) == set()
            bench.cluster.more.append({"name": "node-9", "state": "ACTIVE", "voter": True})
            await trio.sleep(1.5)
            assert await bench.told(known, "bob") == {CLUSTER}
            known = bench.signals.count
            bench.findings.note("le", IssuerUnavailable("away"))
            await trio.sleep(1.5)
            assert await bench.told(known, None) == {ISSUERS}


async def test_marks_of_another_process_differ() -> None:
    with open_bench() as one, open_bench() as other:
        assert one.signals.mark.endswith(f"-{one.signals.count}")
        assert one.signals.epoch != other.signals.epoch
