from __future__ import annotations

import math
import random

import pytest

from acme_manager.ring.ballots import Renew, RenewReply, VoteReply, VoteRequest
from acme_manager.ring.effects import BecameLeader, LeaderChanged, LostLeadership, ReadFence, Send, WriteFence, Written
from acme_manager.ring.fence import Fence
from acme_manager.ring.leadership import Leadership
from acme_manager.ring.leases import LeaseConfig
from acme_manager.ring.types import Status
from acme_manager.ring.voters import Peer
from tests.unit.ring.leadership_script import CONFIG, Script

THREE = ["node1", "node2", "node3"]


def three() -> Script:
    """Three nodes, all of them voters, and one that leads."""
    script = Script(THREE)
    script.run(5)
    assert script.voters() == tuple(THREE)
    return script


def leader_of(script: Script) -> str:
    leader = script.leader()
    assert leader is not None
    return leader


def test_a_node_that_finds_no_record_founds_the_ring_at_once_and_alone() -> None:
    script = Script(["node1"])
    script.run(0.1)
    assert script.leader() == "node1"
    assert script.fence == Fence(term=1, holder="node1", voters=("node1",))
    assert script.last_word("node1") == "node1"


def test_of_three_that_start_together_one_founds_the_ring_and_takes_the_others_in_one_by_one() -> None:
    script = Script(THREE)
    script.run(5)
    lists = [effect.fence.voters for _, _, effect in script.log if isinstance(effect, WriteFence)]
    assert [len(voters) for voters in lists if len(voters) > 1] == [2, 3]
    assert {script.last_word(name) for name in THREE} == {script.leader()}


def test_the_list_keeps_the_time_of_its_term_when_it_changes() -> None:
    core = Leadership(CONFIG, "node1", random.Random(1), 0)
    assert core.tick(0) == [ReadFence()]
    (write,) = core.fence_read(None, 0, 0)
    assert isinstance(write, WriteFence)
    stamped = WriteFence(Fence(term=1, holder="node1", voters=("node1",), since="noon"), 0)
    assert BecameLeader(1, CONFIG.held) in core.fence_written(stamped, Written.OK, 0)
    (renew,) = [
        effect for effect in core.members_changed([Peer(name="node2")], 0) + core.tick(1) if isinstance(effect, Send)
    ]
    assert isinstance(renew.message, Renew)
    reply = RenewReply(1, renew.message.life, renew.message.number, granted=True, known=1)
    (change,) = core.receive("node2", reply, 1)
    assert change == WriteFence(Fence(term=1, holder="node1", voters=("node1", "node2"), since="noon"), 1)


def test_a_lost_leader_is_replaced_within_two_leases() -> None:
    script = three()
    lost = leader_of(script)
    script.stop(lost)
    script.run(2 * CONFIG.lease)
    assert leader_of(script) != lost
    assert script.fence is not None
    assert script.fence.term == 2


def test_nobody_replaces_a_leader_who_is_well() -> None:
    script = three()
    leader = leader_of(script)
    for name in THREE:
        if name != leader:
            script.stop(name)
            script.run(1)
            script.start(name)
            script.run(10)
    assert script.leader() == leader
    assert script.losses() == []


def test_a_leader_that_lost_the_majority_stops_before_others_may_elect() -> None:
    script = three()
    leader = leader_of(script)
    began = script.now
    for name in THREE:
        if name != leader:
            script.stop(name)
    script.run(10)
    (lost,) = [when for when, _, effect in script.log if isinstance(effect, LostLeadership)]
    assert lost <= began + CONFIG.held
    assert script.leader() is None
    assert script.voters() == tuple(THREE)


def test_a_paused_leader_knows_by_arithmetic_alone_that_it_leads_no_more() -> None:
    script = three()
    core = script.cores[leader_of(script)]
    assert core.leads(script.now) == 1
    assert core.leads(script.now + CONFIG.lease) is None
    assert core.leader(script.now + CONFIG.lease) is None


def test_late_answers_do_not_bring_back_a_lease_that_ran_out_unnoticed() -> None:
    script = three()
    name = leader_of(script)
    core, woken = script.cores[name], script.now + CONFIG.lease
    effects = core.receive("node9", RenewReply(1, 0, 1, granted=True, known=1), woken)
    assert effects[0] == LostLeadership(1, "the lease ran out")
    assert core.leads(woken) is None


def test_a_winner_whose_lease_ran_out_while_it_wrote_the_record_does_not_lead() -> None:
    script = three()
    lost = leader_of(script)
    held_back: list[tuple[str, WriteFence]] = []
    script.stop(lost)

    def hold(write: WriteFence) -> Written:
        held_back.append((write.fence.holder, write))
        return Written.UNKNOWN

    script.write = hold
    script.run(4)
    name, write = held_back[0]
    core = script.cores[name]
    script.run(CONFIG.held)
    script.do(name, core.fence_written(write, Written.OK, script.now))
    assert script.leader() is None
    script.write = None
    script.run(10)
    assert leader_of(script) in {*THREE} - {lost}


