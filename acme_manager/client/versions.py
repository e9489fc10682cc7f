"""One certificate's files on this host, as the rest of the agent handles them: a version as a whole, in PEM.

Everything here blocks: call it in a thread. Every method raises InstallRefused.
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import attrs

from acme_manager.client import install as installer
from acme_manager.client.formats import HOLD_A_KEY, make
from acme_manager.client.install import InstallRefused, NewFile, Ownership, check_together
from acme_manager.client.keys import key_type, new_key
from acme_manager.client.layout import Paths, paths_of
from acme_manager.client.model import Common, Wanted
from acme_manager.client.pending import drop_pending, read_pending, write_pending
from acme_manager.domain.bundle_files import Parts


@attrs.frozen(kw_only=True)
class Versions:
    """The files of one certificate; `common.certificate_dir` must be set."""

    common: Common
    identity: str
    wanted: Wanted | None = None

    @property
    def paths(self) -> Paths:
        """Where they are."""
        return paths_of(self.common, self.identity)

    def installed(self) -> Parts:
        """What the public names show; a part that is missing is empty."""
        return Parts(
            certificate=_text(self.paths.certificate), chain=_text(self.paths.chain), key=_text(self.paths.key)
        )

    def keys(self) -> list[str]:
        """The keys that are here: the installed one, then one that waits for its certificate."""
        return [key for key in (_text(self.paths.key), read_pending(self.paths)) if key]

    def new_key(self, kind: str) -> str:
        """A key for a certificate to be asked for, kept on disk. One that was made for that before is used again."""
        with suppress(ValueError):
            waiting = read_pending(self.paths)
            if key_type(waiting) == kind.lower():
                return waiting
        key = new_key(kind)
        write_pending(self.paths, key, folder_mode=self.common.certificate_dir_perm)
        return key

    def forget_key(self) -> None:
        """The key that waited for its certificate is kept elsewhere."""
        drop_pending(self.paths)

    def install(self, parts: Parts, at: datetime, *, bundle: bool) -> tuple[str, ...]:
        """Switch to a version, once its parts are seen to belong together; returns its files' names in the folder."""
        wanted, common, paths = self.wanted or Wanted(domain="", issuer=""), self.common, self.paths
        check_together(parts.certificate, parts.chain, parts.key)
        plain, secret = common.certificate_file_perm, common.certificate_keyfile_perm
        files = [
            NewFile(public=paths.key, content=parts.key.encode(), mode=secret),
            NewFile(public=paths.certificate, content=parts.certificate.encode(), mode=plain),
        ]
        if parts.chain and not bundle:  # a bundle has it behind the leaf
            files.append(NewFile(public=paths.chain, content=parts.chain.encode(), mode=plain))
        try:
            for one in wanted.formats:
                content = make(one, parts, alias=wanted.domain, password=wanted.format_password, made_at=at)
                mode = secret if one in HOLD_A_KEY else plain
                files.append(NewFile(public=paths.formats[one], content=content, mode=mode))
        except ValueError as error:
            raise InstallRefused(f"a format can't be made: {error}") from error
        ownership = Ownership(owner=wanted.owner, group=wanted.group)
        installer.install(paths, files, ownership, folder_mode=common.certificate_dir_perm)
        drop_pending(paths)
        assert common.certificate_dir is not None
        return tuple(os.path.relpath(one.public, common.certificate_dir) for one in files)

    def roll_back(self) -> bool:
        """Go back to the version before; false when there is none. The key of the version given up is kept aside."""
        given_up = _text(self.paths.key)
        if not installer.roll_back(self.paths):
            return False
        if given_up != _text(self.paths.key):
            write_pending(self.paths, given_up, folder_mode=self.common.certificate_dir_perm)
        return True

    def remove(self) -> list[str]:
        """Delete the files; returns their names."""
        return [str(one) for one in installer.remove(self.paths)]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, ValueError) as error:
        raise InstallRefused(f"{path} can't be read: {error}") from error
