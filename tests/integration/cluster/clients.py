"""Clients that write and read through every node all the time, and remember what they were told."""

from __future__ import annotations

import base64
import random
from collections.abc import Sequence
from typing import Any

import attrs
import httpx
import trio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.integration.cluster.asking import path_of, wish
from tests.integration.cluster.history import Outcome, Write
from tests.integration.cluster.observers import key_of, short
from tests.parts.cluster import ZONE
from tests.parts.node import AS_ADMINISTRATOR, Node

OWNER = "alice"
_PATIENCE = 20.0  # seconds for one answer
_PAUSE = (0.05, 0.4)  # seconds between two requests of a writer
_KEYS = 4  # certificates that a writer has at once; then it changes and deletes more than it makes
_TRIES = 3  # of a wish of unknown outcome
_NOTHING_DONE = ("/not-leader", "/no-quorum", "/ring-not-ready", "/operation-in-progress")
_LOOK = 0.25  # seconds between two reads of a reader
_READ_PATIENCE = 5.0

_CERTIFICATES = "/api/v1/certificate"
_METADATA = f"{_CERTIFICATES}/metadata"
_TOKENS = "/api/v1/token"


def state_of(key: str, labels: str) -> str:
    """What distinguishes one wish for a certificate from another."""
    return f"{key} {labels}"


@attrs.define
class _Certificate:
    """As its writer believes it to be."""

    domain: str
    csr: str = ""
    certain: bool = True  # which key it has


class Writer:
    """Makes, changes and deletes certificates and tokens of its own, through nodes at random."""

    def __init__(self, name: str, nodes: Sequence[Node], rng: random.Random) -> None:
        self.writes: list[Write] = []
        self._name, self._nodes, self._rng = name, nodes, rng
        self._made = 0
        self._kept: dict[str, _Certificate] = {}
        self._tokens: dict[str, str] = {}  # ids by user

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            what = self._rng.choices(
                [self._make, self._renew, self._relabel, self._delete, self._make_token, self._delete_token],
                [2 if len(self._kept) < _KEYS else 0, 2, 4, 1, 2, 1],
            )[0]
            await what()
            await trio.sleep(self._rng.uniform(*_PAUSE))

    async def _make(self) -> None:
        self._made += 1
        one = _Certificate(f"{self._name}-{self._made}.{ZONE}")
        self._kept[one.domain] = one
        await self._issue("POST", one)

    async def _renew(self) -> None:
        if self._kept:
            await self._issue("PUT", self._rng.choice(list(self._kept.values())))

    async def _issue(self, method: str, one: _Certificate) -> None:
        """Ask for a certificate with a key that no other has."""
        self._made += 1
        body = wish(one.domain, labels=f"v={self._made}")
        key = key_of(_der(body["csr"]))
        await self._write(method, _CERTIFICATES, one.domain, state_of(key, body["labels"]), body)
        outcome = self.writes[-1].outcome
        one.certain = outcome is not Outcome.UNKNOWN
        if outcome is Outcome.DONE:
            one.csr = body["csr"]
        elif outcome is Outcome.REFUSED and method == "POST":
            self._kept.pop(one.domain, None)

    async def _relabel(self) -> None:
        """Change what needs no CA; for that it has to be certain which key the certificate has."""
        certain = [one for one in self._kept.values() if one.certain and one.csr]
        if not certain:
            return
        one = self._rng.choice(certain)
        self._made += 1
        labels = f"v={self._made}"
        body = {"issuer": "pebble", "domain": one.domain, "csr": one.csr, "labels": labels}
        state = state_of(key_of(_der(one.csr)), labels)
        await self._write("PUT", _CERTIFICATES, one.domain, state, body)

    async def _delete(self) -> None:
        if not self._kept:
            return
        one = self._kept.pop(self._rng.choice(list(self._kept)))  # its name is not used again
        await self._write("DELETE", path_of(one.domain), one.domain, None)

    async def _make_token(self) -> None:
        """For a user of its own, by whom it is known even if its id remains unknown. It is not asked for twice."""
        self._made += 1
        user = f"{self._name}-{self._made}"
        answer = await self._write("POST", _TOKENS, token_of(user), "there", {"username": user, "scope": ["read"]}, 1)
        if answer is not None and answer.is_success:
            self._tokens[user] = str(answer.json()["id"])

    async def _delete_token(self) -> None:
        if self._tokens:
            user = self._rng.choice(list(self._tokens))
            await self._write("DELETE", f"{_TOKENS}/{self._tokens.pop(user)}", token_of(user), None)

    async def _write(
        self,
        method: str,
        path: str,
        key: str,
        state: str | None,
        body: dict[str, Any] | None = None,
        tries: int = _TRIES,
    ) -> httpx.Response | None:
        """Ask, and if it remains unknown what became of it perhaps again; note it down as one write."""
        number = len(self.writes)
        self.writes.append(Write(key, state, Outcome.UNKNOWN))  # should the campaign end meanwhile
        answer, told = None, list[str]()
        for attempt in range(tries):
            answer = await self._ask(method, path, body, told)
            outcome = _outcome(answer, method, again=attempt > 0)
            certain = outcome is Outcome.DONE or (outcome is Outcome.REFUSED and attempt == 0)
            self.writes[number] = Write(key, state, outcome if certain else Outcome.UNKNOWN, "; ".join(told))
            if certain:
                break
            await trio.sleep(self._rng.uniform(0.5, 2))
        return answer

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None, told: list[str]) -> httpx.Response | None:
        """The answer; None when there was none and it may have been heard. `told` gets it in words."""
        node = self._rng.choice(self._nodes)
        headers = AS_ADMINISTRATOR if path.startswith(_TOKENS) else {"Authorization": f"Bearer {node.token}"}
        asked = f"{method} at {node.name}"
        try:
            async with node.anonymous(**headers) as client:
                answer = await client.request(method, path, json=body, timeout=_PATIENCE)
        except httpx.ConnectError:
            told.append(f"{asked} not heard")
            return httpx.Response(503, json={"type": "/not-leader"})
        except httpx.TransportError as error:
            told.append(f"{asked} broken: {error!r}")
            return None
        problem = "" if answer.is_success else f" {answer.json().get('type')}: {answer.json().get('detail')}"
        told.append(f"{asked} {answer.status_code}{problem} ({answer.headers.get('X-Request-Id')})")
        return answer


