"""What to run, and the copy of it that runs: hashed while it is copied, so whoever swaps the file comes too late."""

from __future__ import annotations

import hashlib
import io
import os
import pwd
import stat
from collections.abc import Mapping
from pathlib import Path

import attrs
import trio

from acme_manager.errors import AcmeManagerError

LIMITS = ("as", "core", "cpu", "data", "fsize", "memlock", "nofile", "nproc", "stack")
"""The resource limits that can be set, by the names of `prlimit` (setrlimit(2))."""

_LARGEST = 512 << 20  # bytes
_CHUNK = 1 << 20
_ELF, _MACHINE = b"\x7fELF", slice(18, 20)  # elf(5)
_ALSO_RUNS = {b"\x3e\x00": b"\x03\x00", b"\xb7\x00": b"\x28\x00"}  # the 32-bit programs of x86-64 and AArch64


class ProgramRefused(AcmeManagerError):
    """The program was not started: it is not the one that was checked, or it can't be executed."""


@attrs.frozen(kw_only=True)
class Program:
    """What to run, and within what bounds."""

    path: Path
    checksum: str | None = None  # SHA-256 in hex; None: whatever is there
    user: str = ""  # to run as; empty: as we do
    limits: Mapping[str, int] = attrs.field(factory=dict)  # of LIMITS, in the units of setrlimit(2)
    interpreter: tuple[str, ...] = ()  # what to start it with; empty: it starts by itself

    def account(self) -> pwd.struct_passwd | None:
        """The user to change to, None for nobody else than we are. Raises ProgramRefused."""
        try:
            account = pwd.getpwnam(self.user) if self.user else None
        except KeyError:
            raise ProgramRefused(f"there is no user '{self.user}' to run {self.path} as") from None
        return account if account and account.pw_uid != os.geteuid() else None


def open_program(path: Path) -> io.BufferedReader:
    """Open a regular file without waiting for anything. Raises OSError, and ProgramRefused."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO would wait for its writer
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ProgramRefused(f"{path} is no regular file")
        if not found.st_mode & 0o111:
            raise ProgramRefused(f"{path} is not executable; chmod +x makes it so")
        if found.st_size > _LARGEST:
            raise ProgramRefused(f"{path} is larger than {_LARGEST >> 20} MiB")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def checked_copy(program: Program, folder: Path) -> tuple[Path, Path]:
    """Copy it into a folder of ours, beside an empty one for it to work in; both paths. Raises ProgramRefused.

    Runs in a thread of Trio's. Nobody but the program's user, or that user's group, can read the copy.
    """
    copy = folder / program.path.name
    work = folder / f"{program.path.name}.work"
    account = program.account()
    try:
        if os.statvfs(folder).f_flag & os.ST_NOEXEC:
            raise ProgramRefused(
                f"{program.path} can't be run: programs are copied to {folder.parent}, which is mounted noexec; "
                "set TMPDIR to another folder"
            )
        found = _copy(program, copy)
        copy.chmod(0o500)
        work.mkdir(0o700)
        if account:
            for path, mode in ((folder, 0o710), (copy, 0o550)):
                os.chown(path, -1, account.pw_gid)
                path.chmod(mode)
            os.chown(work, account.pw_uid, account.pw_gid)
    except OSError as error:
        as_user = f" as user '{program.user}'" if account else ""
        raise ProgramRefused(f"{program.path} can't be run{as_user}: {error.strerror or error}") from error
    if program.checksum is not None and found != program.checksum.lower():
        raise ProgramRefused(
            f"{program.path} is not the file that was checked: its SHA-256 is {found}, "
            f"the configuration has {program.checksum.lower()}"
        )
    return copy, work


def _copy(program: Program, copy: Path) -> str:
    """Returns the SHA-256 of what was copied. A caller that is cancelled does not wait for the end of a large file."""
    digest, copied = hashlib.sha256(), 0
    with open_program(program.path) as source, copy.open("xb") as target:
        while chunk := source.read(_CHUNK):
            trio.from_thread.check_cancelled()
            if not copied and not program.interpreter:
                _see_that_it_starts(program.path, chunk)
            digest.update(chunk)
            copied += target.write(chunk)
            if copied > _LARGEST:  # it grows while it is read
                raise ProgramRefused(f"{program.path} is larger than {_LARGEST >> 20} MiB")
    if not copied:
        raise ProgramRefused(f"{program.path} is empty")
    return digest.hexdigest()


def _see_that_it_starts(path: Path, head: bytes) -> None:
    """The kernel's own words would be lost: what starts it hands files that the kernel refuses to a shell."""
    if head.startswith(_ELF):
        ours = _own_machine()
        if head[_MACHINE] not in {ours, _ALSO_RUNS.get(ours)}:
            raise ProgramRefused(f"{path} is built for another kind of machine")
        return
    line = head[:256].partition(b"\n")[0]
    if not line.startswith(b"#!"):
        raise ProgramRefused(
            f"{path} is neither a program for Linux nor a script: a script's first line is like #!/bin/sh"
        )
    if line.endswith(b"\r"):
        raise ProgramRefused(f"{path} has lines that end as on Windows; dos2unix mends that")
    words = line[2:].split(maxsplit=1)
    if not words or not os.access(words[0], os.X_OK):
        named = words[0].decode(errors="replace") if words else ""
        raise ProgramRefused(f"{path} can't be run: its first line names the interpreter '{named}', which is not there")


def _own_machine() -> bytes:
    with Path("/proc/self/exe").open("rb") as own:
        return own.read(20)[_MACHINE]
