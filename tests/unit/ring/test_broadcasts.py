from __future__ import annotations

import random
import time

import pytest

from acme_manager.ring.broadcasts import Broadcasts, Queue
from acme_manager.ring.messages import User, encode, parse_untrusted


def message(text: str, size: int = 0) -> bytes:
    return encode(User(text.encode().ljust(size, b".")))


def broadcasts(**knobs: int) -> Broadcasts:
    return Broadcasts(**({"budget": 1400, "max_members": 100, "max_user": 100} | knobs))


def texts(packet: bytes) -> list[str]:
    messages = parse_untrusted(packet)
    assert all(isinstance(one, User) for one in messages)
    return [one.payload.decode().rstrip(".") for one in messages if isinstance(one, User)]


def test_each_message_is_sent_so_many_times_and_no_more() -> None:
    queues = broadcasts()
    queues.user.put("k", message("x"))
    assert [queues.packets(1, 3) for _ in range(5)] == [[message("x")]] * 3 + [[]] * 2
    assert not queues
    assert queues.user.bytes == 0


def test_the_least_sent_come_first_then_the_largest_then_the_newest() -> None:
    queue = Queue(100)
    queue.put("sent", message("sent", 30))
    picked = queue.pick(1000)
    assert picked is not None
    queue.give_back([picked], 9)
    for key, size in (("small", 10), ("older", 20), ("newer", 20)):
        queue.put(key, message(key, size))
    order = []
    while (item := queue.pick(1000)) is not None:
        order.append(item.key)
    assert order == ["newer", "older", "small", "sent"]


def test_what_does_not_fit_gives_way_to_what_does() -> None:
    queues = broadcasts(budget=100)
    for key, size in (("a", 60), ("b", 50), ("c", 20)):
        queues.user.put(key, message(key, size))
    assert [texts(packet) for packet in queues.packets(9, 9)] == [["a", "c"], ["b"]]


def test_a_newer_message_takes_the_place_of_the_older_of_its_key_and_starts_anew() -> None:
    queues = broadcasts()
    queues.members.put("k", message("old"))
    queues.packets(1, 9)
    queues.members.put("k", message("new"))
    assert len(queues.members) == 1
    assert [texts(packet) for _ in range(9) for packet in queues.packets(1, 9)] == [["new"]] * 9
    assert not queues


def test_members_come_first_and_others_fill_the_rest() -> None:
    queues = broadcasts(budget=60)
    queues.user.put("user", message("user", 10))
    for number in range(2):
        queues.members.put(str(number), message(str(number), 20))
    assert texts(queues.packets(1, 9)[0]) == ["1", "0"]
    queues.members.remove("0")
    assert texts(queues.packets(1, 9)[0]) == ["1", "user"]


def test_a_storm_of_members_does_not_stop_the_others() -> None:
    queues = broadcasts(budget=60)
    queues.user.put("user", message("user", 10))
    for number in range(50):
        queues.members.put(str(number), message(str(number), 20))
    assert "user" in texts(queues.packets(2, 9)[1])


def test_one_receiver_gets_a_message_once() -> None:
    queues = broadcasts()
    for number in range(90):
        queues.user.put(str(number), message(str(number), 100))
    packets = queues.packets(8, 9)
    got = [text for packet in packets for text in texts(packet)]
    assert sorted(got, key=int) == [str(number) for number in range(90)]
    assert all(len(packet) <= 1400 for packet in packets)


def test_a_compound_has_no_more_parts_than_its_count_can_say() -> None:
    queues = broadcasts(budget=60_000, max_user=1000)
    for number in range(600):
        queues.user.put(str(number), message(str(number)))
    assert [len(texts(packet)) for packet in queues.packets(9, 9)] == [255, 255, 90]


def test_what_is_longer_than_a_packet_travels_alone() -> None:
    queues = broadcasts()
    queues.user.put("long", message("long", 5000))
    queues.user.put("short", message("short"))
    assert [texts(packet) for packet in queues.packets(9, 9)] == [["long"], ["short"]]
    assert texts(queues.along(message("ack"), transmits=9)) == ["ack", "short"]


def test_news_along_with_an_answer_count_as_sent_and_keep_to_the_budget() -> None:
    queues = broadcasts(budget=100)
    for number in range(9):
        queues.user.put(str(number), message(str(number), 30))
    packet = queues.along(message("ping", 20), transmits=1)
    assert len(packet) <= 100
    assert texts(packet)[0] == "ping"
    assert len(queues.user) == 9 - len(texts(packet)[1:])


def test_a_full_queue_drops_what_was_sent_most_and_counts_it() -> None:
    queue = Queue(3)
    for key in ("twice", "once", "never"):
        queue.put(key, message(key))
    for key, times in (("twice", 2), ("once", 1)):
        for _ in range(times):
            item = queue._items[key]
            queue._tiers[item.transmits].remove(item)
            queue.give_back([item], 9)
    queue.put("new", message("new"))
    assert (set(queue._items), queue.dropped) == ({"once", "never", "new"}, 1)
    queue.put("newer", message("newer"))
    assert (set(queue._items), queue.dropped) == ({"never", "new", "newer"}, 2)


def test_replacing_in_a_full_queue_drops_nothing() -> None:
    queue = Queue(2)
    for key in ("a", "b", "a", "b"):
        queue.put(key, message(key))
    assert (len(queue), queue.dropped) == (2, 0)


def test_bytes_are_those_of_the_messages_that_wait() -> None:
    queue = Queue(50)
    rng = random.Random(1)
    for number in range(200):
        queue.put(str(rng.randrange(70)), message(str(number), rng.randrange(300)))
        item = queue.pick(rng.randrange(400))
        if item is not None:
            queue.give_back([item], 3)
        assert queue.bytes == sum(len(item.message) for item in queue._items.values())
        assert sum(len(items) for tier in queue._tiers for items in tier._items.values()) == len(queue)


def test_a_pick_from_a_long_queue_takes_no_longer_than_from_a_short_one() -> None:
    def per_pick(length: int) -> float:
        queue = Queue(length)
        for number in range(length):
            queue.put(str(number), message(str(number), 100 + number % 200))
        best = float("inf")
        for _ in range(5):
            start = time.perf_counter()
            for _ in range(200):
                item = queue.pick(250)
                assert item is not None
                queue.give_back([item], 99)
            best = min(best, time.perf_counter() - start)
        return best

    assert per_pick(20_000) < 10 * per_pick(400)  # proportional to the length, it would be 50 times


@pytest.mark.parametrize("count", [1, 5])
def test_empty_queues_fill_no_packet(count: int) -> None:
    assert broadcasts().packets(count, 9) == []
    assert broadcasts().along(message("x"), transmits=9) == message("x")
