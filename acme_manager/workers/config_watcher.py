"""The config watcher (guide, "Background Workers"): what changes in `config.yml` counts without a restart.

A file that can't be used changes nothing, and says so until it is mended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import structlog
import trio
from prometheus_client import CollectorRegistry, Gauge

from acme_manager.config.model import Config
from acme_manager.errors import ConfigInvalid
from acme_manager.metrics import ExactCounter

_log = structlog.get_logger(__name__)


@attrs.define
class ConfigWatcher:
    """`load` reads the configuration anew; each of `appliers` is given it when it has changed."""

    current: Config
    load: Callable[[], Config]
    appliers: Sequence[Callable[[Config], None]]
    _error: Gauge
    _reloads: ExactCounter

    @classmethod
    def on(
        cls,
        registry: CollectorRegistry,
        current: Config,
        load: Callable[[], Config],
        appliers: Sequence[Callable[[Config], None]],
    ) -> ConfigWatcher:
        """With its metrics, under the guide's names."""
        error = Gauge("acme_manager_config_error", "1 while config.yml can't be used", registry=registry)
        reloads = ExactCounter("acme_manager_config_reload", "Changes of config.yml that were applied", registry)
        return cls(current, load, appliers, error, reloads)

    async def look(self) -> None:
        """One round."""
        try:
            found = await trio.to_thread.run_sync(self.load)
        except ConfigInvalid as error:
            self._error.set(1)
            for complaint in error.complaints:
                _log.error("configuration not applied", where=complaint.where, err=complaint.message)
            return
        self._error.set(0)
        if found != self.current:
            self.current = found
            for apply in self.appliers:
                apply(found)
            self._reloads.inc()
            _log.info("configuration applied")
