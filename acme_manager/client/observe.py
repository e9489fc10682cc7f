"""What is on disk. It blocks: call it in a thread."""

from __future__ import annotations

import grp
import os
import pwd
from contextlib import suppress
from pathlib import Path

import attrs

from acme_manager.client.formats import HOLD_A_KEY
from acme_manager.client.keys import asked_with, key_type, made_for
from acme_manager.client.layout import Paths, paths_of
from acme_manager.client.model import Common, Wanted
from acme_manager.client.pending import read_pending
from acme_manager.client.plan import OnDisk, Part
from acme_manager.client.record import Entry
from acme_manager.domain.certificate import Certificate
from acme_manager.domain.keys import fingerprint


@attrs.frozen(kw_only=True)
class Subject:
    """A certificate to look for: its identity, and what is known of it elsewhere."""

    identity: str
    wanted: Wanted | None = None
    present: Certificate | None = None  # as the server has it
    entry: Entry | None = None


def observe(common: Common, subject: Subject) -> OnDisk:
    """What there is of one certificate; `common.certificate_dir` must be set."""
    paths = paths_of(common, subject.identity)
    troubles: list[str] = []
    certificate, certificate_text = _read(paths.certificate, troubles)
    key, key_text = _read(paths.key, troubles)
    chain, _ = _read(paths.chain, troubles)
    kind = ""
    if key is Part.PRESENT:
        try:
            kind = key_type(key_text)
        except ValueError as error:
            key = Part.UNREADABLE
            troubles.append(f"{paths.key}: {error}")
    awaited = _is_awaited(paths, subject.present)
    if key is Part.MISSING and awaited:
        key = Part.PRESENT  # of an order that was cut short
    seen = fingerprint(certificate_text) if certificate is Part.PRESENT else ""
    if chain is Part.MISSING and _had_no_chain(common, paths, subject.entry, seen):
        chain = Part.PRESENT
    return OnDisk(
        certificate=certificate,
        key=key,
        chain=chain,
        fingerprint=seen,
        key_fits=bool(key_text) and made_for(key_text, certificate_text),
        key_type=kind,
        awaited=awaited,
        formats=frozenset(one for one, path in paths.formats.items() if _is_current(paths, path)),
        untidy=_untidy(common, paths, subject.wanted or Wanted(domain="", issuer="")),
        trouble="; ".join(troubles),
    )


def _read(path: Path, troubles: list[str]) -> tuple[Part, str]:
    try:
        return Part.PRESENT, path.read_bytes().decode(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return Part.MISSING, ""
    except OSError as error:
        troubles.append(f"{path}: {error.strerror}")
        return Part.UNREADABLE, ""


def _is_awaited(paths: Paths, present: Certificate | None) -> bool:
    pending = read_pending(paths)
    return bool(pending and present is not None and asked_with(pending, present.csr))


def _had_no_chain(common: Common, paths: Paths, entry: Entry | None, seen: str) -> bool:
    """Whether this very certificate came without a chain, as one of a CA that signs with its root does."""
    assert common.certificate_dir is not None
    if entry is None or not entry.files or entry.fingerprint != seen:
        return False
    return os.path.relpath(paths.chain, common.certificate_dir) not in entry.files


def _is_current(paths: Paths, public: Path) -> bool:
    """Whether a file is there and of the version that is installed."""
    return public.exists() and Path(os.path.realpath(public)).parent == Path(os.path.realpath(paths.current))


def _untidy(common: Common, paths: Paths, wanted: Wanted) -> str:
    """The first thing that is wrong with modes and owners of what is there."""
    modes = {paths.certificate: common.certificate_file_perm, paths.chain: common.certificate_file_perm}
    modes[paths.key] = common.certificate_keyfile_perm
    for one, path in paths.formats.items():
        modes[path] = common.certificate_keyfile_perm if one in HOLD_A_KEY else common.certificate_file_perm
    for path, mode in modes.items():
        with suppress(OSError):
            found = path.stat()
            if found.st_mode & 0o7777 != mode:
                return f"the mode of {path.name} is {found.st_mode & 0o7777:04o} instead of {mode:04o}"
            with suppress(LookupError):  # a user that the host does not know is said when files are written
                if wanted.owner and found.st_uid != pwd.getpwnam(wanted.owner).pw_uid:
                    return f"{path.name} is not {wanted.owner}'s"
                if wanted.group and found.st_gid != grp.getgrnam(wanted.group).gr_gid:
                    return f"{path.name} is not of group {wanted.group}"
    return ""
