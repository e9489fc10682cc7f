from __future__ import annotations

import attrs
import pytest
import trio
import trio.testing

from acme_manager.domain.certificate import Certificate
from acme_manager.domain.renewal_state import RenewalState
from acme_manager.domain.request import TokenParams
from acme_manager.errors import NotLeader, OutcomeUnknown
from acme_manager.ring.alone import Alone
from acme_manager.services.reign import Reign
from acme_manager.services.state import State
from tests.unit.services.world import ALICE, open_world, passes, wish


async def test_a_follower_counts_as_loaded_once_it_has_all_that_a_leader_had_found() -> None:
    shared = Alone()
    seen = trio.Event()

    async def wait_for(stamp: str) -> None:
        assert stamp == "7.3"
        await seen.wait()

    shared.wait_for = wait_for  # type: ignore[method-assign]
    state = State(shared)
    with state.following():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(state.catch_up, shared)
            await trio.testing.wait_all_tasks_blocked()
            shared.put("complete", b"7.3")
            await trio.testing.wait_all_tasks_blocked()
            assert not state.loaded.is_set()
            seen.set()
        assert state.loaded.is_set()


async def test_an_entry_that_can_not_be_read_harms_no_other() -> None:
    shared = Alone()
    state = State(shared)
    with state.following():
        shared.put("certificate/alice/a", b"{")
        shared.put("certificate/alice/b", b'{"days":"many"}')
        shared.put("token/t", b"[]")
        shared.put("certificate/alice/c", b'{"owner":"alice","name":"c"}')
        assert [key for key, _ in state.certificates.items()] == ["alice/c"]
        assert len(state.tokens) == 0


async def test_a_term_begins_with_a_look_through_storage_and_repeats_it(autojump_clock: trio.testing.MockClock) -> None:
    async with open_world() as world:
        await world.certificates.request(ALICE, wish())
        storage = world.storage
    async with open_world(storage, load=False, lead=False) as world:
        agreed: list[int] = []
        reign = Reign(
            cluster=world.cluster,
            state=world.state,
            jobs=world.jobs,
            reconciler=world.reconciler,
            passes=passes(),
            reconciled=agreed.append,
            interval=1800,
            renewals=trio.sleep_forever,
        )
        with trio.move_on_after(4000):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(reign, 5)
                await world.state.loaded.wait()
                assert len(world.certificates.list("alice")) == 1
                await storage.purge("certificates/alice/test/example.com")
                await trio.sleep(1900)
                assert world.certificates.list("alice") == []
        assert agreed == [5, 5, 5]


async def test_what_is_in_storage_when_leadership_is_lost_is_not_said_to_be_undone() -> None:
    async with open_world() as world:
        token, _ = await world.tokens.create(TokenParams(username="alice", scope=("read",)))

        def refuse(key: str) -> None:
            raise NotLeader("'n2' leads, and not this node", "n2")

        world.cluster.remove = refuse  # type: ignore[method-assign]
        with pytest.raises(OutcomeUnknown, match="'n2' leads"):
            await world.tokens.revoke(token.id)
        assert (await world.storage.get(f"tokens/alice/{token.id}")).value is None


def test_what_is_known_of_a_renewal_is_told_once_and_goes_with_its_certificate() -> None:
    cluster = Alone()
    state = State(cluster)
    heard: list[str] = []
    certificate = Certificate(owner="o", issuer="i", domain="a.example", fingerprint="new")
    known = RenewalState(leaf="new", failures=2, error="no luck", cause="dns")
    with state.following(), state.renewals.watched_by(heard.append):
        state.publish(certificate)
        for _ in range(2):
            state.publish_renewal(certificate.id.key, known)
        assert heard == [certificate.id.key]
        assert state.renewal(certificate) == known
        assert state.renewal(attrs.evolve(certificate, fingerprint="newer")) == RenewalState(leaf="newer")
        state.withdraw(certificate.id.key)
        assert len(state.renewals) == 0
        assert list(cluster.items("renewal/")) == []


def test_an_entry_about_a_renewal_that_can_not_be_read_is_left_out() -> None:
    cluster = Alone()
    for number, value in enumerate(
        [b"[]", b'{"failures":"x"}', b'{"ari":{"start":1}}', b'{"ari":5}', b'{"ask_at":1e99}']
    ):
        cluster.put(f"renewal/{number}", value)
    cluster.put("renewal/good", b'{"leaf":"f","failures":1,"unknown":[]}')
    state = State(cluster)
    with state.following():
        assert dict(state.renewals.items()) == {"good": RenewalState(leaf="f", failures=1)}
