"""A foreign program under test: started on loopback, seen ready, ended for sure.

Processes are plain `subprocess.Popen`: starting and killing one takes milliseconds and needs no event loop, so a test
that fails anywhere can still end them. Only waiting is asynchronous.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TypeVar

import attrs
import dns.exception
import httpx
import trio

from tests.parts.place import Place, here

Address = tuple[str, int]
T = TypeVar("T")

LOOPBACK = "127.0.0.1"
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"])
_LOOK = 0.02  # seconds between two looks at a program that we wait for
_NOT_YET = (OSError, httpx.TransportError, dns.exception.DNSException, trio.TooSlowError)
_ATTEMPTS = 3
_LASTING = (20_000, 32_000)  # below what Linux takes ephemeral ports from


class PartFailed(Exception):
    """A program is missing, or did not start or stop. The message has the end of its log."""


class PortTaken(PartFailed):
    """Somebody was quicker to use a port that the kernel had called free."""


@attrs.define(kw_only=True, eq=False)
class Program:
    """One program with its folder; it may be started again after it has ended.

    `package` is the Debian (or PyPI) package that has the binary. The log of every run is in `folder/log`.
    """

    argv: tuple[str, ...]
    folder: Path
    package: str
    env: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    passed: tuple[int, ...] = ()  # file descriptors that it inherits
    place: Place = attrs.field(factory=here)  # where it runs: where we are when this is made
    pid: int = attrs.field(default=0, init=False)  # of the present or last run
    _popen: subprocess.Popen[bytes] | None = attrs.field(default=None, init=False)
    _group: int | None = attrs.field(default=None, init=False)  # until we have killed it

    @property
    def name(self) -> str:
        """The binary's name."""
        return Path(self.argv[0]).name

    @property
    def alive(self) -> bool:
        """Whether it runs (a frozen one does)."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def returncode(self) -> int | None:
        """How the last run ended; None while it runs."""
        return self._popen.poll() if self._popen else None

    def log(self) -> str:
        """Everything it has written so far."""
        return (self.folder / "log").read_text(errors="replace")

    def start(self) -> None:
        """Start it in its own process group. It is killed when this process dies, however that happens."""
        if self.alive:
            raise PartFailed(f"{self.name} is running already")
        self.kill()
        binary = shutil.which(self.argv[0], path=PATH)
        if binary is None:
            raise PartFailed(
                f"{self.name} is not installed; the package {self.package} has it (scripts/test installs it)"
            )
        env = {"PATH": PATH, "HOME": str(self.folder), "TMPDIR": str(self.folder), **self.env}
        with (self.folder / "log").open("ab") as log, self.place.entered():
            self._popen = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", binary, *self.argv[1:]],
                cwd=self.folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=self.passed,
            )
        self.pid = self._group = self._popen.pid

    async def ready(self, answers: Callable[[], Awaitable[object]], within: float = 15.0) -> None:
        """Wait until `answers()` no longer raises a network error; on failure the program is killed.

        Raises PortTaken or PartFailed.
        """
        try:
            with trio.move_on_after(within):
                while self.alive:
                    with suppress(*_NOT_YET):
                        await answers()
                        if self.alive:  # or somebody else has answered on that port
                            return
                    await trio.sleep(_LOOK)
            how = "did not answer" if self.alive else f"ended with status {self.returncode}"
            log = self.log()
            error = PortTaken if "in use" in log else PartFailed
            raise error(f"{self.name} {how}; its log ends with\n{log[-3000:]}")
        except BaseException:
            self.kill()
            raise

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if not self.alive:
            raise PartFailed(f"{self.name} is not running")
        os.kill(self.pid, number)

    def freeze(self) -> None:
        """Let it accept connections, as the kernel does for it, and never answer.

        Returns once all its threads stand still: the signal alone leaves them time for an answer or two.
        """
        self.send(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def thaw(self) -> None:
        """Let a frozen program go on."""
        self.send(signal.SIGCONT)

    async def stop(self, number: signal.Signals = signal.SIGTERM, within: float = 5.0) -> None:
        """Ask it to end, and kill it if it has not after `within` seconds."""
        if self.alive:
            self.send(number)
        with trio.move_on_after(within, shield=True):
            while self.alive:  # noqa: ASYNC110 a process that ends sets no event of ours
                await trio.sleep(_LOOK)
        self.kill()

    def kill(self) -> None:
        """End it and everything it started, at once; children may have outlived it. Does nothing the second time."""
        if self._popen is None or self._group is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._group, signal.SIGKILL)
        self._popen.wait(timeout=10)
        self._group = None


async def on_free_ports(attempt: Callable[[], Awaitable[T]]) -> T:
    """Call `attempt`, which picks ports and starts a program, again while it loses the race for a port."""
    for _ in range(_ATTEMPTS - 1):
        with suppress(PortTaken):
            return await attempt()
    return await attempt()


def free_ports(count: int = 1, address: str = "") -> list[int]:
    """Different ports that are free for TCP and for UDP, by default on the address of the place where we are."""
    ports: list[int] = []
    with ExitStack() as held:  # all at once, or the kernel may offer the same one twice
        while len(ports) < count:
            tcp = held.enter_context(here().socket(socket.AF_INET, socket.SOCK_STREAM))
            udp = held.enter_context(here().socket(socket.AF_INET, socket.SOCK_DGRAM))
            tcp.bind((address or here().address, 0))
            port = int(tcp.getsockname()[1])
            with suppress(OSError):
                udp.bind((address or here().address, port))
                ports.append(port)
    return ports


def free_port(address: str = "") -> int:
    """A port that is free for TCP and for UDP, by default on the address of the place where we are."""
    return free_ports(1, address)[0]


def lasting_ports(count: int) -> list[int]:
    """Different ports that are free on every address of this machine, and that the kernel never hands out by itself.

    They are still free when a program that has ended comes back.
    """
    ports: list[int] = []
    while len(ports) < count:
        port = random.SystemRandom().randrange(*_LASTING)
        with suppress(OSError), ExitStack() as held:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                held.enter_context(socket.socket(socket.AF_INET, kind)).bind(("", port))
            if port not in ports:
                ports.append(port)
    return ports


def new_folder(parent: Path, name: str) -> Path:
    """A fresh folder for one program."""
    return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=parent))


def still_running(pids: Iterable[int]) -> set[int]:
    """Those of the processes that exist; zombies count, since somebody forgot to wait for them."""
    return {pid for pid in pids if Path(f"/proc/{pid}").exists()}
