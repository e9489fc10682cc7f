"""Break what live peers sent in random ways, and see that reading it gives messages or BadPacket, in bounded memory.

    python -m tests.fuzz.ring [--packets 1000000] [--seed N]

It prints its seed, and on a failure the bytes; exits with 1 on the first one.
"""

from __future__ import annotations

import argparse
import resource
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random

import attrs

from acme_manager.ring.envelope import Envelope
from acme_manager.ring.messages import Message, Unreadable, compound, encode, parse_untrusted, with_crc
from acme_manager.ring.streams import Limits, PushPull, StreamReader, encode_stream
from acme_manager.ring.types import BadPacket
from tests.data.vectors import VECTORS, Vector
from tests.fuzz.compress import bomb, compressed, wrapped

PLAIN = Envelope()
LIMITS = Limits(payload=1 << 20, plain=2 << 20, compressed=1 << 18)
_WARM_UP = 5000  # packets after which memory should no longer grow
GROWTH = 64  # megabytes that it may grow all the same: the largest of packets at once, and what malloc keeps
_NUMBERS = [0, 1, 0x7F, 0x80, 0xA0, 0xBF, 0xC0, 0xC4, 0xC6, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF, 0xFF]
_HEADERS = [bytes([number]) for number in [*range(14), 244]]
_LENGTHS = [
    b"\xff\xff",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\0\0\0\0",
    b"\xdd\xff\xff\xff\xff",
    b"\xdb\0\x10\0\0",
]


@attrs.frozen(kw_only=True)
class Sample:
    """Bytes that are fine as they are, or once they are in their envelope (`bare`)."""

    octets: bytes
    envelope: Envelope = PLAIN
    stream: bool = False
    bare: bool = False

    def wrap(self, octets: bytes) -> bytes:
        """What took the place of its bytes, in the envelope."""
        if not self.bare:
            return octets
        return self.envelope.wrap_stream(octets) if self.stream else self.envelope.wrap_packet(octets)


def _corpus() -> Iterator[Sample]:
    for vector in VECTORS:
        yield Sample(octets=vector.octets, envelope=vector.envelope, stream=vector.stream)
        plain = _plain(vector)
        layers = (
            [plain, compressed(plain)] if vector.stream else [plain, compressed(plain), with_crc(compressed(plain))]
        )
        for octets in layers:
            yield Sample(octets=octets, envelope=vector.envelope, stream=vector.stream, bare=True)
    for octets in (wrapped(bomb(1 << 20)), wrapped(bomb(1 << 23))):
        yield from (Sample(octets=octets, stream=stream) for stream in (False, True))


def _plain(vector: Vector) -> bytes:
    if vector.stream:
        return encode_stream(vector.messages[0])
    return compound(map(encode, vector.messages), 1400)[0]


CORPUS = list(_corpus())


