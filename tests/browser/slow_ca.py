"""A CA that takes its time, so that there is something to see on the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.browser.backstage import Backstage
from tests.browser.stage import Stage
from tests.parts.faults import Hold


@contextmanager
def finalizing_waits(behind: Backstage[Stage]) -> Iterator[None]:
    """Hold back the next order that is ready to be finalized, for the length of a block."""
    hold, proxy = Hold(), behind.value.cluster.to_ca
    behind.run(lambda: proxy.plan(hold, on="finalize-order"))
    try:
        yield
    finally:
        behind.run(hold.release.set)
