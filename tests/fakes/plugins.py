"""Plugins that are shell scripts."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from acme_manager.clock import SystemClock
from acme_manager.config.model import Plugin
from acme_manager.plugins import PluginMetrics, PluginRunner


def plugin(folder: Path, body: str, name: str = "p", *, first: str = "#!/bin/sh", **settings: Any) -> Plugin:
    """A plugin with this body, in a file that has its name."""
    path = folder / name
    path.write_text(f"{first}\n{body}\n")
    path.chmod(0o755)
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    return Plugin(**{"name": name, "path": path, "checksum": checksum, **settings})


def plugin_runner() -> PluginRunner:
    """One whose metrics nobody looks at."""
    return PluginRunner(PluginMetrics(CollectorRegistry()), SystemClock())