class Mutator:
    """Random damage, and layers around it that are in order, so that the damage gets deep inside."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._layers: list[Callable[[bytes], bytes]] = [compressed, with_crc, self._nest]
        self._damages: list[Callable[[bytearray], None]] = [
            self._flip,
            self._flip,
            self._set,
            self._cut,
            self._truncate,
            self._splice,
            self._repeat,
            self._insert,
        ]

    def mutate(self, sample: Sample) -> bytes:
        """The sample, damaged a few times, perhaps under one more layer, and in its envelope."""
        octets = bytearray(sample.octets)
        for _ in range(self._random.choice([1, 1, 1, 2, 4])):
            self._random.choice(self._damages)(octets)
        damaged = bytes(octets[:65_536])
        if self._random.random() < 0.3:
            damaged = self._random.choice(self._layers)(damaged[:2000])
        return sample.wrap(damaged)

    def _nest(self, octets: bytes) -> bytes:
        for _ in range(self._random.randint(1, 6)):
            octets = compound([octets[:60_000]] * self._random.randint(2, 20), 1 << 20)[0]
        return octets

    def _at(self, octets: bytearray) -> int:
        return self._random.randrange(len(octets) + 1)

    def _flip(self, octets: bytearray) -> None:
        if octets:
            octets[self._random.randrange(len(octets))] ^= 1 << self._random.randrange(8)

    def _set(self, octets: bytearray) -> None:
        if octets:
            octets[self._random.randrange(len(octets))] = self._random.choice(_NUMBERS)

    def _cut(self, octets: bytearray) -> None:
        start = self._at(octets)
        del octets[start : start + self._random.randint(1, 20)]

    def _truncate(self, octets: bytearray) -> None:
        del octets[self._at(octets) :]

    def _splice(self, octets: bytearray) -> None:
        other = self._random.choice(CORPUS).octets
        start = self._at(octets)
        octets[start:] = other[self._random.randrange(len(other)) :]

    def _repeat(self, octets: bytearray) -> None:
        start = self._at(octets)
        part = octets[start : start + self._random.randint(1, 40)]
        octets[start:start] = part * self._random.choice([1, 2, 10, 300])

    def _insert(self, octets: bytearray) -> None:
        start = self._at(octets)
        octets[start:start] = self._random.choice([*_HEADERS, *_LENGTHS, self._random.randbytes(5)])


def check(octets: bytes, envelope: Envelope, *, stream: bool) -> str:
    """Read the bytes. What was read must be something that we could write, and read again. Says how it went."""
    try:
        return _check_stream(octets, envelope) if stream else _check_packet(octets, envelope)
    except BadPacket:
        return "bad"


def _check_packet(octets: bytes, envelope: Envelope) -> str:
    messages = parse_untrusted(envelope.unwrap_packet_untrusted(octets))
    readable = [message for message in messages if not isinstance(message, Unreadable)]
    again: list[Message] = []
    for message in readable:
        again += parse_untrusted(encode(message))
    assert again == readable
    return "messages" if len(readable) == len(messages) else "messages and unreadable parts"


def _check_stream(octets: bytes, envelope: Envelope) -> str:
    for dialled in (False, True):
        reader = StreamReader(envelope, dialled=dialled, limits=LIMITS)
        half = len(octets) // 2
        message = reader.feed_untrusted(octets[:half]) or reader.feed_untrusted(octets[half:])
        if message is None:
            return "incomplete stream"
        if isinstance(message, PushPull):
            message = attrs.evolve(message, unreadable=0)
        again = StreamReader(PLAIN, dialled=True, limits=LIMITS).feed_untrusted(encode_stream(message))
        assert again == message
    return "stream"


def megabytes() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def campaign(packets: int, seed: int) -> Counter[str]:
    """So many damaged samples, and how each went. Raises what reading raised, with the bytes as a note."""
    random = Random(seed)
    mutator = Mutator(random)
    outcomes: Counter[str] = Counter()
    for _ in range(packets):
        sample = random.choice(CORPUS)
        octets = mutator.mutate(sample)
        try:
            outcomes[check(octets, sample.envelope, stream=sample.stream)] += 1
        except BaseException as error:
            error.add_note(f"{'stream' if sample.stream else 'packet'} with {sample.envelope}: {octets.hex()}")
            raise
    return outcomes


def main() -> None:
    """See the top."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)

    outcomes = campaign(_WARM_UP, arguments.seed)
    before, began = megabytes(), time.perf_counter()
    outcomes += campaign(arguments.packets, arguments.seed + 1)
    seconds, growth = time.perf_counter() - began, megabytes() - before

    for outcome, count in outcomes.most_common():
        print(f"{count:>9}  {outcome}")
    print(f"{arguments.packets / seconds:,.0f} a second; {before:.0f} MB, and {growth:.0f} MB more at the end")
    if growth > GROWTH:
        sys.exit(f"memory grew by more than {GROWTH} MB")


if __name__ == "__main__":
    main()
