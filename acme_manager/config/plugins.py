"""`common.plugins[]`: how its values are read, and whether this host can run what it names."""

from __future__ import annotations

import difflib
import hashlib
import os
import pwd
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from acme_manager.config import readers
from acme_manager.config.readers import Reader
from acme_manager.confined.program import LIMITS, ProgramRefused, open_program
from acme_manager.confined.run import trouble

DNS, HOOK = TYPES = ("dns", "hook")


def _type(value: Any) -> str:
    if readers.text(value) not in TYPES:
        raise ValueError("must be dns (a provider for dns_challenge) or hook (run before each order)")
    return str(value)


def _user(value: Any) -> str:
    try:
        return pwd.getpwnam(readers.filled(value)).pw_name
    except KeyError:
        raise ValueError("must be the name of a user of this host (useradd --system NAME makes one)") from None


def _limits(value: Any) -> Mapping[str, int]:
    if not isinstance(value, dict):
        raise ValueError(f"must be a mapping like 'nofile: 64', not {readers.kind_of(value)}")
    whole = readers.whole(0, 2**63 - 1)
    for name, most in value.items():
        if name not in LIMITS:
            near = difflib.get_close_matches(str(name), LIMITS, n=1)
            advice = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(LIMITS)}"
            raise ValueError(f"has '{name}', which is no limit that can be set; {advice}")
        try:
            whole(most)
        except ValueError as error:
            raise ValueError(f"has '{name}', which {error}") from None
        if os.geteuid() != 0 and most > (_hard(name) or most):
            raise ValueError(f"has '{name}' above {_hard(name)}, this server's own limit; only root may raise it")
    return dict(value)


def _hard(name: str) -> int | None:
    """The server's own limit, None where it has none."""
    _, hard = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))
    return None if hard == resource.RLIM_INFINITY else hard


READERS: Mapping[str, Reader] = {
    "name": readers.filled,
    "path": readers.absolute,
    "checksum": readers.checksum,
    "type": _type,
    "timeout": readers.seconds(1, 3600),
    "user": _user,
    "limits": _limits,
}


def check(raw: Any, *, allow_unverified: bool) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What is wrong with the list as a whole and with the files that it names; paths within the list."""
    plugins = [(index, one) for index, one in enumerate(raw if isinstance(raw, list) else ()) if isinstance(one, dict)]
    if plugins and trouble():
        yield (), f"can't be run on this host: {trouble()}"
    names: set[object] = set()
    for index, plugin in plugins:
        name = plugin.get("name")
        if isinstance(name, str):
            if name in names:
                yield (index, "name"), "is the name of another plugin too; names must be unique"
            names.add(name)
        for step, message in _check_file(plugin.get("path"), plugin.get("checksum"), allow_unverified):
            yield (index, step), message


def _check_file(path: Any, checksum: Any, allow_unverified: bool) -> Iterator[tuple[str, str]]:
    verified = checksum not in (None, "")
    if not verified and not allow_unverified:
        yield (
            "checksum",
            "is missing: the SHA-256 of the file in hex (sha256sum FILE); -allow-unverified-plugins accepts none",
        )
    if not isinstance(path, str) or not path or "\0" in path:
        return  # said where the value is read
    try:
        with open_program(Path(path)) as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        yield "path", f"can't be read: {error.strerror}"
        return
    except ProgramRefused as error:
        yield "path", str(error).removeprefix(f"{path} ")
        return
    try:
        if verified and readers.checksum(checksum) != found:
            yield "checksum", f"does not match the file, whose SHA-256 is {found}: make sure that nobody changed it"
    except ValueError:
        return  # likewise
