"""What `-version` prints: the block of prometheus/common, with Python's version in place of Go's."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, distribution

import attrs

from acme_manager import __version__

_UNKNOWN = "unknown"


@attrs.frozen(kw_only=True)
class Build:
    """What is known of how this program was installed."""

    version: str = __version__
    revision: str = _UNKNOWN
    branch: str = _UNKNOWN


def build() -> Build:
    """Ask the installed package; revision and branch are known when it was installed from a repository (PEP 610)."""
    try:
        origin = json.loads(distribution("acme-manager").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return Build()
    vcs = origin.get("vcs_info", {})
    return Build(revision=vcs.get("commit_id", _UNKNOWN), branch=vcs.get("requested_revision", _UNKNOWN))


def version_block(program: str) -> str:
    """The lines that `-version` prints."""
    known = build()
    return (
        f"{program}, version {known.version} (branch: {known.branch}, revision: {known.revision})\n"
        f"  build user:       {_UNKNOWN}\n"
        f"  build date:       {_UNKNOWN}\n"
        f"  python version:   {platform.python_version()}\n"
        f"  platform:         {platform.system().lower()}/{platform.machine()}\n"
        f"  tags:             {_UNKNOWN}\n"
    )
