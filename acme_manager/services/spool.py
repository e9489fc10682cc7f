"""A copy on disk of what a CA has issued, for as long as storage can't take it (`common.rootpath_certificate`).

The order's record lets any node fetch the certificate again from the CA; this copy helps when the CA has forgotten it.
It holds no key.
"""

from __future__ import annotations

import os
from pathlib import Path

import structlog

from acme_manager.domain.certificate import CertificateId
from acme_manager.domain.names import file_safe

_log = structlog.get_logger(__name__)


class Spool:
    """Files `<root>/<owner>/<issuer>/<domain>.crt`, readable by us alone."""

    def __init__(self, root: Path | None) -> None:
        self._root = root

    def save(self, id: CertificateId, chain: str) -> None:
        """Write the copy; a disk that refuses is logged, since nothing depends on it."""
        path = self._path(id)
        if path is None:
            return
        try:
            path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            beside = path.with_suffix(".new")
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(chain)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except OSError as error:
            _log.warning("safety copy not written", key=id.key, path=str(path), error=str(error))

    def load(self, id: CertificateId) -> str:
        """The copy, empty where there is none."""
        path = self._path(id)
        try:
            return path.read_text() if path is not None else ""
        except OSError:
            return ""

    def remove(self, id: CertificateId) -> None:
        """Storage has it now."""
        path = self._path(id)
        if path is not None:
            path.unlink(missing_ok=True)

    def _path(self, id: CertificateId) -> Path | None:
        return None if self._root is None else self._root / f"{file_safe(id.key)}.crt"
