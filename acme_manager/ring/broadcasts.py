"""News on its way to everybody: each item is sent a limited number of times, the least sent first.

Two queues: what is known of members goes first, what the layers above have to say fills the rest. In both an item has
a key, and a newer item takes the place of the older one: a queue never holds more than there are names or keys.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence

import attrs

from acme_manager.ring.messages import compound

COMPOUND_HEADER = 2  # type byte and count
PART_HEADER = 2  # a part's length
MOST_PARTS = 255
_ANY = 2**31  # room for every message


@attrs.define(eq=False)
class _Item:
    key: str
    message: bytes
    transmits: int = 0


class _Tier:
    """Items that were sent equally often, by length; the newest of a length is last. Every step is O(log lengths)."""

    def __init__(self) -> None:
        self._lengths: list[int] = []
        self._items: dict[int, dict[str, _Item]] = {}

    def __bool__(self) -> bool:
        return bool(self._lengths)

    def add(self, item: _Item) -> None:
        length = len(item.message)
        if length not in self._items:
            bisect.insort(self._lengths, length)
            self._items[length] = {}
        self._items[length][item.key] = item

    def remove(self, item: _Item) -> None:
        length = len(item.message)
        del self._items[length][item.key]
        if not self._items[length]:
            del self._items[length]
            self._lengths.remove(length)

    def largest(self, room: int) -> _Item | None:
        """The largest item that fits, the newest of these."""
        index = bisect.bisect_right(self._lengths, room)
        return next(reversed(self._items[self._lengths[index - 1]].values())) if index else None

    def stalest(self) -> _Item:
        """Whose loss costs the least and frees the most: the oldest of the largest."""
        return next(iter(self._items[self._lengths[-1]].values()))


class Queue:
    """A transmit-limited queue with one slot per key, of at most `limit` items."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: dict[str, _Item] = {}
        self._tiers: list[_Tier] = []
        self.bytes = 0
        self.dropped = 0  # items that made room for others before they were sent as often as they should

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: str) -> bool:
        return key in self._items

    def put(self, key: str, message: bytes) -> None:
        """Queue a message; it takes the place of the one with the same key."""
        self.remove(key)
        if len(self._items) >= self._limit:
            self.dropped += 1
            self.remove(next(tier for tier in reversed(self._tiers) if tier).stalest().key)
        item = self._items[key] = _Item(key, message)
        self.bytes += len(message)
        self._tier(0).add(item)

    def remove(self, key: str) -> None:
        """Take a key out, if it is there."""
        item = self._items.pop(key, None)
        if item is not None:
            self.bytes -= len(item.message)
            self._tiers[item.transmits].remove(item)

    def clear(self) -> None:
        """Take everything out."""
        self._items.clear()
        self._tiers.clear()
        self.bytes = 0

    def pick(self, room: int) -> _Item | None:
        """Take the least sent item that fits out of its tier; `give_back` must follow."""
        for tier in self._tiers:
            item = tier.largest(room)
            if item is not None:
                tier.remove(item)
                return item
        return None

    def give_back(self, picked: Sequence[_Item], transmits: int) -> None:
        """Count one transmission for each; what was sent `transmits` times is done."""
        for item in picked:
            item.transmits += 1
            if item.transmits >= transmits:
                del self._items[item.key]
                self.bytes -= len(item.message)
            else:
                self._tier(item.transmits).add(item)

    def _tier(self, transmits: int) -> _Tier:
        while len(self._tiers) <= transmits:
            self._tiers.append(_Tier())
        return self._tiers[transmits]


class Broadcasts:
    """The two queues, and packets filled from them."""

    def __init__(self, *, budget: int, max_members: int, max_user: int) -> None:
        self._budget = budget
        self.members = Queue(max_members)
        self.user = Queue(max_user)

    def __bool__(self) -> bool:
        return bool(len(self.members) or len(self.user))

    def packets(self, count: int, transmits: int) -> list[bytes]:
        """Up to `count` packets for one receiver; no message is in two of them.

        User messages come first in every second packet: a storm of deaths does not stop them.
        """
        picked: list[list[_Item]] = [[], []]
        packets = []
        for number in range(count):
            order = ((self.members, picked[0]), (self.user, picked[1]))
            parts = self._fill((), order if number % 2 == 0 else order[::-1])
            if not parts:
                break
            packets.append(_packed(parts))
        self.members.give_back(picked[0], transmits)
        self.user.give_back(picked[1], transmits)
        return packets

    def along(self, *messages: bytes, transmits: int) -> bytes:
        """A packet of these messages and of what else there is room for."""
        picked: list[list[_Item]] = [[], []]
        parts = self._fill(messages, ((self.members, picked[0]), (self.user, picked[1])))
        self.members.give_back(picked[0], transmits)
        self.user.give_back(picked[1], transmits)
        return _packed(parts)

    def _fill(self, first: Sequence[bytes], sources: Sequence[tuple[Queue, list[_Item]]]) -> list[bytes]:
        parts = list(first)
        room = self._budget - COMPOUND_HEADER - sum(PART_HEADER + len(part) for part in parts)
        for queue, picked in sources:
            while len(parts) < MOST_PARTS:
                # What is longer than a packet should be travels alone.
                item = queue.pick(room - PART_HEADER if parts else _ANY)
                if item is None:
                    break
                picked.append(item)
                parts.append(item.message)
                room -= PART_HEADER + len(item.message)
        return parts


def _packed(parts: Sequence[bytes]) -> bytes:
    [packet] = compound(parts, _ANY)
    return packet
