"""Who answers challenges that are no DNS records, by the names that `http_challenge` uses."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from acme_manager.config.http_stores import NEEDED, STORES, HttpStoreConfig
from acme_manager.errors import InvalidRequest
from acme_manager.http01.stores import store_solver
from acme_manager.ports import Clock, Solver
from acme_manager.services.settings import Settings


@attrs.frozen(kw_only=True)
class Responders:
    """Makes a solver for each order."""

    own: Mapping[str, Solver]  # those that answer on every node of ours
    settings: Settings
    clock: Clock

    def solver(self, name: str, config: HttpStoreConfig | None) -> Solver:
        """The solver of that name with an issuer's `http_challenge_config`.

        Raises InvalidRequest for one that is not there, or not set up.
        """
        if name in self.own:
            return self.own[name]
        if name not in STORES:
            known = ", ".join([*self.own, *STORES])
            raise InvalidRequest(f"unknown http_challenge '{name}'; this server has: {known}", "http_challenge")
        if not isinstance(config, STORES[name]):
            raise InvalidRequest(
                f"http_challenge '{name}' is not set up for this issuer: an administrator must give '{NEEDED[name]}' in"
                " its http_challenge_config",
                "http_challenge",
            )
        return store_solver(name, config, self.settings.environ, self.clock)
