"""What development mode shows: where everything is, and how a first certificate comes about."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import attrs
from cryptography import x509
from cryptography.x509.oid import NameOID

from acme_manager.dev.folder import Folder
from acme_manager.dev.server_config import ISSUER
from acme_manager.domain.certificate import CertificateId
from acme_manager.ports import Step

_SAMPLE = "www.example.test"


@attrs.frozen(kw_only=True)
class Places:
    """All that a newcomer needs to go on."""

    url: str
    bearer: str = attrs.field(repr=False)
    api_key: str = attrs.field(repr=False)
    ca_directory: str
    folder: Folder


def say(text: str) -> None:
    """Show a text at once, even where standard output is a pipe."""
    print(text, flush=True)


def banner(places: Places) -> str:
    """The text once the server answers; its curl lines work as they stand."""
    folder, url = places.folder, places.url
    kept = "kept for the next run" if folder.kept else "thrown away at the end; keep it with -dev.data FOLDER"
    token = f"-H 'Authorization: Bearer {places.bearer}'"
    body = json.dumps({"domain": _SAMPLE, "issuer": ISSUER})
    return f"""
ACME Manager runs in development mode: OpenBao is its store and its CA. For trying things, not for production.

  Look at it     {url}/ui/    (log in with the API key or the token)
  API            {url}/api/v1
  Documentation  {url}/swagger
  Metrics        {url}/metrics
  API token      {places.bearer}
  Admin API key  {places.api_key}
  CA directory   {places.ca_directory}
  CA root        {folder.root_certificate}
  Data           {folder.path} ({kept})

Issue a certificate, then read it (any name does; the private key is in the answer):

  curl -sS {url}/api/v1/certificate {token} -H 'Content-Type: application/json' -d '{body}'
  curl -sS {url}/api/v1/certificate/{ISSUER}/{_SAMPLE} {token}
"""


def describe(chain: str) -> str:
    """Names, issuer and expiry of the first certificate in some PEM."""
    leaf = x509.load_pem_x509_certificate(chain.encode())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    texts = [str(name.value) for name in names]
    by = leaf.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    issuer = str(by[0].value) if by else leaf.issuer.rfc4514_string()
    until = f"{leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    return f"  names    {', '.join(texts)}\n  issuer   {issuer}\n  expires  {until}\n"


class Trail:
    """The steps of one issuance: one line that grows on a terminal, a line for each elsewhere."""

    def __init__(self, domain: str, out: TextIO) -> None:
        self._domain, self._out, self._grows = domain, out, out.isatty()
        self._began = time.monotonic()
        self._steps: list[Step] = []

    def see(self, id: CertificateId, step: Step) -> None:
        """A step was taken; those of other certificates are left out."""
        if id.domain == self._domain:
            self._steps.append(step)
            self._show(f"{time.monotonic() - self._began:.2f} s")

    def _show(self, elapsed: str) -> None:
        if self._grows:
            line = f"{self._domain}: {' > '.join(self._steps)}, {elapsed}"
            room = shutil.get_terminal_size().columns - 1  # a line that wraps can't be rewritten
            self._out.write("\r\x1b[K" + (line if len(line) <= room else "…" + line[1 - room :]))
        else:
            self._out.write(f"{self._domain}: {self._steps[-1]} {elapsed}\n")
        self._out.flush()

    def end(self) -> None:
        """Finish the growing line."""
        if self._grows and self._steps:
            self._out.write("\n")


@contextmanager
def trail(domain: str, out: TextIO = sys.stdout) -> Iterator[Trail]:
    """A trail whose line is finished at the end of the block."""
    shown = Trail(domain, out)
    try:
        yield shown
    finally:
        shown.end()


def chain_of(answer: dict[str, Any]) -> str:
    """The PEM in the API's answer to POST or GET of a certificate."""
    return str(answer["cert"])
