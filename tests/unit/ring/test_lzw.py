from __future__ import annotations

import random
import tracemalloc

import pytest

from acme_manager.ring.lzw import decompress_untrusted
from acme_manager.ring.types import BadPacket
from tests.fuzz.compress import CLEAR, END, bomb, codes, lzw

_MEGABYTE = 1 << 20


def test_what_go_writes_for_nothing_is_nothing() -> None:
    assert lzw(b"").hex() == "000302"
    assert decompress_untrusted(bytes.fromhex("000302"), 0) == b""


@pytest.mark.parametrize("data", [b"a", b"a" * 5000, b"ab" * 5000, bytes(range(256)) * 3], ids=len)
def test_small_and_repetitive_data_comes_back(data: bytes) -> None:
    assert decompress_untrusted(lzw(data), len(data)) == data


@pytest.mark.parametrize("clear_when_full", [True, False])
def test_data_that_fills_the_table_comes_back(clear_when_full: bool) -> None:
    data = random.Random(1).randbytes(20_000) + bytes(20_000) + b"member of the ring" * 1000
    assert decompress_untrusted(lzw(data, clear_when_full=clear_when_full), len(data)) == data


def test_the_last_code_of_a_full_table_can_be_used() -> None:
    filling = [CLEAR, 65, *[66] * 3838]
    assert decompress_untrusted(codes([*filling, 4095, END]), 4000) == b"A" + b"B" * 3840


def test_the_width_grows_at_the_readers_next_code() -> None:
    # 255 literals make entries up to 511: the reader's next is 512, and the code after that has ten bits.
    literals = [octet % 256 for octet in range(255)]
    assert decompress_untrusted(codes([CLEAR, *literals, 511, END]), 1000) == bytes(literals) + bytes([253, 254])


def test_a_clear_may_come_at_any_time_or_not_at_all() -> None:
    assert decompress_untrusted(codes([65, CLEAR, CLEAR, 66, CLEAR, END]), 10) == b"AB"
    assert decompress_untrusted(codes([65, 66, END]), 10) == b"AB"


def test_what_comes_after_the_end_is_ignored() -> None:
    assert decompress_untrusted(lzw(b"data") + b"more", 10) == b"data"


@pytest.mark.parametrize(
    "nonsense",
    [[CLEAR, 258, END], [CLEAR, 65, 259, END], [300, END], [CLEAR, 65, 66, CLEAR, 258, END]],
)
def test_a_code_that_has_no_meaning_yet_is_refused(nonsense: list[int]) -> None:
    with pytest.raises(BadPacket, match="not said yet"):
        decompress_untrusted(codes(nonsense), 1000)


def test_every_truncation_is_refused() -> None:
    data = lzw(b"the quick brown fox " * 20)
    for length in range(len(data) - 1):
        with pytest.raises(BadPacket, match="too early"):
            decompress_untrusted(data[:length], _MEGABYTE)


def test_the_limit_is_exact() -> None:
    data = lzw(b"a" * 1000)
    assert decompress_untrusted(data, 1000) == b"a" * 1000
    with pytest.raises(BadPacket, match="longer than 999 bytes"):
        decompress_untrusted(data, 999)


def test_a_bomb_takes_no_more_memory_than_its_limit_and_the_table() -> None:
    data = bomb(64 * _MEGABYTE)
    assert len(data) < 64_000
    tracemalloc.start()
    try:
        with pytest.raises(BadPacket, match="longer"):
            decompress_untrusted(data, _MEGABYTE)
        assert tracemalloc.get_traced_memory()[1] < 12 * _MEGABYTE
    finally:
        tracemalloc.stop()


def test_a_bomb_within_the_limit_is_data() -> None:
    assert decompress_untrusted(bomb(_MEGABYTE), 2 * _MEGABYTE).strip(b"\0") == b""
