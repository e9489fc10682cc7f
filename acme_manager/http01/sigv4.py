"""Signed requests to S3 (AWS Signature Version 4, "Authenticating Requests: Using the Authorization Header"). Pure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

import attrs

_ALGORITHM = "AWS4-HMAC-SHA256"


@attrs.frozen
class Credentials:
    """An access key of AWS, or of what speaks like it."""

    access_key: str
    secret_key: str = attrs.field(repr=False)
    session_token: str = attrs.field(default="", repr=False)


def signed(
    method: str,
    host: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    region: str,
    credentials: Credentials,
    at: datetime,
) -> dict[str, str]:
    """The headers to send: those given, and the ones that S3 knows the sender by.

    `path` is as it is sent, see `escaped`; there is no query. `host` has the port where it is not the scheme's own.
    """
    stamp, digest = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ"), hashlib.sha256(body).hexdigest()
    token = {"x-amz-security-token": credentials.session_token} if credentials.session_token else {}
    every = {
        **{name.lower(): value for name, value in headers.items()},
        **token,
        "host": host,
        "x-amz-content-sha256": digest,
        "x-amz-date": stamp,
    }
    names = ";".join(sorted(every))
    lines = [f"{name}:{' '.join(every[name].split())}" for name in sorted(every)]
    request = "\n".join([method, path, "", *lines, "", names, digest])
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    text = "\n".join([_ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = b"AWS4" + credentials.secret_key.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    who = f"Credential={credentials.access_key}/{scope},SignedHeaders={names},Signature={signature}"
    return {**every, "authorization": f"{_ALGORITHM} {who}"}


def escaped(path: str) -> str:
    """A path as S3 signs it: everything but unreserved characters and slashes is escaped, once."""
    return quote(path, safe="/-_.~")
