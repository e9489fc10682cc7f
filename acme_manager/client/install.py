"""Install a version of a certificate: all of its files at once, or none.

Every public name (`example.com.crt`, `example.com.key`, …) is a link through one and the same link, `current`, to the
folder of a version. A new version is written beside and flushed to disk; names that it is the first to have get links
that lead nowhere yet; then one rename of `current` switches all names at once, so that they never show files of two
versions, whenever the agent or the host dies.

Plain files that are there already, of the Go original or put there by hand, first become a version of their own: each
is replaced by a link to the same content, and only then `current` moves.

Everything here blocks: it is called in a thread.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import shutil
from collections.abc import Collection, Iterable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from acme_manager.client.layout import Paths
from acme_manager.errors import AcmeManagerError

_SELINUX = "security.selinux"
_NO_LABEL = {errno.ENODATA, errno.ENOTSUP, errno.EPERM}


class InstallRefused(AcmeManagerError):
    """The files do not belong together, or can't be written; what is installed stays as it is."""


@attrs.frozen(kw_only=True)
class NewFile:
    """One file of a version: the public name that leads to it, and what is in it."""

    public: Path
    content: bytes = attrs.field(repr=False)
    mode: int


@attrs.frozen(kw_only=True)
class Ownership:
    """Whose the files are; empty: whoever the agent runs as."""

    owner: str = ""
    group: str = ""


def check_together(certificate: str, chain: str, key: str) -> None:
    """Raise InstallRefused unless the key is the leaf's, and each certificate is signed by the next (all in PEM)."""
    try:
        private = load_pem_private_key(key.encode(), password=None)
        certificates = x509.load_pem_x509_certificates((certificate + "\n" + chain).encode())
    except (ValueError, TypeError) as error:
        raise InstallRefused(f"key or certificate can't be read: {error}") from error
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*form) != certificates[0].public_key().public_bytes(*form):
        raise InstallRefused("the certificate was made for another key")
    unique = list(dict.fromkeys(certificates))
    for issued, issuer in pairwise(unique):
        try:
            issued.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise InstallRefused(
                f"the chain is broken: {issued.subject.rfc4514_string() or 'the certificate'} is not signed by "
                f"{issuer.subject.rfc4514_string()}"
            ) from error


def install(paths: Paths, files: Iterable[NewFile], ownership: Ownership, *, folder_mode: int) -> None:
    """Make these files what the public names lead to. Raises InstallRefused; nothing has changed then.

    A public name that no file has any more is removed, if it is a link of ours.
    """
    try:
        _install(paths, list(files), ownership, folder_mode)
    except OSError as error:
        raise InstallRefused(f"{error.filename or paths.versions}: {error.strerror}") from error
    except LookupError as error:
        raise InstallRefused(f"files can't be given away: {error}") from error


def roll_back(paths: Paths) -> bool:
    """Go back to the version before the present one; false when there is none. Raises InstallRefused."""
    try:
        present = _present(paths)
        earlier = [number for number in _numbers(paths.versions) if present is not None and number < present]
        if not earlier:
            return False
        _show(paths, max(earlier))
    except OSError as error:
        raise InstallRefused(f"{error.filename or paths.versions}: {error.strerror}") from error
    return True


def remove(paths: Paths) -> list[Path]:
    """Delete the public names that are links of ours, then every version; returns the names. Raises InstallRefused."""
    try:
        removed = [public for public in paths.every() if _is_ours(paths, public)]
        for public in removed:
            public.unlink()
        if paths.versions.exists():
            shutil.rmtree(paths.versions)
    except OSError as error:
        raise InstallRefused(f"{error.filename or paths.versions}: {error.strerror}") from error
    return removed


def _install(paths: Paths, files: list[NewFile], ownership: Ownership, folder_mode: int) -> None:
    for folder in {paths.versions, *(one.public.parent for one in files)}:
        _make_folder(folder, folder_mode)
    _tidy(paths)
    _adopt(paths)
    new = _write_version(paths.versions, files, ownership)
    for number in _numbers(paths.versions):
        # What is in use until now is what to go back to. Others go before the switch: a version that was given up
        # must not be there to go back to, should this be cut short.
        if number not in {new, _present(paths)}:
            shutil.rmtree(paths.versions / str(number))
    _show(paths, new)