def test_a_winner_finds_out_that_somebody_else_wrote_the_record_first_and_starts_again() -> None:
    script = three()
    script.stop(leader_of(script))
    outcomes = [Written.STALE]
    script.write = lambda write: outcomes.pop() if outcomes else script.put(write)
    script.run(10)
    assert outcomes == []
    assert script.fence is not None
    assert script.fence.term == 3


def test_a_graceful_stop_hands_over_within_moments_to_the_named_successor() -> None:
    script = three()
    leader = leader_of(script)
    script.do(leader, script.cores[leader].resign(script.now))
    assert script.leader() is None
    script.run(0.2)
    heirs = [name for name in THREE if name != leader]
    assert script.leader() == heirs[0]
    assert script.last_word(leader) == heirs[0]
    script.stop(leader, Status.LEFT)
    script.run(1)
    assert script.voters() == tuple(heirs)


def test_a_release_that_got_lost_is_repeated() -> None:
    script = three()
    leader = leader_of(script)
    others = [name for name in THREE if name != leader]
    script.down.update(others)
    script.do(leader, script.cores[leader].resign(script.now))
    script.down.clear()
    script.run(0.3)
    assert script.leader() in others


def test_who_stops_wants_no_term_any_more_but_votes() -> None:
    script = Script(["node1", "node2"])
    script.run(5)
    leader = leader_of(script)
    heir = "node2" if leader == "node1" else "node1"
    script.do(leader, script.cores[leader].resign(script.now))
    script.run(30)
    assert script.leader() == heir


def test_a_voter_that_is_dead_for_long_is_taken_off_the_list_and_comes_back_onto_it() -> None:
    script = three()
    dead = next(name for name in THREE if name != script.leader())
    script.stop(dead)
    script.run(CONFIG.forget_after - 1)
    assert dead in script.voters()
    script.run(3)
    assert dead not in script.voters()
    script.start(dead)
    script.run(2)
    assert script.voters() == tuple(THREE)


def test_forgetting_a_dead_voter_takes_it_off_at_once_and_a_living_one_stays() -> None:
    script = three()
    leader = leader_of(script)
    dead, alive = (name for name in THREE if name != leader)
    script.stop(dead)
    script.run(4)
    script.do(leader, script.cores[leader].forget(dead, script.now))
    script.do(leader, script.cores[leader].forget(alive, script.now))
    assert script.voters() == tuple(sorted([leader, alive]))
    assert script.cores[alive].forget(leader, script.now) == []


def test_a_node_of_another_program_never_becomes_a_voter() -> None:
    script = Script(["node1"])
    script.run(1)
    peers = [Peer(name="node1"), Peer(name="serf", capable=False)]
    assert script.cores["node1"].members_changed(peers, script.now) == []
    assert [effect.to for effect in script.cores["node1"].tick(script.now + 1) if isinstance(effect, Send)] == []


def test_a_node_that_is_no_voter_does_not_found_a_second_ring() -> None:
    script = Script(["node9"], fence=Fence(term=4, holder="node1", voters=tuple(THREE)), version=7)
    script.run(60)
    assert script.leader() is None
    assert script.version == 7


def test_a_minority_that_restarts_waits_for_the_others() -> None:
    script = Script(["node1"], fence=Fence(term=4, holder="node1", voters=tuple(THREE)), version=7)
    script.run(60)
    assert script.leader() is None
    script.start("node2")
    script.run(10)
    assert script.leader() is not None
    assert script.fence is not None
    assert script.fence.term == 5


def test_a_forced_node_becomes_the_only_voter_after_one_lease() -> None:
    script = Script([], fence=Fence(term=4, holder="node1", voters=tuple(THREE)), version=7)
    script.start("node2").force_new_cluster()
    script.run(CONFIG.lease - 0.1)
    assert script.leader() is None
    script.run(3)
    assert script.leader() == "node2"
    assert script.fence == Fence(term=5, holder="node2", voters=("node2",))


def test_a_forced_node_leaves_a_leader_alone_who_is_there_after_all() -> None:
    script = three()
    leader = leader_of(script)
    other = next(name for name in THREE if name != leader)
    script.start(other).force_new_cluster()
    script.run(30)
    assert script.leader() == leader
    assert script.fence is not None
    assert script.fence.term == 1


