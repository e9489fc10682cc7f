from __future__ import annotations

import pytest

from acme_manager.ring.membership import Membership
from acme_manager.ring.messages import Ack, IndirectPing, Message, Nack, Ping, Suspect
from acme_manager.ring.types import Effect, PingStream, SendPacket, Status
from tests.unit.ring.membership_script import (
    ELSEWHERE,
    HERE,
    THERE,
    VSN,
    address,
    alive,
    core,
    dead,
    knowing,
    member,
    queued,
    quiet,
    run,
    sent,
    status,
    suspect,
)


def step(ring: Membership) -> tuple[float, list[Effect]]:
    """Let time pass until something is sent."""
    while True:
        now = ring.deadline()
        effects = ring.tick(now)
        if any(isinstance(effect, SendPacket | PingStream) for effect in effects):
            return now, effects


def probed(ring: Membership) -> tuple[float, Ping, list[Effect]]:
    """Let time pass until somebody is probed."""
    while True:
        now, effects = step(ring)
        for message in sent(effects):
            if isinstance(message, Ping):
                return now, message, effects


def silent(**knobs: float) -> Membership:
    """A core that knows "b", "c", "d" and "e", and visits nobody."""
    return knowing(4, push_pull_interval=0, **knobs)


# --- probing ---


def test_everybody_is_probed_once_in_a_round() -> None:
    ring = silent()
    for _ in range(3):
        targets = []
        for _ in range(4):
            now, ping, _ = probed(ring)
            ring.receive(Ack(sequence=ping.sequence), THERE, now)
            targets.append(ping.node)
        assert sorted(targets) == ["b", "c", "d", "e"]


def test_an_answered_probe_makes_us_healthier_and_the_next_follows_after_the_interval() -> None:
    ring = silent()
    ring.receive(suspect("a"), THERE, 0.0)
    quiet(ring)
    assert ring.health_score == 1
    now, ping, effects = probed(ring)
    assert sent(effects) == [Ping(sequence=ping.sequence, node=ping.node)]
    ring.receive(Ack(sequence=ping.sequence), THERE, now)
    assert ring.health_score == 0
    second, _, _ = probed(ring)
    assert second - now == pytest.approx(2.0)  # the score was 1 when the first began


def test_who_does_not_answer_in_time_is_asked_through_others_and_over_tcp() -> None:
    ring = silent()
    now, ping, _ = probed(ring)
    later, effects = step(ring)
    assert later == now + 0.5
    target = member(ring, ping.node)
    question = IndirectPing(sequence=ping.sequence, target=target.address, node=target.name, nack=True)
    assert sent(effects) == [question] * 3
    relays = {effect.to for effect in effects if isinstance(effect, SendPacket)}
    assert relays == {address(number) for number in range(4)} - {target.address}
    assert effects[-1] == PingStream(target.address, target.name, ping.sequence, now + 1.0)


def test_an_answer_through_a_relay_is_an_answer() -> None:
    ring = silent()
    now, ping, _ = probed(ring)
    step(ring)
    ring.receive(Ack(sequence=ping.sequence), ELSEWHERE, now + 0.9)
    probed(ring)
    assert (status(ring, ping.node), ring.health_score) == (Status.ALIVE, 0)


def test_an_answer_over_tcp_is_an_answer_and_counted() -> None:
    ring = silent()
    now, ping, _ = probed(ring)
    step(ring)
    ring.stream_pong(ping.sequence + 1, now + 0.8)
    ring.stream_pong(ping.sequence, now + 0.9)
    probed(ring)
    assert status(ring, ping.node) is Status.ALIVE
    counts = ring.statistics().counts
    assert (counts.probes_by_tcp, counts.probes_failed) == (1, 0)


def test_an_answer_to_another_question_is_none() -> None:
    ring = silent()
    now, ping, _ = probed(ring)
    ring.receive(Ack(sequence=ping.sequence - 1), THERE, now)
    step(ring)
    probed(ring)
    assert status(ring, ping.node) is Status.SUSPECT


