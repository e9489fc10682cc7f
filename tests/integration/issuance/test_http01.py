"""Answers to http-01 where a web server of others finds them: nginx gives them, and Pebble asks."""

from __future__ import annotations

from pathlib import Path

from acme_manager.config.http_stores import HttpStoreConfig, MemcachedConfig, S3Config, WebrootConfig
from acme_manager.domain.keys import belong_together
from acme_manager.http01.stores import store_solver
from tests.integration.issuance.helpers import SystemClock, issue, make_request, opened
from tests.parts.challtestsrv import challtestsrv
from tests.parts.memcached import memcached
from tests.parts.nginx import nginx
from tests.parts.pebble import pebble
from tests.parts.s3 import BUCKET, s3

LOCATION = "location /.well-known/acme-challenge/"


async def test_pebble_believes_what_nginx_takes_from_a_folder_from_memcached_and_from_a_bucket(tmp_path: Path) -> None:
    for folder in (*tmp_path.parents[:2], tmp_path):
        folder.chmod(0o755)  # nginx's worker reads as nobody does
    root = tmp_path / "root"
    root.mkdir(mode=0o755)
    async with challtestsrv(tmp_path) as world, memcached(tmp_path) as cache, s3(tmp_path) as bucket:
        servers = {
            "file.example.test": f"root {root};",
            "cache.example.test": f"{LOCATION} {{ set $memcached_key $uri; memcached_pass 127.0.0.1:{cache.port}; }}",
            "bucket.example.test": f"{LOCATION} {{ proxy_pass {bucket.url}/{BUCKET}/www$uri; }}",
        }
        async with (
            nginx(tmp_path, servers) as http_port,
            pebble(tmp_path, dns=world.dns, http_port=http_port) as ca,
            opened(ca.directory, None, ca=ca.ca_pem) as issuer,
        ):
            stores: dict[str, tuple[str, HttpStoreConfig]] = {
                "file.example.test": ("webroot", WebrootConfig(roots=(root,))),
                "cache.example.test": ("memcached", MemcachedConfig(servers=(cache.server, ("127.0.0.1", 1)))),
                "bucket.example.test": ("s3", S3Config(bucket=BUCKET, endpoint=bucket.url, prefix="www")),
            }
            for host, (name, config) in stores.items():
                request = make_request(host)
                solver = store_solver(name, config, bucket.environ, SystemClock())
                assert belong_together((await issue(issuer, request, solver)).chain, request.csr)
    assert [path for path in root.rglob("*") if path.is_file()] == []
