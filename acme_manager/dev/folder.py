"""The folder that a development server keeps its data in: who may use it, and what it remembers."""

from __future__ import annotations

import base64
import errno
import fcntl
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio

from acme_manager.errors import AcmeManagerError

_STATE = "state.json"
_LOCK = "lock"
_LOCK_WAIT = 8.0  # seconds; longer than an OpenBao whose server was killed takes to end (tether.py)


class DevFailed(AcmeManagerError):
    """Development mode can't start or go on; the message is for the person at the terminal."""


def _secret() -> str:
    return secrets.token_urlsafe(32)


@attrs.frozen(kw_only=True)
class State:
    """What one run tells the next. Ports are 0 until there was a run; they are wishes, not promises."""

    role_id: str = attrs.field(factory=_secret, repr=False)
    secret_id: str = attrs.field(factory=_secret, repr=False)
    operator_role_id: str = attrs.field(factory=_secret, repr=False)
    operator_secret_id: str = attrs.field(factory=_secret, repr=False)
    tsig_secret: str = attrs.field(factory=lambda: base64.b64encode(secrets.token_bytes(32)).decode(), repr=False)
    api_key: str = attrs.field(factory=_secret, repr=False)
    bearer: str = attrs.field(default="", repr=False)  # the API token; empty before the first one
    openbao_port: int = 0
    dns_port: int = 0
    api_port: int = 0


@attrs.frozen
class Folder:
    """An open folder. `lock` is the descriptor that claims it: whoever inherits it goes on claiming it."""

    path: Path
    lock: int
    kept: bool

    @property
    def unseal_key(self) -> Path:
        """32 random bytes that OpenBao unseals itself with."""
        return self.path / "unseal.key"

    @property
    def openbao_config(self) -> Path:
        """OpenBao's configuration of this run."""
        return self.path / "openbao.json"

    @property
    def openbao_data(self) -> Path:
        """OpenBao's database."""
        return self.path / "openbao"

    @property
    def openbao_log(self) -> Path:
        """What OpenBao of this run had to say."""
        return self.path / "openbao.log"

    @property
    def accounts(self) -> Path:
        """`common.rootpath_account`."""
        return self.path / "accounts"

    @property
    def certificates(self) -> Path:
        """`common.rootpath_certificate`."""
        return self.path / "certificates"

    @property
    def server_config(self) -> Path:
        """Our own `config.yml` of this run."""
        return self.path / "config.yml"

    @property
    def root_certificate(self) -> Path:
        """The CA's root as PEM, for clients that are to trust it."""
        return self.path / "root.pem"

    def load(self) -> State:
        """What the last run left, or new secrets. Raises DevFailed."""
        if not self.openbao_data.exists():
            return State()
        try:
            return State(**json.loads((self.path / _STATE).read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise DevFailed(
                f"-dev.data: {self.path / _STATE} can't be read ({error}); bring it back or name another folder"
            ) from error

    def save(self, state: State) -> None:
        """Remember the state for the next run."""
        self.write(self.path / _STATE, json.dumps(attrs.asdict(state), indent=2).encode())

    def write(self, path: Path, data: bytes) -> None:
        """Put a whole file in place, readable by its owner only."""
        new = path.with_name(path.name + ".new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
        new.replace(path)


@asynccontextmanager
async def open_folder(wanted: str) -> AsyncIterator[Folder]:
    """Claim the folder that `-dev.data` names, or make one that goes away at the end when it names none.

    Raises DevFailed when the folder can't be used, or when another server still uses it after eight seconds.
    """
    path = _make(wanted)
    lock = -1
    try:
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        await _claim(lock, path)
        yield Folder(path, lock, kept=bool(wanted))
    finally:
        if lock >= 0:
            os.close(lock)
        if not wanted:
            shutil.rmtree(path, ignore_errors=True)


def _make(wanted: str) -> Path:
    if not wanted:
        return Path(tempfile.mkdtemp(prefix="acme-manager-dev-")).resolve()
    path = Path(wanted).expanduser().absolute()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        present = {one.name for one in path.iterdir()}
    except OSError as error:
        raise DevFailed(f"-dev.data: {path} can't be used as a folder: {error.strerror}") from error
    if present and _LOCK not in present:
        raise DevFailed(f"-dev.data: {path} holds other files; name a folder that is new or empty")
    return path


async def _claim(lock: int, path: Path) -> None:
    """Lock the folder. After a kill -9, the OpenBao of the killed server holds it for a moment longer."""
    with trio.move_on_after(_LOCK_WAIT):
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in {errno.EAGAIN, errno.EACCES}:
                    raise DevFailed(f"-dev.data: {path} can't be locked: {error.strerror}") from error
            else:
                return
            await trio.sleep(0.05)
    raise DevFailed(f"-dev.data: another development server, or the OpenBao of one, uses {path}; stop it first")