@pytest.mark.parametrize(("nacks", "score"), [(0, 3), (1, 2), (3, 0), (7, 0)])
def test_relays_that_stay_silent_too_speak_against_us(nacks: int, score: int) -> None:
    ring = silent()
    now, ping, _ = probed(ring)
    step(ring)
    for _ in range(nacks):
        ring.receive(Nack(sequence=ping.sequence), ELSEWHERE, now + 0.8)
    probed(ring)
    assert status(ring, ping.node) is Status.SUSPECT
    assert suspect(ping.node, by="a") in [*queued(ring)]
    assert ring.health_score == score


def test_without_relays_a_failure_costs_one_point() -> None:
    ring = knowing(1, push_pull_interval=0)
    probed(ring)
    step(ring)
    probed(ring)
    assert (status(ring), ring.health_score) == (Status.SUSPECT, 1)


def test_an_old_peer_is_not_asked_for_what_it_can_not_do() -> None:
    ring = knowing(2, push_pull_interval=0)
    for number, node in enumerate("bc"):
        ring.receive(alive(node, 2, address(number), vsn=bytes((1, 2, 2, 0, 0, 0))), THERE, 0.0)
    quiet(ring)
    probed(ring)
    _, effects = step(ring)
    [question] = sent(effects)
    assert isinstance(question, IndirectPing)
    assert not question.nack
    assert not any(isinstance(effect, PingStream) for effect in effects)
    probed(ring)
    assert ring.health_score == 1


def test_a_suspect_hears_with_the_ping_what_is_said_of_it() -> None:
    ring = knowing(1, push_pull_interval=0)
    ring.receive(suspect(), ELSEWHERE, 0.0)
    quiet(ring)
    _, ping, effects = probed(ring)
    assert sent(effects) == [ping, suspect(by="a")]


def test_a_life_claimed_during_the_probe_is_not_accused() -> None:
    ring = knowing(1, push_pull_interval=0)
    now, _, _ = probed(ring)
    ring.receive(alive(incarnation=2), THERE, now)
    quiet(ring)
    step(ring)
    probed(ring)
    assert status(ring) is Status.ALIVE


@pytest.mark.parametrize("by", ["b", "c"])
def test_the_gone_are_not_probed(by: str) -> None:
    ring = knowing(1, push_pull_interval=0)
    ring.receive(dead(by=by), ELSEWHERE, 0.0)
    quiet(ring)
    messages = [message for _, effect in run(ring, 0.0, 60.0) for message in sent([effect])]
    assert not any(isinstance(message, Ping) for message in messages)


def test_an_unhealthy_node_probes_less_often_and_its_score_has_a_limit() -> None:
    ring = silent()
    for incarnation in range(1, 20):
        ring.receive(suspect("a", incarnation), THERE, 0.0)
    quiet(ring)
    assert ring.health_score == 7
    first, _, _ = probed(ring)
    second, _, _ = probed(ring)
    assert second - first == pytest.approx(8.0)


def test_a_packet_has_a_checksum_where_the_peer_reads_one() -> None:
    ring = knowing(1)
    _, _, effects = probed(ring)
    assert [effect.crc for effect in effects if isinstance(effect, SendPacket)] == [True]
    ring = core(push_pull_interval=0)
    ring.receive(alive(vsn=bytes((1, 4, 2, 0, 0, 0))), THERE, 0.0)
    quiet(ring)
    _, _, effects = probed(ring)
    assert [effect.crc for effect in effects if isinstance(effect, SendPacket)] == [False]


def test_a_process_that_stood_still_judges_nobody_by_it() -> None:
    ring = silent()
    ring.receive(suspect("b"), ELSEWHERE, 0.0)
    now, ping, _ = probed(ring)
    woken = now + 120
    ring.tick(woken)
    assert {one.status for one in ring.members()} == {Status.ALIVE, Status.SUSPECT}
    assert (ring.statistics().counts.pauses, ring.health_score) == (1, 1)
    ring.receive(Ack(sequence=ping.sequence), THERE, woken)  # it had been waiting in the socket
    ring.receive(alive("b", 2, address(0)), THERE, woken)
    run(ring, woken, 1.4)
    assert {one.status for one in ring.members()} == {Status.ALIVE}


# --- answering ---


