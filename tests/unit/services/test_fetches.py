from __future__ import annotations

import json
from datetime import timedelta

from trio.testing import MockClock

from acme_manager.domain.certificate import Certificate, CertificateId
from acme_manager.ring.alone import Alone
from acme_manager.services.fetches import Fetches
from acme_manager.services.state import State
from tests.unit.services.world import NOW, MovableClock

WEB = CertificateId("alice", name="web")


class Seat(Alone):
    """A node's own place at a map that it shares with others."""

    def __init__(self, name: str, cluster: Alone, *, leads: bool) -> None:
        super().__init__(name)
        self.leading, self._cluster = leads, cluster

    def put_fact(self, name: str, value: bytes) -> None:
        self._cluster.put(f"member/{self.name}/{name}", value)


class Site:
    """A node that leads and one that does not, on one map."""

    def __init__(self, *keys: CertificateId) -> None:
        self.cluster, self.clock, self.state = Alone("a"), MovableClock(), State(Alone())
        for id in keys or (WEB,):
            self.state.certificates.put(id.key, Certificate(owner=id.owner, name=id.name))
        self.leader, self.other = self.node("a", leads=True), self.node("b", leads=False)

    def node(self, name: str, *, leads: bool) -> Fetches:
        return Fetches(Seat(name, self.cluster, leads=leads), self.cluster, self.state, self.clock)

    @property
    def writes(self) -> int:
        return int(self.cluster.statistics()["writes"])

    def seen(self) -> list[tuple[str, str, str]]:
        assert self.leader.of(WEB) == self.other.of(WEB)
        return [one.caller for one in self.other.of(WEB)]


def fetch(node: Fetches, by: str = "token t-1", address: str = "192.0.2.1", program: str = "curl/8.5.0 (x)") -> None:
    node.note(WEB, by=by, address=address, user_agent=program)


async def test_a_fetch_at_any_node_is_known_at_all(autojump_clock: MockClock) -> None:
    site = Site()
    with site.leader.following(), site.other.following():
        fetch(site.leader)
        await site.leader.look()
        assert site.seen() == [("token t-1", "192.0.2.1", "curl/8.5.0")]
        assert site.other.of(WEB)[0].when == NOW
        site.clock.at += timedelta(seconds=1)
        fetch(site.other, by="token t-2")
        await site.other.look()
        await site.leader.look()
        assert [by for by, _, _ in site.seen()] == ["token t-2", "token t-1"]


async def test_the_same_caller_is_written_once_in_five_minutes_and_another_at_once(autojump_clock: MockClock) -> None:
    site = Site()
    for _ in range(10):
        fetch(site.leader)
        await site.leader.look()
        site.clock.at += timedelta(seconds=29)
    assert site.writes == 1
    fetch(site.leader, program="wget/1")
    await site.leader.look()
    assert site.writes == 2
    site.clock.at += timedelta(seconds=10)
    fetch(site.leader)
    await site.leader.look()
    assert site.writes == 3
    assert [program for _, _, program in site.seen()] == ["curl/8.5.0", "wget/1"]


async def test_the_last_three_callers_are_kept_and_an_old_note_that_comes_again_changes_nothing(
    autojump_clock: MockClock,
) -> None:
    site = Site()
    with site.leader.following():
        fetch(site.other, by="token 0")
        await site.other.look()
        for number in range(1, 5):
            site.clock.at += timedelta(seconds=1)
            fetch(site.leader, by=f"token {number}")
        await site.leader.look()
        assert [by for by, _, _ in site.seen()] == ["token 4", "token 3", "token 2"]
    before = site.writes
    with site.leader.following():  # a new leader finds what was handed in, as this one does once more
        await site.leader.look()
    assert site.writes == before


async def test_notes_are_handed_in_every_ten_seconds_in_batches_that_fit(autojump_clock: MockClock) -> None:
    many = [CertificateId("alice", name=f"certificate-{number:05}.example.com") for number in range(2000)]
    site = Site(*many)
    sizes = []
    with site.leader.following():
        for id in many:
            site.other.note(id, by="token 0123456789abcdef", address="192.0.2.1", user_agent="acme-manager-client/1.0")
        for _ in range(20):
            await site.other.look()
            await site.leader.look()
            sizes.append(len(site.cluster.get("member/b/fetches") or b""))
            autojump_clock.jump(10)
    assert 40 * 1024 < max(sizes) < 64 * 1024
    assert all(site.leader.of(id) for id in many)


async def test_what_can_not_be_read_is_left_out_and_what_is_no_certificate_is_not_noted(
    autojump_clock: MockClock,
) -> None:
    site = Site()
    with site.leader.following():
        for broken in (b"no JSON", b"1", b"[1]", b'[["alice/web"]]', json.dumps([["bob/web", *"abc", 5]]).encode()):
            site.cluster.put("member/c/fetches", broken)
            await site.leader.look()
    site.cluster.put("fetch/alice/web", b'["x"]')
    assert site.seen() == []
    assert site.cluster.get("fetch/bob/web") is None
    fetch(site.leader, program="bad\x07name", address="x" * 100)
    await site.leader.look()
    assert site.seen() == [("token t-1", "x" * 60, "")]


async def test_notes_go_with_their_certificate_and_after_90_days() -> None:
    site = Site()
    fetch(site.leader)
    await site.leader.look()
    site.clock.at += timedelta(days=90)
    await site.leader.forget_old()
    assert site.seen() != []
    site.clock.at += timedelta(seconds=1)
    await site.leader.forget_old()
    assert site.seen() == []
    fetch(site.leader)
    await site.leader.look()
    site.state.certificates.remove(WEB.key)
    await site.leader.forget_old()
    assert site.seen() == []
