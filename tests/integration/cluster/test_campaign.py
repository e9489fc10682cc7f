"""A short campaign of faults; scripts/campaign runs longer ones."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.integration.cluster.campaign import run
from tests.integration.cluster.history import Outcome


@pytest.mark.usefixtures("hosts_can_be_made")
async def test_nothing_acknowledged_is_lost_and_nothing_is_done_twice_whatever_happens(tmp_path: Path) -> None:
    said: list[str] = []
    report = await run(tmp_path, 45, 9, said.append)
    assert not report.complaints, "\n".join([*said, str(report)])
    assert report.faults >= 5
    outcomes = Counter(write.outcome for write in report.writes)
    assert outcomes[Outcome.DONE] > 30  # or the clients have not tried hard enough
    assert report.orders > 5
    assert report.reads > 100
