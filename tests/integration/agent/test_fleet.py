"""Agents of a cluster whose leader is killed: every host serves what is renewed after that, within seconds."""

from __future__ import annotations

from pathlib import Path

from tests.bench.agents import time_to_served

AGENTS = 3
SOON = 10.0  # seconds, on a busy machine; what it takes on a quiet one is in docs/performance.md


async def test_every_host_serves_what_was_renewed_after_the_leaders_death(tmp_path: Path) -> None:
    figures = await time_to_served(tmp_path, AGENTS, singles=0)
    assert len(figures.together) == AGENTS
    assert all(0 <= one.installed <= one.served < SOON for one in figures.together), figures
