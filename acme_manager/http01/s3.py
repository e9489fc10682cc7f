"""Answers as objects in a bucket of S3, or of what speaks its protocol."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import attrs
import httpx

from acme_manager.config.http_stores import AWS_REGION, S3Config
from acme_manager.errors import ChallengeFailed
from acme_manager.http01.sigv4 import Credentials, escaped, signed
from acme_manager.http01.store import WELL_KNOWN
from acme_manager.ports import Clock

_PATIENCE = 10.0  # seconds for each silence of the server
_LONGEST_ERROR = 300
_PLACE = ("bucket", "endpoint", "region", "prefix")


@attrs.frozen(kw_only=True)
class S3:
    """One bucket, as `settled` has it. The credentials are read when it is used, so that changed ones count at once."""

    config: S3Config
    environ: Mapping[str, str]
    clock: Clock

    @classmethod
    def at(cls, place: Mapping[str, str], environ: Mapping[str, str], clock: Clock) -> S3:
        """The store that `place` describes. Raises ChallengeFailed."""
        try:
            known = {name: place[name] for name in _PLACE}
        except KeyError as error:
            raise ChallengeFailed(f"a stored trace of an http-01 answer in S3 lacks {error}") from None
        bundle = place.get("ca_bundle", "")
        config = S3Config(
            **known, path_style=place.get("path_style") == "true", ca_bundle=Path(bundle) if bundle else None
        )
        return cls(config=config, environ=environ, clock=clock)

    def place(self) -> Mapping[str, str]:
        """See Store."""
        path_style, bundle = "true" if self.config.path_style else "false", str(self.config.ca_bundle or "")
        return {**{name: getattr(self.config, name) for name in _PLACE}, "path_style": path_style, "ca_bundle": bundle}

    async def put(self, token: str, answer: str) -> None:
        """See Store."""
        acl = {"x-amz-acl": self.config.acl} if self.config.acl else {}
        # No cache between the bucket and the CA may keep it.
        await self._send(
            "PUT", token, {"content-type": "text/plain", "cache-control": "no-store", **acl}, answer.encode()
        )

    async def remove(self, token: str) -> None:
        """See Store."""
        await self._send("DELETE", token, {}, b"")

    async def _send(self, method: str, token: str, headers: Mapping[str, str], body: bytes) -> None:
        config = self.config
        origin, path = object_url(config, token)
        everything = signed(
            method,
            urlsplit(origin).netloc,
            path,
            headers,
            body,
            region=config.region,
            credentials=read_credentials(self.environ),
            at=self.clock.now(),
        )
        where = f"bucket '{config.bucket}' at {config.endpoint}: {method}"
        try:
            async with httpx.AsyncClient(timeout=_PATIENCE, verify=_trust(config.ca_bundle)) as client:
                answer = await client.request(method, origin + path, headers=everything, content=body)
        except (httpx.HTTPError, OSError) as error:
            raise ChallengeFailed(f"{where} failed: {str(error) or type(error).__name__}") from error
        if not answer.is_success and not (method == "DELETE" and answer.status_code == httpx.codes.NOT_FOUND):
            raise ChallengeFailed(f"{where} was answered with {answer.status_code} {_reason(answer.text)}")


def settled(config: S3Config, environ: Mapping[str, str]) -> S3Config:
    """The configuration with what it leaves to AWS's variables and to us."""
    region = config.region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or AWS_REGION
    style = bool(config.endpoint) if config.path_style is None else config.path_style
    endpoint = config.endpoint or f"https://s3.{region}.amazonaws.com"
    return attrs.evolve(config, region=region, path_style=style, endpoint=endpoint)


def object_url(config: S3Config, token: str) -> tuple[str, str]:
    """Scheme with authority, and path, of the object that answers for a token."""
    key = "/".join(part for part in (config.prefix, WELL_KNOWN, token) if part)
    scheme, authority = urlsplit(config.endpoint)[:2]
    if config.path_style:
        return f"{scheme}://{authority}", escaped(f"/{config.bucket}/{key}")
    return f"{scheme}://{config.bucket}.{authority}", escaped(f"/{key}")


def read_credentials(environ: Mapping[str, str]) -> Credentials:
    """AWS's own variables, or the files that `AWS_…_FILE` name. Raises ChallengeFailed."""
    access_key, secret_key = _variable(environ, "AWS_ACCESS_KEY_ID"), _variable(environ, "AWS_SECRET_ACCESS_KEY")
    if not access_key or not secret_key:
        raise ChallengeFailed("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the same with _FILE, for the bucket")
    return Credentials(access_key, secret_key, _variable(environ, "AWS_SESSION_TOKEN"))


def _variable(environ: Mapping[str, str], name: str) -> str:
    path = environ.get(f"{name}_FILE", "")
    try:
        return (environ.get(name) or (Path(path).read_text(encoding="utf-8") if path else "")).strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ChallengeFailed(f"the file that {name}_FILE names can't be read: {reason}") from None


@lru_cache(maxsize=8)
def _trust(bundle: Path | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=bundle)


def _reason(document: str) -> str:
    """S3's code and sentence: of our request they have no more than the access key's id."""
    found = re.findall(r"<(?:Code|Message)>([^<]*)</", document)
    return ": ".join(found)[:_LONGEST_ERROR]
