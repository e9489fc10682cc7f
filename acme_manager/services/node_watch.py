"""What a node notes about itself every few seconds: how much gossip passes, and which configuration it goes by."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import trio

from acme_manager.ports import Cluster, SharedMap
from acme_manager.services.settings import Settings

_EVERY = 10.0  # seconds
_KEPT = 7  # samples: rates are those of the last minute
_FACT = "config"
_DIGITS = 12  # of the digest of config.yml


class NodeWatch:
    """Rates are of this node; configurations are told to all nodes, so that each can show whose differs."""

    def __init__(self, cluster: Cluster, shared: SharedMap, settings: Settings) -> None:
        self._cluster, self._shared, self._settings = cluster, shared, settings
        self._samples = deque[tuple[float, Mapping[str, int]]](maxlen=_KEPT)
        self._told = ""

    async def run(self) -> None:
        """Look, for as long as the node runs."""
        while True:
            self._samples.append((trio.current_time(), dict(self._cluster.statistics().get("traffic", {}))))
            if self._told != (digest := self.configuration):
                self._cluster.put_fact(_FACT, digest.encode())
                self._told = digest
            await trio.sleep(_EVERY)

    def rates(self) -> Mapping[str, float]:
        """How much passes in a second, by the names of the statistics' `traffic`; empty until there are two samples."""
        if len(self._samples) < 2:
            return {}
        (before, first), (now, last) = self._samples[0], self._samples[-1]
        return {name: (count - first.get(name, 0)) / (now - before) for name, count in last.items()}

    @property
    def configuration(self) -> str:
        """The digest of the `config.yml` in use, cut short."""
        return self._settings.config.digest[:_DIGITS]

    def configuration_of(self, member: str) -> str:
        """The same of any member; empty where it has not been told."""
        value = self._shared.get(f"member/{member}/{_FACT}")
        return value.decode(errors="replace")[:_DIGITS] if value is not None else ""
