"""Which certificate needs a look next, and what the due ones wait for: indexes, so that no pass looks at all."""

from __future__ import annotations

import heapq

import attrs

_SLACK = 64


class Agenda:
    """Keys by the instant at which each wants to be looked at; instants are Unix seconds."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []  # with entries that are out of date

    def put(self, key: str, at: float) -> None:
        """Look at a key at that instant, and at no other."""
        if self._at.get(key) == at:
            return
        self._at[key] = at
        if len(self._heap) > 2 * len(self._at) + _SLACK:
            self._heap = [(instant, one) for one, instant in self._at.items()]
            heapq.heapify(self._heap)
        else:
            heapq.heappush(self._heap, (at, key))

    def remove(self, key: str) -> None:
        """Forget a key; one that is not there is no error."""
        self._at.pop(key, None)

    def next(self) -> float | None:
        """The earliest instant, None where nothing is to be looked at."""
        while self._heap and self._at.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> list[str]:
        """The keys whose instant has come, earliest first. They are off the agenda."""
        due: list[str] = []
        while (at := self.next()) is not None and at <= now:
            key = heapq.heappop(self._heap)[1]
            del self._at[key]
            due.append(key)
        return due

    def __len__(self) -> int:
        return len(self._at)


@attrs.define
class _Room:
    """Keys that wait for the same, the most urgent first."""

    until: float = 0.0
    heap: list[tuple[float, str]] = attrs.field(factory=list)


class Queue:
    """What is due at one CA, most urgent first; what its limits hold back waits together with what waits for the same.

    Only the first of those is tried when the time has come, so that a thousand that wait for one limit cost one look.
    Urgency and instants are Unix seconds, the smaller the more urgent.
    """

    def __init__(self) -> None:
        self._rooms: dict[str, _Room] = {}
        self._room_of: dict[str, str] = {}

    def add(self, key: str, urgency: float) -> None:
        """Something is due. What is in here already stays where it is."""
        if key not in self._room_of:
            self._enter("", key, urgency)

    def hold_back(self, key: str, urgency: float, limit: str, until: float) -> None:
        """What has been popped must wait for a limit, and so must everything else that waits for it."""
        self._enter(limit, key, urgency)
        self._rooms[limit].until = until

    def remove(self, key: str) -> None:
        """It is not due any more."""
        self._room_of.pop(key, None)

    def pop(self, now: float) -> tuple[float, str] | None:
        """The most urgent one that need not wait, with its urgency."""
        open_rooms = [(room.heap[0], name) for name, room in self._filled() if room.until <= now]
        if not open_rooms:
            return None
        _, name = min(open_rooms)
        urgency, key = heapq.heappop(self._rooms[name].heap)
        del self._room_of[key]
        return urgency, key

    def next(self) -> float | None:
        """When the first of those that wait may be tried; None when there is nothing in here."""
        return min((room.until for _, room in self._filled()), default=None)

    def waiting(self) -> int:
        """How many a limit holds back."""
        return sum(1 for limit in self._room_of.values() if limit)

    def __contains__(self, key: str) -> bool:
        return key in self._room_of

    def __len__(self) -> int:
        return len(self._room_of)

    def _enter(self, limit: str, key: str, urgency: float) -> None:
        self._room_of[key] = limit
        heapq.heappush(self._rooms.setdefault(limit, _Room()).heap, (urgency, key))

    def _filled(self) -> list[tuple[str, _Room]]:
        for name, room in tuple(self._rooms.items()):
            while room.heap and self._room_of.get(room.heap[0][1]) != name:
                heapq.heappop(room.heap)
            if not room.heap:
                del self._rooms[name]
        return list(self._rooms.items())
