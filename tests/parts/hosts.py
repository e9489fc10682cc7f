"""Hosts in network namespaces of their own, on a switch that can lose, delay and cut what it carries.

The namespaces have no names: the kernel removes them when the last process in them has ended, however the test ends.
There is no way between them and this machine's network. The addresses are from 192.0.2.0/24 (RFC 5737).
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from itertools import permutations
from pathlib import Path

import attrs
import trio

from tests.parts.place import Place, new_namespace, use_places
from tests.parts.program import PATH, PartFailed, Program, new_folder

_SUBNET = "192.0.2"
_SERVICES = 100  # last part of the services' address; those of the hosts count from 1
_SWITCH = Path(__file__).with_name("softswitch.py")
_ANSWER = 5.0  # seconds that the switch may take to obey

Way = tuple[Place, Place]


def why_no_hosts() -> str:
    """Why there can't be hosts here, as a sentence for a skipped test; empty when there can."""
    if shutil.which("ip", path=PATH) is None:
        return "there is no `ip`: the package iproute2 has it (scripts/test installs it)"
    try:
        os.close(new_namespace())
    except OSError as error:
        if error.errno in {errno.EPERM, errno.ENOSYS, errno.EINVAL, errno.ENOSPC}:
            return f"network namespaces can't be made here: {error} (it takes root, or CAP_SYS_ADMIN and CAP_NET_ADMIN)"
        raise
    return ""


@attrs.define(eq=False)
class Network:
    """Hosts on a switch. `services` is one more host, for what all of them use.

    Faults add up until they are healed, except that each way has one loss and one delay, the last one set.
    """

    hosts: Sequence[Place]
    services: Place
    _control: trio.socket.SocketType
    _ports: Mapping[Place, str]
    _loss: dict[Way, float] = attrs.field(factory=dict)
    _delay: dict[Way, float] = attrs.field(factory=dict)

    @property
    def everybody(self) -> Sequence[Place]:
        """The hosts and the services."""
        return (*self.hosts, self.services)

    async def cut(self, one: Place, *others: Place) -> None:
        """Carry nothing between one place and these others."""
        await self._set(self._loss, 1.0, [way for other in others for way in ((one, other), (other, one))])

    async def cut_off(self, host: Place) -> None:
        """Carry nothing to and from a host, as if its cable were pulled."""
        await self.cut(host, *(other for other in self.everybody if other is not host))

    async def one_way(self, source: Place, to: Place) -> None:
        """Carry nothing from `source` to `to`; the other direction works."""
        await self._set(self._loss, 1.0, [(source, to)])

    async def loss(self, share: float, among: Sequence[Place] = ()) -> None:
        """Lose that share of the frames on each way between these places, by default between the hosts."""
        await self._set(self._loss, share, permutations(among or self.hosts, 2))

    async def delay(self, seconds: float, among: Sequence[Place] = ()) -> None:
        """Let every frame between these places, by default the hosts, take that long."""
        await self._set(self._delay, seconds, permutations(among or self.hosts, 2))

    async def heal(self) -> None:
        """Carry everything at once again."""
        self._loss.clear()
        self._delay.clear()
        await self._tell()

    async def _set(self, what: dict[Way, float], value: float, ways: Sequence[Way] | Iterator[Way]) -> None:
        what.update(dict.fromkeys(ways, value))
        await self._tell()

    async def _tell(self) -> None:
        plan = [
            (self._ports[way[0]], self._ports[way[1]], self._loss.get(way, 0.0), self._delay.get(way, 0.0))
            for way in {*self._loss, *self._delay}
        ]
        with trio.fail_after(_ANSWER):
            await self._control.send(json.dumps(plan).encode())
            if await self._control.recv(16) != b"ok":
                raise PartFailed("the switch has ended")


@asynccontextmanager
async def open_hosts(folder: Path, names: Sequence[str]) -> AsyncIterator[Network]:
    """Make hosts with these names, `services`, and the switch between them. From then on we are at the services.

    Raises PartFailed; `why_no_hosts` tells beforehand whether it can work.
    """
    use_places()
    with ExitStack() as stack:
        numbered = [(name, number) for number, name in enumerate(names, 1)] + [("services", _SERVICES)]
        places = [stack.enter_context(_namespace(name, f"{_SUBNET}.{last}")) for name, last in numbered]
        switch = stack.enter_context(_namespace("switch", ""))
        ports = {place: f"v{number}" for number, place in enumerate(places)}
        _connect(switch, ports)
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with switch.here():
            program = Program(
                argv=(sys.executable, "-I", str(_SWITCH), str(its.fileno()), *ports.values()),
                folder=new_folder(folder, "switch"),
                package="python3",
                passed=(its.fileno(),),
            )
        with ours, its:
            program.start()
            stack.callback(program.kill)
            network = Network(places[:-1], places[-1], trio.socket.from_stdlib_socket(ours), ports)
            await program.ready(network.heal)
            with network.services.here():
                yield network


@contextmanager
def _namespace(name: str, address: str) -> Iterator[Place]:
    try:
        place = Place(name, address, new_namespace())
    except OSError as error:
        raise PartFailed(f"no network namespace for {name}: {error}") from error
    try:
        yield place
    finally:
        assert place.namespace is not None
        os.close(place.namespace)


def _connect(switch: Place, ports: Mapping[Place, str]) -> None:
    """Lay a cable from each place's `eth0` to a port of the switch."""
    cables = [
        f"link add {port} type veth peer name eth0 netns /proc/self/fd/{place.namespace}\nlink set {port} up"
        for place, port in ports.items()
    ]
    _ip(switch, cables, [place.namespace for place in ports if place.namespace is not None])
    for place in ports:
        _ip(place, ["link set lo up", f"addr add {place.address}/24 dev eth0", "link set eth0 up"])


def _ip(place: Place, commands: Sequence[str], passed: Sequence[int] = ()) -> None:
    with place.entered():
        done = subprocess.run(
            [shutil.which("ip", path=PATH) or "ip", "-batch", "-"],
            input="\n".join(commands),
            text=True,
            capture_output=True,
            pass_fds=passed,
            check=False,
        )
    if done.returncode:
        raise PartFailed(f"ip has failed at {place.name}: {done.stderr}")
