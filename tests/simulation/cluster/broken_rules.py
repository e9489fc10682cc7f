"""Rules to break, one at a time, to see that the simulation would notice: what to put in the place of what."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from acme_manager.ring.ballots import RenewReply
from acme_manager.ring.candidacy import Candidacy
from acme_manager.ring.effects import Effect, WriteFence, Written
from acme_manager.ring.leadership import Leadership
from acme_manager.ring.leases import LeaseConfig
from acme_manager.ring.promises import Claim, Voter
from acme_manager.ring.voters import Roll
from tests.simulation.cluster.node import Node, Work

_voter_init, _fence_written, _begin_write = Voter.__init__, Leadership.fence_written, Candidacy.begin_write


def _grant_twice(voter: Voter, claim: Claim, now: float, *, alone: bool = False) -> bool:
    return voter._bind(claim, now)


def _start_free(voter: Voter, config: LeaseConfig, now: float) -> None:
    _voter_init(voter, config, now)
    voter.free_from = now


def _write_without_end(candidacy: Candidacy) -> WriteFence:
    write = _begin_write(candidacy)
    candidacy._ends = math.inf
    return write


def _trust_the_fence(core: Leadership, write: WriteFence, outcome: Written, now: float) -> list[Effect]:
    """Count the lease from when the record was written, whether or not the votes still stand."""
    candidacy = core._candidacy
    if candidacy is not None and candidacy.write is not None and outcome is Written.OK:
        number = candidacy.lease.ask(now)
        for name in candidacy.voters:
            candidacy.lease.promised(name, number)
    return _fence_written(core, write, outcome, now)


def _count_from_the_answer(core: Leadership, name: str, reply: RenewReply, now: float) -> None:
    if core._tenure is not None and reply.granted and reply.term == core._tenure.claim.term:
        core._tenure.lease.promised(name, core._tenure.lease.ask(now))


def _everyone_in_sight(roll: Roll, config: LeaseConfig, now: float) -> tuple[str, ...] | None:
    """What a ring does that has no fixed list of voters."""
    sight = tuple(sorted(peer.name for peer in roll.peers.values() if peer.present))
    return sight if sight != roll.voters and roll.me in sight else None


def _do_nothing(node: Node, term: int) -> Work:
    yield from ()


def _half(voters: int) -> int:
    return max(1, voters // 2)


_RING = "acme_manager.ring."
_SIMULATION = "tests.simulation.cluster."

RULES: Mapping[str, Mapping[str, Any]] = {
    "a voter grants twice": {
        _RING + "promises.Voter.grant": _grant_twice,
        _RING + "promises.Voter.would_grant": lambda voter, claim, now: True,
    },
    "a leader ignores its lease": {_RING + "tenure.Tenure.until": lambda tenure: math.inf},
    "a winner does not check its lease after writing the fence": {
        _RING + "leadership.Leadership.fence_written": _trust_the_fence,
        _RING + "candidacy.Candidacy.begin_write": _write_without_end,
    },
    "storage ignores check-and-set": {_SIMULATION + "outside.Storage.fits": lambda *_: True},
    "a restarted voter grants at once": {_RING + "promises.Voter.__init__": _start_free},
    "a lease counts from the answer": {_RING + "leadership.Leadership._renewal_answered": _count_from_the_answer},
    "a lease has no margin for drift": {_RING + "leases.LeaseConfig.held": property(lambda config: config.lease)},
    "voters are whoever is in sight": {_RING + "voters.Roll.next_change": _everyone_in_sight},
    "half of the voters is a majority": {
        _RING + "leases.majority": _half,
        _RING + "candidacy.majority": _half,
    },
    "a new leader does not look for the order of the one before": {
        _SIMULATION + "node.Node.knows_order": lambda *_: False,
    },
    "a new leader does not compare its map with storage": {_SIMULATION + "node.Node._reconcile": _do_nothing},
}
