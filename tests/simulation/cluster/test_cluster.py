from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any
from unittest import mock

import pytest

from tests.simulation.cluster.__main__ import main
from tests.simulation.cluster.broken_rules import RULES
from tests.simulation.cluster.run import Result, simulate
from tests.simulation.cluster.world import Broken

CHUNK = 50
ENOUGH = 400  # seeds in which a broken rule must have shown itself


@pytest.mark.parametrize("first", range(0, 750, CHUNK))
def test_three_nodes_keep_every_promise(first: int) -> None:
    check(first, nodes=3)


@pytest.mark.parametrize("first", range(0, 250, CHUNK))
def test_five_nodes_keep_every_promise(first: int) -> None:
    check(first, nodes=5)


@pytest.mark.parametrize("first", range(0, 150, CHUNK))
def test_copies_become_equal_after_tombstones_have_expired(first: int) -> None:
    check(first, nodes=3, expire=True)


def check(first: int, *, nodes: int, expire: bool = False) -> list[Result]:
    results = []
    for seed in range(first, first + CHUNK):
        try:
            results.append(simulate(seed, nodes=nodes, expire=expire))
        except Broken as error:
            again = f"scripts/simulate --seed {seed} --nodes {nodes} --trace" + " --expire" * expire
            pytest.fail(f"{error}\nreplay: {again}")
    assert sum(result.terms for result in results) > 2 * CHUNK, "leaders hardly ever change: the storm is too mild"
    assert sum(result.acknowledged for result in results) > 20 * CHUNK, "hardly anything gets done"
    return results


@pytest.mark.parametrize(("rule", "patches"), RULES.items(), ids=RULES)
def test_the_simulation_notices_when(rule: str, patches: Mapping[str, Any]) -> None:
    with contextlib.ExitStack() as stack:
        for target, replacement in patches.items():
            stack.enter_context(mock.patch(target, replacement))
        with pytest.raises(Broken, match=r"^[1-6]: "):
            run_seeds(ENOUGH)


def run_seeds(seeds: int) -> None:
    for seed in range(seeds):
        simulate(seed, nodes=3 if seed % 2 else 5)


def test_a_seed_replays_event_by_event() -> None:
    first, second = list[str](), list[str]()
    assert simulate(7, lines=first) == simulate(7, lines=second)
    assert first == second
    assert len(first) > 100


def test_the_command_runs_seeds_and_says_what_happened_in_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "2", "--nodes", "3"]) == 0
    assert "2 runs" in capsys.readouterr().out


def test_the_command_names_a_broken_seed_and_how_to_replay_it(capsys: pytest.CaptureFixture[str]) -> None:
    with mock.patch("acme_manager.ring.tenure.Tenure.until", return_value=float("inf")):
        assert main(["--seeds", "30", "--nodes", "5"]) == 1
    said = capsys.readouterr().out
    assert "hold a lease at the same time" in said
    assert "scripts/simulate --seed " in said


def test_the_command_tells_the_whole_story_of_a_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "3", "--nodes", "3", "--trace"]) == 0
    said = capsys.readouterr().out
    assert "LEADS term" in said
    assert "Result(seed=3" in said
