from __future__ import annotations

from typing import Any

import pytest

from acme_manager.config.flags import Flags
from acme_manager.ring.config import RingConfig


def test_flags_left_alone_mean_the_defaults() -> None:
    assert RingConfig.from_flags(Flags()) == RingConfig()


def test_flags_are_obeyed() -> None:
    flags = Flags()
    given = dict(flags.ring_memberlist) | {
        "cluster-label": "prod",
        "cluster-label-verification-disabled": True,
        "delegate-version": 5,
        "gossip-interval": 0.5,
        "pullpush-interval": 0.0,
        "rejoin-interval": 7.0,
        "dead-node-reclaim-time": 8.0,
    }
    config = RingConfig.from_flags(Flags(ring_memberlist=given), sealed=True)
    assert config == RingConfig(
        label="prod",
        verify_label=False,
        delegate_version=5,
        gossip_interval=0.5,
        push_pull_interval=0.0,
        rejoin_interval=7.0,
        dead_reclaim=8.0,
        sealed=True,
    )


@pytest.mark.parametrize(
    ("knobs", "room"),
    [({}, 1395), ({"label": "prod"}, 1389), ({"sealed": True}, 1366), ({"label": "ä", "sealed": True}, 1362)],
)
def test_what_is_wrapped_around_a_packet_leaves_less_room_for_messages(knobs: dict[str, Any], room: int) -> None:
    assert RingConfig(**knobs).payload_budget == room


@pytest.mark.parametrize(
    ("members", "times"), [(1, 8), (9, 8), (10, 8), (99, 8), (100, 12), (999, 12), (1000, 16), (9999, 16)]
)
def test_a_message_is_sent_more_often_in_a_larger_ring_and_eight_times_at_least(members: int, times: int) -> None:
    assert RingConfig().transmits(members) == times


@pytest.mark.parametrize(("version", "vsn"), [(0, (1, 5, 2, 0, 0, 0)), (5, (1, 5, 2, 2, 5, 5))])
def test_our_versions_are_always_six(version: int, vsn: tuple[int, ...]) -> None:
    assert RingConfig(delegate_version=version).vsn == bytes(vsn)


@pytest.mark.parametrize(
    "knobs", [{"probe_interval": 0}, {"gossip_nodes": 0}, {"delegate_version": 6}, {"rejoin_interval": -1.0}]
)
def test_a_knob_that_makes_no_sense_is_refused(knobs: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(knobs))):
        RingConfig(**knobs)
