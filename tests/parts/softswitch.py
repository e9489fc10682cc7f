"""A switch that loses, delays and cuts: `python softswitch.py FD PORT…`, in the network namespace that has the ports.

A bridge with netem would do the same, but not every kernel has netem. FD is a SOCK_SEQPACKET socket: each message is a
plan, the JSON of a list of `[from, to, loss, delay]` (port names, a share of the frames, seconds); ways that are not
in it are perfect. It answers `ok`, and ends when the other side closes.

A program of its own: it imports nothing of ours, so that it starts in a few milliseconds.
"""

from __future__ import annotations

import heapq
import json
import random
import select
import socket
import sys
import time
from contextlib import suppress

_PACKET_VNET_HDR = 15  # <linux/if_packet.h>
_SOL_PACKET = 263
_EVERYTHING = 3  # ETH_P_ALL
# Before each frame the kernel says how far it has got with checksum and segmentation, and reads it back from us: so
# neither has to be finished here, and nothing has to be turned off at the hosts.
_HEADER = 10
_BIGGEST = 1 << 17
_BATCH = 64  # frames of one port before the others have their turn
_WAITING = 20_000  # delayed frames; more are lost, as in any switch


class Switch:
    """Learns who is where from the frames it sees."""

    def __init__(self, names: list[str]) -> None:
        self._ports = {name: _open(name) for name in names}
        self._where: dict[bytes, str] = {}
        self._plan: dict[tuple[str, str], tuple[float, float]] = {}
        self._late: list[tuple[float, int, str, bytes]] = []
        self._count = 0
        self._random = random.Random()

    def run(self, control: socket.socket) -> None:
        """Switch until the other side of `control` closes it."""
        poll = select.epoll()
        poll.register(control, select.EPOLLIN)
        names = {port.fileno(): name for name, port in self._ports.items()}
        for number in names:
            poll.register(number, select.EPOLLIN)
        while True:
            wait = self._late[0][0] - time.monotonic() if self._late else 1.0
            for number, _ in poll.poll(max(wait, 0.0)):
                if number in names:
                    self._read(names[number])
                elif not self._obey(control):
                    return
            self._send_late()

    def _obey(self, control: socket.socket) -> bool:
        message = control.recv(_BIGGEST)
        if not message:
            return False
        self._plan = {(source, to): (loss, delay) for source, to, loss, delay in json.loads(message)}
        control.send(b"ok")
        return True

    def _read(self, source: str) -> None:
        port = self._ports[source]
        for _ in range(_BATCH):
            try:
                frame, address = port.recvfrom(_BIGGEST)
            except BlockingIOError:
                return
            if address[2] == socket.PACKET_OUTGOING:
                continue
            to, sender = frame[_HEADER : _HEADER + 6], frame[_HEADER + 6 : _HEADER + 12]
            self._where[sender] = source
            known = self._where.get(to)
            for target in [known] if known else self._ports:
                if target != source:
                    self._pass_on(source, target, frame)

    def _pass_on(self, source: str, target: str, frame: bytes) -> None:
        loss, delay = self._plan.get((source, target), (0.0, 0.0))
        if self._random.random() < loss:
            return
        if delay == 0.0:
            self._send(target, frame)
        elif len(self._late) < _WAITING:
            self._count += 1
            heapq.heappush(self._late, (time.monotonic() + delay, self._count, target, frame))

    def _send_late(self) -> None:
        while self._late and self._late[0][0] <= time.monotonic():
            _, _, target, frame = heapq.heappop(self._late)
            self._send(target, frame)

    def _send(self, target: str, frame: bytes) -> None:
        with suppress(OSError):  # a full queue, a host that is gone: the frame is lost
            self._ports[target].send(frame)


def _open(name: str) -> socket.socket:
    port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERYTHING))
    port.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    port.bind((name, 0))
    port.setblocking(False)
    return port


if __name__ == "__main__":
    Switch(sys.argv[2:]).run(socket.socket(fileno=int(sys.argv[1])))
