from __future__ import annotations

import json
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

from acme_manager.dns.answers import Sight
from acme_manager.dns.challenge import Record
from acme_manager.dns.wire import Server
from acme_manager.domain.certificate import CertificateId
from acme_manager.errors import DnsFailed, IssuanceFailed, Problem
from acme_manager.ports import Step
from acme_manager.ring.alone import Alone
from acme_manager.services.attempts import Attempts
from acme_manager.services.progress import Progress
from tests.fakes.dns import MemoryLookup, memory_dns
from tests.unit.dns.fakes import MemoryProvider
from tests.unit.services.world import ALICE, MovableClock, open_world, wish

ID = CertificateId("alice", "test", "example.com")
NS = Server("192.0.2.1", 53, "ns1.example.com")
WHEN = "2026-11-24T12:00:00Z"


def attempts(
    cluster: Alone | None = None, progress: Progress | None = None, clock: MovableClock | None = None
) -> Attempts:
    return Attempts(cluster or Alone(), progress or Progress(), clock or MovableClock())


async def test_an_issuance_is_noted_with_its_steps_and_its_end() -> None:
    async with open_world() as world:
        await world.certificates.request(ALICE, wish())
        (noted,) = world.certificates.attempts(ID)
    assert noted["outcome"] == "issued"
    assert noted["reason"] == "requested"
    assert noted["issuer"] == "test"
    assert noted["began"] == noted["ended"] == WHEN
    assert noted["steps"][-1] == {"step": "stored", "at": WHEN}


async def test_steps_go_to_the_attempt_of_their_certificate_only() -> None:
    progress = Progress()
    kept, other = attempts(progress=progress), CertificateId("bob", "test", "example.org")
    with kept.following(), kept.noted(ID, "a"), kept.noted(other, "b"):
        progress.publish(ID, Step.ORDERED)
    assert [one["step"] for one in kept.of(ID)[0]["steps"]] == ["ordered"]
    assert kept.of(other)[0]["steps"] == []


async def test_a_failure_is_noted_with_what_the_ca_said_and_the_last_three_are_kept() -> None:
    kept = attempts()
    for number in range(5):
        with pytest.raises(IssuanceFailed), kept.noted(ID, f"attempt {number}"):
            raise IssuanceFailed("the order failed", Problem("urn:ietf:params:acme:error:dns", "no such record"))
    found = kept.of(ID)
    assert [one["reason"] for one in found] == ["attempt 4", "attempt 3", "attempt 2"]
    assert found[0]["outcome"] == "failed"
    assert found[0]["error"] == "the order failed"
    assert found[0]["problem"] == "no such record (urn:ietf:params:acme:error:dns)"


async def test_what_goes_on_is_shown_to_others_every_two_seconds_at_most(autojump_clock: MockClock) -> None:
    cluster = Alone()
    kept, reader = attempts(cluster), attempts(cluster)
    dns = memory_dns(MemoryLookup({}), {"memory": lambda _name, _environ, _lookup: MemoryProvider()})
    solver = dns.solver("memory")
    with kept.noted(ID, "requested"):
        kept.watch(ID, "test", solver)
        solver.observer.written(Record("memory", "_acme-challenge.example.com", "value", credentials="corp"))
        assert reader.of(ID) == []
        await trio.sleep(2)
        solver.observer.seen("_acme-challenge.example.com", NS, Sight(complete=False, words="has no TXT record there"))
        (noted,) = reader.of(ID)
        assert noted["outcome"] == "running"
        assert "ended" not in noted
        solver.observer.seen("_acme-challenge.example.com", NS, Sight(complete=True, words="shows the record"))
    (noted,) = reader.of(ID)
    assert noted["records"] == [
        {
            "name": "_acme-challenge.example.com",
            "value": "value",
            "provider": "memory",
            "credentials": "corp",
            "servers": [{"server": str(NS), "complete": True, "words": "shows the record", "since": WHEN}],
        }
    ]


async def test_a_cancelled_attempt_is_interrupted_and_so_is_one_whose_leader_vanished() -> None:
    cluster = Alone()
    with trio.CancelScope() as scope, attempts(cluster).noted(ID, "first"):
        scope.cancel()
        await trio.sleep_forever()
    assert attempts(cluster).of(ID)[0]["outcome"] == "interrupted"
    steps = [{"step": "ordered", "at": WHEN}]
    cluster.put("attempt/" + ID.key, json.dumps([{"began": WHEN, "outcome": "running", "steps": steps}]).encode())
    with attempts(cluster).noted(ID, "second"):
        pass
    assert [one["outcome"] for one in attempts(cluster).of(ID)] == ["issued", "interrupted"]


async def test_a_new_leader_notes_that_what_nobody_goes_on_with_was_interrupted() -> None:
    cluster, other = Alone(), CertificateId("bob", name="web")
    kept = attempts(cluster)
    for id in (ID, other):
        kept.announce(id, "begun by a leader that died")
    cluster.put("attempt/odd", b'["running"]')
    kept.interrupt(lambda key: key == other.key)
    assert [kept.of(id)[0]["outcome"] for id in (ID, other)] == ["interrupted", "running"]
    before = cluster.statistics()["writes"]
    kept.interrupt(lambda key: key == other.key)
    assert cluster.statistics()["writes"] == before


async def test_an_announcement_is_shown_until_the_attempt_itself_takes_its_place() -> None:
    kept = attempts()
    for reason in ("first", "second"):
        kept.announce(ID, reason)
        assert (kept.of(ID)[0]["outcome"], kept.of(ID)[0]["reason"]) == ("running", reason)
        with kept.noted(ID, reason):
            pass
    assert [(one["outcome"], one["reason"]) for one in kept.of(ID)] == [("issued", "second"), ("issued", "first")]


async def test_however_much_happens_an_entry_stays_small() -> None:
    cluster = Alone()
    kept = attempts(cluster)
    solver = memory_dns(MemoryLookup({}), {"memory": lambda _name, _environ, _lookup: MemoryProvider()}).solver(
        "memory"
    )
    for _ in range(3):
        with suppress(DnsFailed), kept.noted(ID, "requested"):
            kept.watch(ID, "test", solver)
            for number in range(100):
                solver.observer.written(Record("memory", f"{number}.example.com", "v" * 43))
                for server in range(20):
                    sight = Sight(complete=False, words="é" * 1000)
                    solver.observer.seen(f"{number}.example.com", Server(f"192.0.2.{server}"), sight)
            raise DnsFailed("x" * 5000)
    value = cluster.get("attempt/" + ID.key)
    assert value is not None
    assert len(value) <= 16 * 1024
    assert 0 < len(kept.of(ID)[0]["records"]) <= 20
    assert len(kept.of(ID)[0]["error"]) == 500


async def test_what_another_version_wrote_hinders_nothing() -> None:
    cluster = Alone()
    cluster.put("attempt/" + ID.key, b"\xff")
    with attempts(cluster).noted(ID, "requested"):
        pass
    assert len(attempts(cluster).of(ID)) == 1


async def test_attempts_are_forgotten_after_two_weeks() -> None:
    clock = MovableClock()
    kept = attempts(clock=clock)
    with kept.noted(ID, "requested"):
        pass
    clock.at = clock.at.replace(day=30)
    kept.forget_old()
    assert len(kept.of(ID)) == 1
    clock.at = clock.at.replace(month=12, day=9)
    kept.forget_old()
    assert kept.of(ID) == []