def _outcome(answer: httpx.Response | None, method: str, *, again: bool) -> Outcome:
    """`again`: an earlier attempt of the same may have been done."""
    if answer is None:
        return Outcome.UNKNOWN
    if answer.is_success:
        return Outcome.DONE
    kind = str(answer.json().get("type", ""))
    if answer.status_code == httpx.codes.CONFLICT:  # it is there already
        return Outcome.DONE if again else Outcome.REFUSED
    if answer.status_code == httpx.codes.NOT_FOUND and method == "DELETE":
        return Outcome.DONE if again else Outcome.REFUSED
    if kind.endswith(_NOTHING_DONE) or answer.is_client_error:
        return Outcome.REFUSED
    return Outcome.UNKNOWN


@attrs.define
class Reader:
    """Reads from one node, and remembers each refusal while the node ran and had once answered."""

    node: Node
    refused: list[str] = attrs.field(factory=list)
    answered: int = 0
    excused: bool = False  # it is being stopped or frozen
    _proven: int = 0  # the process that has answered

    async def run(self) -> None:
        """Go on until cancelled."""
        began = trio.current_time()
        while True:
            pid, excused = self.node.program.pid, self.excused
            wrong = await self._look()
            if wrong is None:
                self._proven = pid
                self.answered += 1
            elif pid == self._proven and self._runs(pid) and not (excused or self.excused):
                self.refused.append(f"{self.node.name} at {trio.current_time() - began:.1f} s: {wrong}")
            await trio.sleep(_LOOK)

    def _runs(self, pid: int) -> bool:
        return self.node.program.alive and self.node.program.pid == pid

    async def _look(self) -> str | None:
        try:
            async with self.node.client() as client:
                answer = await client.get(_METADATA, timeout=_READ_PATIENCE)
        except httpx.TransportError as error:
            return repr(error)
        return None if answer.is_success else answer.text


def token_of(user: str) -> str:
    """How a token is known to the checker."""
    return f"token of {user}"


async def tokens_shown_by(node: Node) -> dict[str, str]:
    """The state of every writer's token that a node has."""
    async with node.anonymous(**AS_ADMINISTRATOR) as client:
        answer = (await client.get(_TOKENS, timeout=_PATIENCE)).raise_for_status()
    return {token_of(one["username"]): "there" for one in answer.json() if one["username"] != OWNER}


async def certificates_shown_by(node: Node) -> dict[str, str]:
    """The state of every certificate that a node has, by domain; its text is read too."""
    shown = {}
    async with node.client() as client:
        for one in (await client.get(_METADATA, timeout=_PATIENCE)).raise_for_status().json():
            answer = await client.get(path_of(one["domain"]), timeout=_PATIENCE)
            if answer.is_success:
                shown[str(one["domain"])] = state_in(answer.json())
    return shown


def state_in(kept: dict[str, Any]) -> str:
    """The state that a certificate from the API or from storage is in."""
    leaf = x509.load_pem_x509_certificate(kept["cert"].encode())
    return state_of(short(leaf.public_key()), kept.get("labels", ""))


def _der(csr: str) -> bytes:
    return x509.load_pem_x509_csr(base64.b64decode(csr)).public_bytes(Encoding.DER)
