"""`http_challenge_config`: what it may say, alone and beside `http_challenge`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from acme_manager.config.http_stores import HttpStoreConfig, MemcachedConfig, S3Config, WebrootConfig
from acme_manager.config.model import IssuerConfig
from acme_manager.config.schema import structure

LOOPBACK = ("127.0.0.1", 11211)


def read(config: Any, **issuer: Any) -> tuple[HttpStoreConfig | None, list[str]]:
    raw = {"ca_dir_url": "https://ca.test/dir", "http_challenge_config": config, **issuer}
    value, problems = structure(raw, IssuerConfig, name="ca")
    return (value.http_challenge_config if value else None), [
        f"{'.'.join(map(str, steps))} {said}" for steps, said in problems
    ]


@pytest.mark.parametrize(
    ("challenge", "config", "expected"),
    [
        ("webroot", "/var/www", WebrootConfig(roots=(Path("/var/www"),))),
        ("webroot", {"roots": ["/a", "/b"]}, WebrootConfig(roots=(Path("/a"), Path("/b")))),
        ("memcached", "127.0.0.1, [::1]:5", MemcachedConfig(servers=(LOOPBACK, ("::1", 5)))),
        ("memcached", {"servers": ["cache.test:5"]}, MemcachedConfig(servers=(("cache.test", 5),))),
        ("s3", "answers", S3Config(bucket="answers")),
        (
            "s3",
            {"bucket": "answers", "endpoint": "https://s3.test/", "prefix": "/www/", "path_style": False},
            S3Config(bucket="answers", endpoint="https://s3.test", prefix="www", path_style=False),
        ),
        # Certificates may choose one that the issuer does not.
        ("", {"servers": ["127.0.0.1"]}, MemcachedConfig(servers=(LOOPBACK,))),
        ("kvring", {"bucket": "answers"}, S3Config(bucket="answers")),
        # What the Go original was given, and ignored.
        ("kvring", "whatever", None),
        ("", "whatever", None),
        ("kvring", "", None),
        ("kvring", None, None),
    ],
)
def test_what_it_may_say(challenge: str, config: Any, expected: HttpStoreConfig | None) -> None:
    assert read(config, http_challenge=challenge) == (expected, [])


@pytest.mark.parametrize(
    ("challenge", "config", "told"),
    [
        ("webroot", "var/www", "http_challenge_config.roots must be an absolute path"),
        ("webroot", {"roots": ["/a\n/b"]}, "http_challenge_config.roots must be paths of one line"),
        ("webroot", {"roots": []}, "http_challenge_config.roots must be the document root"),
        ("webroot", {"root": "/a"}, "http_challenge_config.root is no key of ours, did you mean 'roots'?"),
        ("webroot", {"root": "/a"}, "http_challenge_config.roots is missing: the document roots"),
        ("webroot", 5, "http_challenge_config must be a mapping"),
        ("memcached", "a b", "http_challenge_config.servers must be a server like host"),
        ("memcached", "::1", "http_challenge_config.servers must be a server like host"),
        ("memcached", "host:0", "http_challenge_config.servers must be a server like host"),
        ("s3", "Answers", "http_challenge_config.bucket must be a bucket's name"),
        (
            "s3",
            {"bucket": "bbb", "endpoint": "https://s3.test/path"},
            "http_challenge_config.endpoint must be a URL without",
        ),
        ("s3", {"bucket": "bbb", "region": "a b"}, "http_challenge_config.region must be a region"),
        ("s3", {"bucket": "bbb", "prefix": "a/../b"}, "http_challenge_config.prefix must be a path in the bucket"),
        ("s3", {"bucket": "bbb", "acl": "a: b"}, "http_challenge_config.acl must be a canned ACL"),
        ("kvring", {"folder": "/a"}, "http_challenge_config must be a mapping with one of 'roots' (webroot)"),
    ],
)
def test_what_is_wrong_is_told_with_its_path_and_a_remedy(challenge: str, config: Any, told: str) -> None:
    value, problems = read(config, http_challenge=challenge)
    assert value is None
    assert [one for one in problems if one.startswith(told)], problems
