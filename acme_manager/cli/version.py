"""What `-version` prints: the block of prometheus/common, with Python's version in place of Go's."""

from __future__ import annotations

import platform

from acme_manager.build import UNKNOWN, build


def version_block(program: str) -> str:
    """The lines that `-version` prints."""
    known = build()
    return (
        f"{program}, version {known.version} (branch: {known.branch}, revision: {known.revision})\n"
        f"  build user:       {UNKNOWN}\n"
        f"  build date:       {UNKNOWN}\n"
        f"  python version:   {platform.python_version()}\n"
        f"  platform:         {platform.system().lower()}/{platform.machine()}\n"
        f"  tags:             {UNKNOWN}\n"
    )
