"""Who may be wrong how often."""

from acme_manager.web.throttle import Allowance, Buckets, Throttle


def test_a_source_may_be_wrong_so_often_and_then_has_to_wait() -> None:
    buckets = Buckets(Allowance(burst=3, refill=10))
    for _ in range(3):
        assert buckets.wait("a", 100.0) == 0
        buckets.take("a", 100.0)
    assert buckets.wait("a", 100.0) == 10
    assert buckets.wait("a", 107.0) == 3
    assert buckets.wait("b", 100.0) == 0
    assert buckets.wait("a", 110.0) == 0


def test_a_peer_that_invents_sources_runs_out_all_the_same() -> None:
    throttle = Throttle()
    for number in range(100):
        assert throttle.wait("peer", f"client-{number}", 0.0) == 0
        throttle.failed("peer", f"client-{number}", 0.0)
    assert throttle.wait("peer", "another", 0.0) > 0
    assert throttle.wait("another peer", "", 0.0) == 0


def test_sources_without_end_take_no_memory_without_end() -> None:
    buckets = Buckets(Allowance(burst=1, refill=60))
    for number in range(25_000):
        buckets.take(str(number), float(number))
    assert len(buckets._full_at) <= 10_000
