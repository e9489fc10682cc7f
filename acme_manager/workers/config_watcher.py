"""The config watcher (guide, "Background Workers"): what changes in `config.yml` or `.env` counts without a restart.

A change is applied as a whole or not at all. One that can't be applied says so until it is mended, and is tried again
at every look, since what was in its way may have gone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import structlog
import trio
from prometheus_client import CollectorRegistry, Gauge

from acme_manager.config.changes import RESTART, Change, changes
from acme_manager.config.model import Config
from acme_manager.errors import AcmeManagerError, Complaint, ConfigInvalid
from acme_manager.metrics import ExactCounter
from acme_manager.services.audit import Audit
from acme_manager.services.reconfiguring import Follower, Part, reconfigure
from acme_manager.services.settings import Settings
from acme_manager.structure import Bell

_log = structlog.get_logger(__name__)

_SETTLED = 0.5  # seconds for which the files must say the same: half of a file can be a configuration too
_PATIENCE = 60.0  # seconds for all parts to make ready
_HASH_DIGITS = 12  # of the hash in hex: as much as a metric's floating point number holds exactly


@attrs.frozen
class _Metrics:
    reloads: ExactCounter
    error: Gauge
    restart: Gauge
    taken: Gauge
    hash: Gauge

    @classmethod
    def on(cls, registry: CollectorRegistry) -> _Metrics:
        def gauge(name: str, help: str) -> Gauge:
            return Gauge(f"acme_manager_config_{name}", help, registry=registry)

        return cls(
            ExactCounter("acme_manager_config_reload", "Changes of the configuration that were applied", registry),
            gauge("error", "1 while config.yml or .env can't be applied"),
            gauge("restart_required", "1 while config.yml waits for a restart of this node to be applied"),
            gauge("last_reload_timestamp_seconds", "When the configuration in use was taken"),
            gauge("hash", "Made of the content of config.yml in use: the same on nodes that use the same file"),
        )


@attrs.frozen
class _Seen:
    """What a look found: a configuration, or what is wrong with the files."""

    config: Config | None
    complaints: tuple[Complaint, ...] = ()


class ConfigWatcher:
    """Compares what `read` finds with the settings in use, and has these and `parts` go over to it.

    `asked` rings when somebody wants an answer: then also old trouble is told again.
    """

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Config],
        parts: Sequence[Part],
        registry: CollectorRegistry,
        asked: Bell,
        audit: Audit,
    ) -> None:
        self._settings, self._read, self._asked, self._audit = settings, read, asked, audit
        self._parts = (*parts, Follower(settings.go_by))
        self._metrics = _Metrics.on(registry)
        self._rings = asked.rings
        self._said: object = None  # the trouble that was told last
        self._in_use(settings.config)
        self._metrics.taken.set_to_current_time()

    async def look(self) -> None:
        """One round."""
        asked, self._rings = self._rings != self._asked.rings, self._asked.rings
        if asked:
            self._said = None
        try:
            seen = await self._see()
            if seen.config != self._settings.config:
                await trio.sleep(_SETTLED)
                if await self._see() != seen:
                    _log.info("configuration is still being written, it is read again at the next look")
                    return
            if seen.config is None:
                self._refuse(seen.complaints)
            elif seen.config == self._settings.config:
                if asked or self._said is not None:
                    _log.info("configuration in use is what the files say")
                self._in_use(seen.config)
            else:
                await self._apply(seen.config)
        except Exception:
            self._metrics.error.set(1)
            raise

    async def _see(self) -> _Seen:
        try:
            return _Seen(await trio.to_thread.run_sync(self._read))
        except ConfigInvalid as error:
            return _Seen(None, error.complaints)

    async def _apply(self, config: Config) -> None:
        found = changes(self._settings.config, config)
        waiting = [change for change in found if change.path in RESTART]
        if waiting:
            self._postpone(waiting)
            return
        try:
            with trio.move_on_after(_PATIENCE):
                await reconfigure(self._parts, self._settings.config, config)
        except ConfigInvalid as error:
            self._refuse(error.complaints)
        except AcmeManagerError as error:
            self._refuse([Complaint("", str(error))])
        else:
            if self._settings.config is not config:
                self._refuse([Complaint("", f"not all parts of this node were ready for it within {_PATIENCE:g} s")])
                return
            self._in_use(config)
            self._metrics.reloads.inc()
            self._metrics.taken.set_to_current_time()
            _log.info("configuration applied", changed="; ".join(map(str, found)))
            self._audit.note_own("config.reload", "config.yml", words=", ".join(change.path for change in found))

    def _in_use(self, config: Config) -> None:
        self._said = None
        self._settings.refused = self._settings.postponed = ""
        self._metrics.error.set(0)
        self._metrics.restart.set(0)
        self._metrics.hash.set(int(config.digest[:_HASH_DIGITS] or "0", 16))

    def _refuse(self, complaints: Sequence[Complaint]) -> None:
        words = (f"{one.where}: {one.message}" if one.where else one.message for one in complaints)
        self._settings.refused, self._settings.postponed = "; ".join(words), ""
        self._metrics.error.set(1)
        self._metrics.restart.set(0)
        if self._is_news(tuple(complaints)):
            for one in complaints:
                _log.error("configuration not applied, the old one stays", where=one.where, err=one.message)

    def _postpone(self, waiting: Sequence[Change]) -> None:
        self._settings.refused, self._settings.postponed = "", "; ".join(map(str, waiting))
        self._metrics.error.set(0)
        self._metrics.restart.set(1)
        if self._is_news(tuple(waiting)):
            _log.warning(
                "configuration not applied: it needs a restart, and nothing of it counts before",
                changed="; ".join(map(str, waiting)),
            )

    def _is_news(self, trouble: object) -> bool:
        news, self._said = trouble != self._said, trouble
        return news
