"""moto as an S3 server: `python s3_server.py PORT BUCKET KEY_FILE`.

It checks signatures with botocore's own code, which is not ours, and policies. The key file gets the id and the secret
of a user who may write and delete, and nothing else. Anybody may read, as moto has no anonymous access: what comes
without a signature is signed here for a user who may read.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import httpx
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

_REGION = "us-east-1"
Answer = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class _Readable:
    """A WSGI application around moto's."""

    def __init__(self) -> None:
        self.moto: Answer = DomainDispatcherApplication(create_backend_app)
        self.reader: Credentials | None = None

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if self.reader is not None and environ["REQUEST_METHOD"] == "GET" and "HTTP_AUTHORIZATION" not in environ:
            request = AWSRequest("GET", f"http://{environ['HTTP_HOST']}{quote(environ['PATH_INFO'])}")
            S3SigV4Auth(self.reader, "s3", _REGION).add_auth(request)
            environ |= {f"HTTP_{name.upper().replace('-', '_')}": text for name, text in request.headers.items()}
        return self.moto(environ, start)


def main(port: int, bucket: str, key_file: Path) -> None:
    """Serve until killed."""
    application, url = _Readable(), f"http://127.0.0.1:{port}"
    server = make_server("127.0.0.1", port, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    access = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": _REGION, "endpoint_url": url}
    boto3.client("s3", **access).create_bucket(Bucket=bucket)
    writer = _user(boto3.client("iam", **access), "writer", ["s3:PutObject", "s3:DeleteObject"])
    application.reader = Credentials(*_user(boto3.client("iam", **access), "reader", ["s3:GetObject"]))
    httpx.post(f"{url}/moto-api/reset-auth", content=b"0", trust_env=False)  # from now on it checks
    key_file.with_suffix(".new").write_text("\n".join(writer))
    key_file.with_suffix(".new").rename(key_file)
    thread.join()


def _user(iam: Any, name: str, actions: list[str]) -> tuple[str, str]:
    iam.create_user(UserName=name)
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
