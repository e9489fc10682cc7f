"""The table that scripts/dev-cluster shows."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dev_cluster.looks import Look, describe, leader_of


def look(name: str, *, members: dict[str, str] | None = None, term: int | None = None, **statistics: Any) -> Look:
    """A node; without `members` one that has ended."""
    url, pid = f"http://{name}", 7
    if members is None:
        return Look(name=name, url=url, pid=None, answer=None)
    told = [{"name": member, "state": state, "status": "alive"} for member, state in members.items()]
    own = {"term": term, "voters": list(members), "health_score": 0, "map": {"keys": {}}, **statistics}
    return Look(name=name, url=url, pid=pid, answer={"members": told, "statistics": own})


def cells(looks: list[Look], name: str) -> list[str]:
    (row,) = (line for line in describe(looks).splitlines() if line.startswith(name))
    return row.split()


def test_the_leader_is_believed_about_the_others() -> None:
    follower = look("n1", members={"n1": "ACTIVE", "n2": "ACTIVE"})
    leader = look("n2", members={"n1": "Unhealthy", "n2": "ACTIVE"}, term=4)
    assert leader_of([follower, leader]) is leader
    assert cells([follower, leader], "n1") == ["n1", "http://n1", "7", "Unhealthy", "(alive)", "yes", "0", "-", "0"]
    assert cells([follower, leader], "n2") == ["n2", "http://n2", "7", "ACTIVE", "(alive)", "yes", "yes", "0", "4", "0"]


def test_a_node_that_has_ended_has_no_figures_and_still_votes() -> None:
    looks = [look("n1", members={"n1": "ACTIVE", "n2": "Unhealthy"}), look("n2")]
    assert cells(looks, "n2") == ["n2", "http://n2", "ended", "Unhealthy", "(alive)", "yes", "-", "-", "-"]


@pytest.mark.parametrize("ended", [True, False])
def test_nothing_is_told_where_nobody_answers(ended: bool) -> None:
    looks = [Look(name="n1", url="http://n1", pid=None if ended else 7, answer=None)]
    assert leader_of(looks) is None
    assert cells(looks, "n1") == ["n1", "http://n1", "ended" if ended else "7", "-", "-", "-", "-"]


def test_certificates_are_counted_in_each_nodes_own_copy() -> None:
    behind = look("n1", members={"n1": "ACTIVE"}, map={"keys": {"certificate": 2, "token": 9}})
    assert cells([behind], "n1")[-1] == "2"