@pytest.mark.parametrize("node", ["", "a"])
def test_a_ping_for_us_is_answered_to_where_it_came_from(node: str) -> None:
    ring = core()
    quiet(ring)
    effects = ring.receive(Ping(sequence=7, node=node), THERE, 0.0)
    assert sent(effects, THERE) == [Ack(sequence=7)]


def test_a_ping_for_another_is_not_answered() -> None:
    assert core().receive(Ping(sequence=7, node="x"), THERE, 0.0) == []


def test_a_ping_may_name_another_address_for_the_answer() -> None:
    ring = core()
    quiet(ring)
    assert sent(ring.receive(Ping(sequence=7, source=ELSEWHERE), THERE, 0.0), ELSEWHERE) == [Ack(sequence=7)]


def test_news_travel_with_an_answer() -> None:
    ring = core()
    effects = ring.receive(Ping(sequence=7), THERE, 0.0)
    assert sent(effects) == [Ack(sequence=7), alive("a", address=HERE, meta=b"ours", vsn=VSN)]


# --- relaying ---


def relayed(nack: bool, **more: object) -> tuple[Membership, Ping]:
    """A core that has just passed a ping on."""
    ring = core(push_pull_interval=0)
    quiet(ring)
    question = IndirectPing(sequence=7, target=ELSEWHERE, node="x", nack=nack, **more)  # type: ignore[arg-type]
    [ping] = sent(ring.receive(question, THERE, 0.0), ELSEWHERE)
    assert isinstance(ping, Ping)
    assert (ping.node, ping.sequence != 7) == ("x", True)
    return ring, ping


@pytest.mark.parametrize("nack", [True, False])
def test_a_relay_passes_the_answer_on_under_the_number_of_who_asked(nack: bool) -> None:
    ring, ping = relayed(nack)
    effects = ring.receive(Ack(sequence=ping.sequence), ELSEWHERE, 0.4)
    assert sent(effects, THERE) == [Ack(sequence=7)]
    assert ring.receive(Ack(sequence=ping.sequence), ELSEWHERE, 0.4) == []
    assert [effect for _, effect in run(ring, 0.4, 3.0) if sent([effect])] == []


@pytest.mark.parametrize(("nack", "expected"), [(True, [Nack(sequence=7)]), (False, [])])
def test_a_relay_without_an_answer_says_so_if_it_was_asked_to(nack: bool, expected: list[Message]) -> None:
    ring, ping = relayed(nack)
    messages = [(now, message) for now, effect in run(ring, 0.0, 3.0) for message in sent([effect], THERE)]
    assert [message for _, message in messages] == expected
    assert all(now == 0.5 for now, _ in messages)
    assert ring.receive(Ack(sequence=ping.sequence), ELSEWHERE, 3.0) == []


def test_a_relay_answers_to_the_address_it_was_given() -> None:
    ring, ping = relayed(True, source=("10.0.0.77", 1))
    effects = ring.receive(Ack(sequence=ping.sequence), ELSEWHERE, 0.1)
    assert sent(effects, ("10.0.0.77", 1)) == [Ack(sequence=7)]


def test_relays_under_way_are_bounded() -> None:
    ring = core(max_relays=5)
    for number in range(9):
        ring.receive(IndirectPing(sequence=number, target=ELSEWHERE, node="x"), THERE, 0.0)
    counts = ring.statistics().counts
    assert (counts.relays, counts.relays_dropped) == (5, 4)


def test_an_accusation_of_ours_names_us() -> None:
    ring = knowing(1, push_pull_interval=0)
    probed(ring)
    step(ring)
    probed(ring)
    [accusation] = queued(ring)
    assert accusation == Suspect(incarnation=1, node="b", by="a")


def test_a_suspect_gets_its_time_again_after_a_process_stood_still() -> None:
    ring = silent()
    ring.receive(suspect("b"), ELSEWHERE, 0.0)
    woken = 100.0
    ring.tick(woken)
    due = ring._common.timers.when(("suspicion", "b"))
    assert due == woken + 24.0


def test_an_answered_probe_leaves_nothing_to_wake_up_for() -> None:
    ring = silent()
    now, ping, _ = probed(ring)
    ring.receive(Ack(sequence=ping.sequence), THERE, now)
    assert ring._common.timers.when("probe timeout") is None
