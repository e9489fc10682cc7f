"""Skips tests that need hosts of their own where those can't be made."""

from __future__ import annotations

import pytest

from tests.parts.hosts import why_no_hosts


@pytest.fixture
def hosts_can_be_made() -> None:
    """Skip a test where there can't be hosts in network namespaces."""
    if why := why_no_hosts():
        pytest.skip(why)
