from __future__ import annotations

import pytest

from acme_manager.ring.config import RingConfig
from acme_manager.ring.suspicion import Suspicion, wait


@pytest.mark.parametrize(
    ("members", "interval", "low", "high"),
    [
        (4, 1.0, 4.0, 24.0),
        (10, 1.0, 4.0, 24.0),
        (100, 1.0, 8.0, 48.0),
        (1000, 1.0, 12.0, 72.0),
        (50, 1.0, 6.792, 40.752),  # the logarithm is cut to three digits
        (10, 5.0, 20.0, 120.0),
    ],
)
def test_the_wait_is_between_memberlist_s_bounds(members: int, interval: float, low: float, high: float) -> None:
    suspicion = Suspicion(RingConfig(probe_interval=interval), members=members, accuser="x", now=100.0)
    assert suspicion.deadline == pytest.approx(100 + high)
    assert suspicion.confirm("y")
    assert suspicion.confirm("z")
    assert suspicion.deadline == pytest.approx(100 + low)


@pytest.mark.parametrize("members", [1, 2, 3])
def test_where_too_few_could_confirm_the_wait_is_short_at_once(members: int) -> None:
    suspicion = Suspicion(RingConfig(probe_interval=5.0), members=members, accuser="x", now=0.0)
    assert suspicion.deadline == 20.0
    assert not suspicion.confirm("y")
    assert suspicion.deadline == 20.0


def test_an_accuser_counts_once_and_only_so_many_as_are_wanted() -> None:
    suspicion = Suspicion(RingConfig(), members=9, accuser="x", now=0.0)
    assert [suspicion.confirm(accuser) for accuser in ("x", "y", "y", "z", "w")] == [False, True, False, True, False]


@pytest.mark.parametrize(
    ("confirmations", "wanted", "expected"),
    [(0, 2, 24.0), (1, 2, 11.381), (2, 2, 4.0), (0, 0, 4.0), (1, 3, 14.0), (2, 3, 8.15), (9, 3, 4.0)],
)
def test_each_confirmation_shortens_the_wait(confirmations: int, wanted: int, expected: float) -> None:
    assert wait(confirmations, wanted, 4.0, 24.0) == pytest.approx(expected)


def test_who_could_not_hear_waits_anew_and_keeps_the_accusers() -> None:
    suspicion = Suspicion(RingConfig(), members=9, accuser="x", now=0.0)
    suspicion.confirm("y")
    suspicion.confirm("z")
    suspicion.restart(50.0)
    assert suspicion.deadline == 54.0
