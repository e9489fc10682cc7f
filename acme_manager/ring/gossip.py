"""Spreading the news: every interval a few members at random get what they may not know yet."""

from __future__ import annotations

from acme_manager.ring.common import Common
from acme_manager.ring.types import Member

_HURRY = 4  # times as often while we leave: nobody wants to wait for a goodbye


class Gossip:
    """Sends packets from the queues, and sleeps when there are none or nobody listens."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self._earliest = float("-inf")

    def plan(self, now: float) -> None:
        """Make sure that what is queued will be sent."""
        common = self._common
        if common.broadcasts and common.timers.when("gossip") is None and self.anybody(now):
            common.timers.set("gossip", max(now + common.config.gossip_delay, self._earliest), self._round)

    def anybody(self, now: float) -> bool:
        """Whether somebody listens."""
        return any(self._common.roster.hears_gossip(member, now) for member in self._common.roster.others())

    def _round(self, now: float) -> None:
        common, config = self._common, self._common.config
        self._earliest = now + config.gossip_interval / (_HURRY if common.leaving else 1)

        def listens(member: Member) -> bool:
            return common.roster.hears_gossip(member, now)

        for member in common.roster.sample(config.gossip_nodes, listens):
            for packet in common.broadcasts.packets(config.gossip_packets, common.transmits):
                common.send(member.address, packet, member)
