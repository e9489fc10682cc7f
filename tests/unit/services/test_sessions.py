"""Sealed sessions: which cookies open, what the key is, and what becomes of it when storage is away or it is gone."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest
import trio
from cryptography.fernet import Fernet
from trio.testing import MockClock

from acme_manager.config.model import Common
from acme_manager.config.ui import OidcConfig, UiConfig
from acme_manager.domain.gotime import format_time
from acme_manager.domain.session import Proof
from acme_manager.domain.token import Scope, bearer_value, hash_secret
from acme_manager.errors import NotAuthenticated, NotLeader, StorageDenied, StorageUnavailable
from acme_manager.ring.alone import Alone
from acme_manager.services.sessions import Sessions
from acme_manager.services.settings import Settings
from acme_manager.services.state import State
from acme_manager.services.tokens import Tokens
from acme_manager.storage.keys import session_key
from acme_manager.storage.memory import MemoryStorage
from tests.unit.services.world import ALICE, NOW, MovableClock, settings_with

KEY = session_key("certificates")


class Slow(MemoryStorage):
    """One that answers after a minute, while `slow`."""

    slow = True

    async def get(self, key: str, version: int | None = None) -> object:  # type: ignore[override]
        await trio.sleep(60 if self.slow else 0)
        return await super().get(key, version)


@attrs.frozen
class Node:
    storage: MemoryStorage
    cluster: Alone
    state: State
    settings: Settings
    clock: MovableClock
    sessions: Sessions


def node(storage: MemoryStorage | None = None, cluster: Alone | None = None) -> Node:
    storage, cluster, clock = storage or MemoryStorage(MovableClock()), cluster or Alone(), MovableClock()
    settings, state = settings_with(Common(api_key_hash=hash_secret("admin"))), State(cluster)
    tokens = Tokens(storage, state, clock, settings, prefix="tokens")
    sessions = Sessions(storage=storage, shared=cluster, state=state, tokens=tokens, settings=settings, clock=clock)
    return Node(storage, cluster, state, settings, clock, sessions)


def configure(one: Node, **ui: object) -> None:
    one.settings.go_by(attrs.evolve(one.settings.config, ui=UiConfig(**ui)))  # type: ignore[arg-type]


async def test_what_one_node_seals_another_opens_though_both_make_the_key_at_once() -> None:
    storage = MemoryStorage(MovableClock())
    nodes, cookies = [node(storage) for _ in range(4)], list[str]()

    async def seal(one: Node) -> None:
        cookies.append(await one.sessions.seal(one.sessions.with_api_key("admin")))

    async with trio.open_nursery() as nursery:
        for one in nodes:
            nursery.start_soon(seal, one)
    assert len(storage._histories[KEY]) == 1
    for one in nodes:
        for cookie in cookies:
            assert (await one.sessions.open(cookie) or pytest.fail("not opened")).admin


async def test_each_log_in_is_a_session_of_its_own() -> None:
    one = node()
    first, second = (one.sessions.with_api_key("admin") for _ in range(2))
    assert first.id != second.id
    assert await one.sessions.form_token(first.id) != await one.sessions.form_token(second.id)
    assert await one.sessions.seal(first) != await one.sessions.seal(first)


async def test_only_a_cookie_as_it_was_sealed_opens() -> None:
    one, other = node(), node()
    session = one.sessions.with_api_key("admin")
    cookie = await one.sessions.seal(session)
    assert await one.sessions.open(cookie) == session
    last = "A" if cookie[-5] != "A" else "B"
    for wrong in (
        "", "x", cookie[:-1], cookie[1:], cookie[:-5] + last + cookie[-4:], "A" * 10**6,
        "\udcff", "ä\0", cookie * 20,
        await other.sessions.seal(session),
        Fernet(Fernet.generate_key()).encrypt(b"{}").decode(),
        await one.sessions.seal_record({}),
        await one.sessions.seal_record({"id": "x", "proof": "faith", "ground": "x", "name": "x", "ends": 1}),
        await one.sessions.seal_record({"state": "x", "nonce": "x", "verifier": "x", "next": "", "until": 9**15}),
    ):  # fmt: skip
        assert await one.sessions.open(wrong) is None, wrong[:60]


async def test_a_key_that_was_destroyed_ends_all_sessions_within_ten_minutes(autojump_clock: MockClock) -> None:
    one = node()
    cookie = await one.sessions.seal(one.sessions.with_api_key("admin"))
    await one.storage.purge(KEY)
    await trio.sleep(599)
    assert await one.sessions.open(cookie) is not None
    await trio.sleep(2)
    assert await one.sessions.open(cookie) is None
    assert (
        await node(one.storage).sessions.open(await one.sessions.seal(one.sessions.with_api_key("admin"))) is not None
    )


async def test_what_is_no_key_is_replaced() -> None:
    one = node()
    await one.storage.put(KEY, {"key": "no key"}, expected=0)
    assert await one.sessions.open(await one.sessions.seal(one.sessions.with_api_key("admin"))) is not None
    assert len(one.storage._histories[KEY]) == 2


@pytest.mark.parametrize("error", [StorageUnavailable("sealed"), StorageDenied("no policy")])
async def test_a_node_without_a_key_lets_nobody_in_until_storage_is_back(error: Exception) -> None:
    one = node()
    one.storage.down = error
    with pytest.raises(type(error)):
        await one.sessions.seal(one.sessions.with_api_key("admin"))
    one.storage.down = None
    assert await one.sessions.open(await one.sessions.seal(one.sessions.with_api_key("admin"))) is not None


async def test_storage_that_does_not_answer_is_not_waited_for_long(autojump_clock: MockClock) -> None:
    storage = Slow(MovableClock())
    one, began = node(storage), trio.current_time()
    with pytest.raises(StorageUnavailable, match="5 s"):
        await one.sessions.form_token("x")
    assert trio.current_time() - began == 5
    storage.slow = False
    known = await one.sessions.form_token("x")
    storage.slow = True
    await trio.sleep(700)
    assert await one.sessions.form_token("x") == known  # it goes on with the key that it has


async def test_what_is_ended_is_ended_everywhere_and_forgotten_in_time() -> None:
    one = node()
    session = one.sessions.with_api_key("admin")
    cookie = await one.sessions.seal(session)
    one.sessions.end(session)
    assert await one.sessions.open(cookie) is None
    assert await node(one.storage, one.cluster).sessions.open(cookie) is None
    one.sessions.forget_ended()
    assert await one.sessions.open(cookie) is None
    one.cluster.put("session-ended/another", b"of another version")
    one.clock.at = session.ends + timedelta(seconds=1)
    one.sessions.forget_ended()
    assert not list(one.cluster.items("session-ended/"))
    assert await one.sessions.open(cookie) is None  # it is over anyway


async def test_a_node_that_does_not_lead_can_not_end_a_session() -> None:
    one = node()
    one.cluster.leading = False
    with pytest.raises(NotLeader):
        one.sessions.end(one.sessions.with_api_key("admin"))


async def test_people_of_a_provider_are_let_in_as_long_as_it_is_configured_as_it_was() -> None:
    one = node()
    with pytest.raises(NotAuthenticated):
        one.sessions.with_identity("alice", admin=False, owner="web", scope=(Scope.READ,))
    oidc = OidcConfig(issuer_url="https://login.example", client_id="x", client_secret="one")
    configure(one, oidc=oidc)
    session = one.sessions.with_identity("alice", admin=False, owner="web", scope=(Scope.READ,))
    cookie = await one.sessions.seal(session)
    assert await one.sessions.open(cookie) == session
    assert session.proof is Proof.OIDC
    configure(one, oidc=attrs.evolve(oidc, client_secret="another"))
    assert await one.sessions.open(cookie) == session  # a new secret takes nobody's rights
    configure(one, oidc=attrs.evolve(oidc, admin_groups=("root",)))
    assert await one.sessions.open(cookie) is None
    configure(one)
    assert await one.sessions.open(cookie) is None


async def test_a_session_lasts_as_configured_and_never_longer_than_its_token() -> None:
    one = node()
    configure(one, session_duration=600.0)
    assert one.sessions.with_api_key("admin").ends == NOW + timedelta(seconds=600)
    one.state.loaded.set()
    one.state.tokens.put(ALICE.id, attrs.evolve(ALICE, expires=format_time(NOW + timedelta(minutes=5))))
    session = one.sessions.with_token(bearer_value(ALICE.id, "s"))
    assert session.ends == NOW + timedelta(minutes=5)
    cookie = await one.sessions.seal(session)
    one.clock.at = NOW + timedelta(minutes=5)
    assert await one.sessions.open(cookie) is None
    with pytest.raises(NotAuthenticated):
        one.sessions.with_api_key("wrong")
