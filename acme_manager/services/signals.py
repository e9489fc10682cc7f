"""That something which pages show has changed on this node, for those who have a page open: they read it anew."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import trio

from acme_manager.ports import Cluster, SharedMap
from acme_manager.services.issuer_findings import IssuerFindings
from acme_manager.services.state import State

CERTIFICATES, ATTEMPTS, OPERATIONS, TOKENS, CLUSTER, ISSUERS, REPORTS, AUDIT = TOPICS = (
    "certificates", "attempts", "operations", "tokens", "cluster", "issuers", "reports", "audit",
)  # fmt: skip

_GLANCE = 1.0  # seconds between two looks at what tells of no changes
_EVERYBODY = ""


class Signals:
    """Counts changes by topic and owner. An owner's page is not woken for what others own."""

    def __init__(self, state: State, shared: SharedMap, cluster: Cluster, findings: IssuerFindings) -> None:
        self._state, self._shared, self._cluster, self._findings = state, shared, cluster, findings
        self.epoch = secrets.token_hex(4)  # counts of another node, or of an earlier process, mean nothing here
        self.count = 0
        self._last: dict[tuple[str, str], int] = {}
        self._changed = trio.Event()
        self.closed = False

    @property
    def mark(self) -> str:
        """How far this node has counted, for who asks later what has changed since."""
        return f"{self.epoch}-{self.count}"

    @contextmanager
    def following(self) -> Iterator[None]:
        """Note changes for the length of a block."""
        state, watch = self._state, self._shared.watch
        with ExitStack() as stack:
            for table, topic in ((state.certificates, CERTIFICATES), (state.renewals, CERTIFICATES)):
                stack.enter_context(table.watched_by(partial(self._owned, topic)))
            for listed, topic in ((state.operations, OPERATIONS), (state.tokens, TOKENS)):
                stack.enter_context(listed.watched_by(partial(self._note, topic, _EVERYBODY)))
            for prefix, topic in (("attempt/", ATTEMPTS), ("report/", REPORTS)):
                stack.enter_context(watch(prefix, self._below(prefix, topic)))
            stack.enter_context(watch("audit/", lambda _key, _value: self._note(AUDIT, _EVERYBODY)))
            yield

    def announce(self, topic: str) -> None:
        """Something of that topic has changed, for everybody."""
        self._note(topic, _EVERYBODY)

    async def run(self) -> None:
        """Look now and then at what tells of no changes, for as long as the node runs."""
        cluster, issuers = self._cluster_now(), self._issuers_now()
        while True:
            await trio.sleep(_GLANCE)
            if cluster != (cluster := self._cluster_now()):
                self._note(CLUSTER, _EVERYBODY)
            if issuers != (issuers := self._issuers_now()):
                self._note(ISSUERS, _EVERYBODY)

    async def close_when(self, stopping: trio.Event) -> None:
        """Once that is set, end every wait: an orderly stop is not to be held up by open pages."""
        await stopping.wait()
        self.closed = True
        self._changed.set()

    async def wait(self, known: int, owner: str | None, seconds: float) -> tuple[int, set[str]]:
        """The count of now, and the topics that changed since `known` for an owner, or for an administrator (None).

        Returns as soon as there is one, after `seconds` at the latest with none.
        """
        with trio.move_on_after(seconds):
            while not self.closed and not self._since(known, owner):
                await self._changed.wait()
        return self.count, self._since(known, owner)

    def _since(self, known: int, owner: str | None) -> set[str]:
        if known >= self.count:
            return set()
        mine = {_EVERYBODY, owner}
        return {
            topic for (topic, whose), count in self._last.items() if count > known and (owner is None or whose in mine)
        }

    def _note(self, topic: str, owner: str, _key: str = "") -> None:
        self.count += 1
        self._last[topic, owner] = self.count
        self._changed.set()
        self._changed = trio.Event()

    def _owned(self, topic: str, key: str) -> None:
        self._note(topic, key.partition("/")[0])

    def _below(self, prefix: str, topic: str) -> Callable[[str, bytes | None], None]:
        return lambda key, _value: self._owned(topic, key.removeprefix(prefix))

    def _cluster_now(self) -> object:
        members = [
            (one["name"], one.get("state"), one.get("status"), one.get("voter")) for one in self._cluster.members()
        ]
        return self._cluster.leader(), members

    def _issuers_now(self) -> object:
        return {name: (found.ok, found.error) for name, found in self._findings.all().items()}