def test_storage_that_is_away_lets_nobody_become_leader_and_everything_resumes_by_itself() -> None:
    script = three()
    script.away = True
    script.stop(leader_of(script))
    script.run(60)
    assert script.leader() is None
    script.away = False
    script.run(10)
    assert script.leader() is not None


def test_a_leader_without_storage_makes_room_after_a_while() -> None:
    script = three()
    script.away = True
    script.run(CONFIG.storage_patience + CONFIG.look_every)
    assert script.losses() == ["storage is away"]


def test_a_leader_that_reads_a_newer_term_stops() -> None:
    script = three()
    leader = leader_of(script)
    newer = Fence(term=9, holder="node7", voters=("node7",))
    effects = script.cores[leader].fence_read(newer, script.version + 1, script.now)
    assert effects[0] == LostLeadership(1, "term 9 of node7 has begun")
    assert script.cores[leader].fence == newer


@pytest.mark.parametrize(
    ("fence", "step", "reason"),
    [
        (None, 0, "the fence record is gone"),
        (Fence(term=1, holder="node7", voters=("node7",)), 1, "somebody else has written the fence record"),
    ],
)
def test_a_leader_stops_when_its_record_is_not_there(fence: Fence | None, step: int, reason: str) -> None:
    script = three()
    leader = leader_of(script)
    effects = script.cores[leader].fence_read(fence, script.version + step, script.now)
    assert effects[0] == LostLeadership(1, reason)


def test_a_record_that_vanished_is_written_anew_by_a_majority_of_the_last_voters() -> None:
    script = three()
    script.fence, script.version = None, 0
    script.run(20)
    assert script.leader() is not None
    assert script.fence is not None
    assert script.fence.term == 2
    assert script.voters() == tuple(THREE)


def test_a_change_of_the_list_with_unknown_outcome_is_repeated_until_it_is_known() -> None:
    script = Script(["node1", "node2"])
    script.down.add("node2")
    script.run(1)
    writes: list[WriteFence] = []

    def lose(write: WriteFence) -> Written:
        writes.append(write)
        done = script.put(write) if len(writes) == 3 else Written.UNKNOWN
        return done if len(writes) > 3 else Written.UNKNOWN

    script.write = lose
    script.down.clear()
    script.run(10)
    assert len({write.fence for write in writes[:4]}) == 1
    assert script.voters() == ("node1", "node2")
    assert script.losses() == []


def test_while_a_change_is_on_its_way_the_lease_must_run_over_both_lists() -> None:
    script = Script(["node1", "node2"])
    script.down.add("node2")
    script.run(1)
    script.write = lambda write: Written.UNKNOWN
    script.down.clear()
    script.run(2)
    script.stop("node2")
    script.run(CONFIG.lease)
    assert script.losses() == ["the lease ran out"]


def test_a_trial_binds_nobody_and_a_vote_does() -> None:
    core = Leadership(CONFIG, "node1", random.Random(1), -10)
    for trial, number in ((True, 1), (True, 2), (False, 3)):
        (sent,) = core.receive("node2", VoteRequest(5, 1, number, trial), 0)
        assert sent == Send("node2", VoteReply(5, 1, number, trial, granted=True, known=0 if trial else 5))
    (refused,) = core.receive("node3", VoteRequest(6, 1, 1, trial=False), 0)
    assert refused == Send("node3", VoteReply(6, 1, 1, trial=False, granted=False, known=5))


def test_every_node_is_told_once_who_leads_and_that_nobody_does() -> None:
    core = Leadership(CONFIG, "node1", random.Random(1), 0)
    assert core.receive("node2", Renew(3, 8, 1), 0)[0] == LeaderChanged("node2", 3)
    assert not any(isinstance(effect, LeaderChanged) for effect in core.receive("node2", Renew(3, 8, 2), 1))
    assert core.leader(3.9) == "node2"
    assert core.leader(4) is None
    assert core.tick(4)[0] == LeaderChanged(None, 3)


def test_after_a_tick_the_next_one_is_due_later() -> None:
    script = three()
    for seconds in (0.01, 0.5, 3, 20):
        script.run(seconds)
        for name in THREE:
            script.do(name, script.cores[name].tick(script.now))
            assert script.cores[name].deadline() > script.now


def test_who_waits_for_storage_has_nothing_due() -> None:
    core = Leadership(CONFIG, "node1", random.Random(1), 5)
    assert core.deadline() == 5
    assert core.tick(5) == [ReadFence()]
    assert core.deadline() == math.inf


def test_all_durations_follow_from_the_lease() -> None:
    short, long = LeaseConfig(lease=1), LeaseConfig(lease=10)
    for name in ("held", "renew_every", "repeat_every", "round", "stagger", "look_every", "storage_patience"):
        assert getattr(long, name) == pytest.approx(10 * getattr(short, name))
