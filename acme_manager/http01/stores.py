"""The stores that there are, made of the configuration."""

from __future__ import annotations

from collections.abc import Mapping

from acme_manager.config.http_stores import HttpStoreConfig, MemcachedConfig, WebrootConfig
from acme_manager.http01.memcached import Memcached
from acme_manager.http01.s3 import S3, settled
from acme_manager.http01.store import Opener, Store, StoreSolver
from acme_manager.http01.webroot import Webroot
from acme_manager.ports import Clock


def store_solver(name: str, config: HttpStoreConfig, environ: Mapping[str, str], clock: Clock) -> StoreSolver:
    """A solver that puts answers where `http_challenge_config` says; `name` is that of the store."""
    openers: dict[str, Opener] = {
        "webroot": Webroot.at,
        "memcached": Memcached.at,
        "s3": lambda place: S3.at(place, environ, clock),
    }
    return StoreSolver(name, _store(config, environ, clock), openers)


def _store(config: HttpStoreConfig, environ: Mapping[str, str], clock: Clock) -> Store:
    if isinstance(config, WebrootConfig):
        return Webroot(config.roots)
    if isinstance(config, MemcachedConfig):
        return Memcached(config.servers)
    return S3(config=settled(config, environ), environ=environ, clock=clock)
