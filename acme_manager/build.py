"""What is known of how this program was built and installed: for `-version` and for metrics."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, distribution

import attrs

from acme_manager import __version__

UNKNOWN = "unknown"  # what a Go program says of a build that nobody described


@attrs.frozen(kw_only=True)
class Build:
    """What is known of how this program was installed."""

    version: str = __version__
    revision: str = UNKNOWN
    branch: str = UNKNOWN


def build() -> Build:
    """Ask the installed package; revision and branch are known when it was installed from a repository (PEP 610)."""
    try:
        origin = json.loads(distribution("acme-manager").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return Build()
    vcs = origin.get("vcs_info", {})
    return Build(revision=vcs.get("commit_id", UNKNOWN), branch=vcs.get("requested_revision", UNKNOWN))