def _show(paths: Paths, number: int) -> None:
    """Let the public names lead to a version, all at once, and take those away that it has no file for."""
    shown = [public for public in paths.every() if (paths.versions / str(number) / public.name).is_file()]
    for public in shown:
        _link(paths, public)
    _switch(paths, number)
    for public in paths.every():
        if public not in shown and _is_ours(paths, public):
            with suppress(OSError):  # it leads nowhere any more; the next installation tries again
                public.unlink()


def _adopt(paths: Paths) -> None:
    """Turn plain files under public names into a version, without a change of what any name shows."""
    plain = [public for public in paths.every() if public.is_file() and not _is_ours(paths, public)]
    if not plain:
        return
    stats = {public: public.stat() for public in paths.every() if public.is_file()}
    files = [
        NewFile(public=public, content=public.read_bytes(), mode=stat.st_mode & 0o7777)
        for public, stat in stats.items()
    ]
    new = _write_version(paths.versions, files, Ownership())
    for public, stat in stats.items():
        with suppress(PermissionError):  # then they are ours already
            os.chown(paths.versions / str(new) / public.name, stat.st_uid, stat.st_gid)
    _switch(paths, new)
    for public in plain:
        _link(paths, public)


def _write_version(versions: Path, files: Collection[NewFile], ownership: Ownership) -> int:
    label = _label(files)
    number = max(_numbers(versions), default=0) + 1
    folder = versions / f".new-{number}"
    folder.mkdir()
    folder.chmod(0o755)  # whatever the umask: the files have modes of their own
    for one in files:
        target = folder / one.public.name
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(one.content)
            file.flush()
            if ownership != Ownership():
                os.fchown(file.fileno(), *_ids(ownership))
            os.fchmod(file.fileno(), one.mode)  # after chown, which takes set-id bits away
            if label is not None:
                _set_label(target, label)
            os.fsync(file.fileno())
    _flush(folder)
    folder.rename(versions / str(number))
    _flush(versions)
    return number


def _ids(ownership: Ownership) -> tuple[int, int]:
    """Raises LookupError for a name that this host does not know."""
    owner = pwd.getpwnam(ownership.owner).pw_uid if ownership.owner else -1
    return owner, grp.getgrnam(ownership.group).gr_gid if ownership.group else -1


def _switch(paths: Paths, number: int) -> None:
    _replace_link(paths.current, str(number))


def _link(paths: Paths, public: Path) -> None:
    target = os.path.relpath(paths.current / public.name, public.parent)
    if public.is_symlink() and str(public.readlink()) == target:
        return
    _replace_link(public, target)


def _replace_link(link: Path, target: str) -> None:
    temporary = _temporary(link)
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)
    _flush(link.parent)


def _temporary(link: Path) -> Path:
    return link.with_name(f".{link.name}.new")


def _is_ours(paths: Paths, public: Path) -> bool:
    """Whether a public name is a link through `current`."""
    if not public.is_symlink():
        return False
    target = Path(os.path.normpath(public.parent / public.readlink()))
    return target.parent == Path(os.path.normpath(paths.current))


def _present(paths: Paths) -> int | None:
    with suppress(OSError, ValueError):
        return int(paths.current.readlink().name)
    return None


def _numbers(versions: Path) -> list[int]:
    return [int(one.name) for one in versions.iterdir() if one.name.isdecimal()] if versions.is_dir() else []


def _tidy(paths: Paths) -> None:
    """Remove what an installation left that was cut short."""
    for left in paths.versions.glob(".new-*"):
        shutil.rmtree(left)
    for link in (*paths.every(), paths.current):
        if _temporary(link).is_symlink():
            _temporary(link).unlink()


def _label(files: Iterable[NewFile]) -> bytes | None:
    """The SELinux context of what is there, for what comes in its place."""
    for one in files:
        try:
            return os.getxattr(one.public, _SELINUX)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno not in _NO_LABEL:
                raise
    return None


def _set_label(target: Path, label: bytes) -> None:
    try:
        os.setxattr(target, _SELINUX, label)
    except OSError as error:
        if error.errno not in _NO_LABEL:
            raise


def _make_folder(folder: Path, mode: int) -> None:
    """Make a folder and those above it that are missing, each with this mode and each on disk before what is in it."""
    if folder.is_dir():
        return
    _make_folder(folder.parent, mode)
    folder.mkdir(exist_ok=True)
    folder.chmod(mode)
    _flush(folder.parent)


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
