"""What people ask for at a prompt: `status`, `list`, `get`, `renew`, `revoke`."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
from rich.console import Console

from acme_manager.client.access import access, retries
from acme_manager.client.checks import look_at_services
from acme_manager.client.config import load_client
from acme_manager.client.flags import ClientFlags
from acme_manager.client.manager import Manager, open_manager
from acme_manager.client.model import Common
from acme_manager.client.plan import Unknown
from acme_manager.client.run import OK, UNREACHABLE, Runner, identity_of
from acme_manager.client.screen import installed_state, row_of, show_rows, show_steps
from acme_manager.domain.certificate import Certificate, stored_to_json
from acme_manager.errors import NotFound, Rejected

Names = Sequence[str]


class NotConfirmed(Rejected):
    """Somebody has to say yes first."""


@attrs.frozen(kw_only=True)
class Desk:
    """Each command returns an exit code, and raises AcmeManagerError."""

    runner: Runner

    async def answer(self, command: str, names: Names) -> int:
        """Do one of COMMANDS."""
        return await COMMANDS[command](self, names)

    async def dry_run(self) -> int:
        """Print the plan."""
        async with self.runner.view() as view:
            show_steps(view.situation, view.steps, as_json=self._flags.json)
            return UNREACHABLE if isinstance(view.situation.server, Unknown) else OK

    async def status(self, names: Names) -> int:
        """What the configuration wants, what the server has, what is installed."""
        async with self.runner.view() as view:
            server, steps = view.situation.server, {step.identity: step for step in view.steps}
            known = {} if isinstance(server, Unknown) else server
            looks = await look_at_services(view.config, (), self.runner.metrics, self.runner.clock)
            rows = []
            for identity in dict.fromkeys([*view.config.wanted, *view.situation.disk]):
                if names and identity not in names:
                    continue
                look = looks.get(identity)
                present, step = known.get(identity), steps.get(identity)
                rows.append(
                    attrs.evolve(
                        row_of(identity, present, self.runner.clock.now()),
                        installed=installed_state(view.situation.disk.get(identity), present),
                        served=None if look is None else "yes" if look.served.ok else look.served.why,
                        to_do=f"{step.action}: {step.reason}" if step else None,
                    )
                )
            show_rows(rows, as_json=self._flags.json)
            return UNREACHABLE if isinstance(server, Unknown) else OK

    async def list(self, names: Names) -> int:
        """What the server has of ours."""
        async with self._manager() as manager:
            found = await self._found(manager, names)
        now = self.runner.clock.now()
        show_rows([row_of(identity_of(one), one, now) for one in found], as_json=self._flags.json)
        return OK

    async def get(self, names: Names) -> int:
        """PEM to standard output; with a key only where the server has made it."""
        async with self._manager() as manager:
            stored = [await manager.fetch(one) for one in await self._found(manager, _needed(names))]
        if self._flags.json:
            _print(json.dumps([stored_to_json(one) for one in stored], indent=2))
            return OK
        for one in stored:
            chain = "" if one.certificate.bundle else one.ca_issuer
            _print("".join(part if part.endswith("\n") else f"{part}\n" for part in (one.cert, chain) if part), end="")
        return OK

    async def renew(self, names: Names) -> int:
        """Have certificates renewed now."""
        async with self._manager() as manager:
            for one in await self._found(manager, _needed(names)):
                with Console(stderr=True).status(f"renewing {identity_of(one)} …"):
                    renewed = (await manager.renew(one)).certificate
                _print(f"{identity_of(one)} renewed: expires {renewed.expires}, serial {renewed.serial}")
        return OK

    async def revoke(self, names: Names) -> int:
        """Revoke certificates, and delete them on the server."""
        async with self._manager() as manager:
            found = await self._found(manager, _needed(names))
            for one in found:
                self._confirm(identity_of(one))
                await manager.delete(one, revoke=True)
                _print(f"{identity_of(one)} revoked and deleted")
        return OK

    def _confirm(self, identity: str) -> None:
        if self._flags.yes:
            return
        if not sys.stdin.isatty():
            raise NotConfirmed(f"revoking {identity} can't be undone: add -yes to do it without a question")
        if input(f"Revoke and delete {identity}? It can't be undone. Type its name to go on: ").strip() != identity:
            raise NotConfirmed(f"{identity} was not revoked")

    async def _found(self, manager: Manager, names: Names) -> Sequence[Certificate]:
        """Those of the server that are meant: by name, by `issuer/domain`, or by a domain that only one has."""
        listed = await manager.certificates()
        if not names:
            return sorted(listed, key=identity_of)
        found = []
        for name in names:
            fits = [one for one in listed if identity_of(one) == name] or [one for one in listed if one.domain == name]
            if len(fits) != 1:
                what = "no certificate" if not fits else "more than one certificate"
                raise NotFound(f"the server has {what} '{name}': `list` shows the names to use")
            found += fits
        return found

    @asynccontextmanager
    async def _manager(self) -> AsyncIterator[Manager]:
        """For people without an agent: the configuration file may be missing."""
        common = self._common(Path(self._flags.config_path))
        way = access(self._flags, self.runner.environ, common)
        async with open_manager(way, retries(common)) as manager:
            yield manager

    def _common(self, path: Path) -> Common:
        return load_client(path, self.runner.environ).config.common if path.exists() else Common()

    @property
    def _flags(self) -> ClientFlags:
        return self.runner.flags


COMMANDS: Mapping[str, Callable[[Desk, Names], Awaitable[int]]] = {
    "status": Desk.status,
    "list": Desk.list,
    "get": Desk.get,
    "renew": Desk.renew,
    "revoke": Desk.revoke,
}
"""What people can ask for, by what they type."""


def _needed(names: Names) -> Names:
    if not names:
        raise NotFound("say which: a certificate's name, or issuer/domain; `list` shows them")
    return names


def _print(text: str, end: str = "\n") -> None:
    print(text, end=end)
