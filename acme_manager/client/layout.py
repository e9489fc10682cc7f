"""Where the files of a certificate are: the Go original's layout, with or without a slash behind `certificate_dir`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs

from acme_manager.client.model import Common, Format

RECORD = ".acme-manager-client.json"
VERSIONS = ".acme-manager"
CURRENT = "current"

_EXTENSIONS = {
    Format.FULLCHAIN: ".fullchain.pem",
    Format.COMBINED: ".combined.pem",
    Format.PKCS12: ".p12",
    Format.JKS: ".jks",
    Format.DER: ".der",
}


@attrs.frozen(kw_only=True)
class Paths:
    """The public names of one certificate's files, and the folder that its versions are in."""

    certificate: Path
    key: Path
    chain: Path
    formats: Mapping[Format, Path]
    versions: Path

    @property
    def current(self) -> Path:
        """The one link that every public name goes through."""
        return self.versions / CURRENT

    def every(self) -> tuple[Path, ...]:
        """All public names there can be."""
        return (self.certificate, self.key, self.chain, *self.formats.values())


def paths_of(common: Common, identity: str) -> Paths:
    """Where a certificate's files are; `common.certificate_dir` must be set.

    The identity is used as it is, `*` included, as the Go original does.
    """
    assert common.certificate_dir is not None
    folder = common.certificate_dir

    def beside(extension: str) -> Path:
        return folder / f"{identity}{extension}"

    return Paths(
        certificate=beside(common.certificate_file_ext),
        key=beside(common.certificate_keyfile_ext),
        chain=beside(common.certificate_ca_file_ext),
        formats={one: beside(extension) for one, extension in _EXTENSIONS.items()},
        # The suffix keeps a certificate named like an issuer apart from those of that issuer.
        versions=folder / VERSIONS / f"{identity}.d",
    )
