from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from acme_manager.config.model import Common, Config, IssuerConfig, VaultConfig
from acme_manager.errors import Complaint, ConfigInvalid, InvalidRequest, IssuanceFailed, StorageUnavailable
from acme_manager.ports import Issuer, Solver
from acme_manager.ring.alone import Alone
from acme_manager.services.challenges import HttpChallenges
from acme_manager.services.issuer_keeper import IssuerKeeper
from acme_manager.services.issuers import Issuers
from acme_manager.structure import background
from tests.fakes.ca import MemoryCa

VAULT = VaultConfig(url="https://v", role_id="r", secret_id="s", secret_engine="kv", certificate_prefix="c")


def config(*names: str, **settings: Any) -> Config:
    """Issuers of these names; `contact` is a setting of all of them."""
    contact, environ = settings.pop("contact", ""), settings.pop("environ", {})
    issuers = {name: IssuerConfig(name=name, ca_dir_url=f"https://{name}/dir", contact=contact) for name in names}
    return Config(common=Common(**settings), issuers=issuers, vault=VAULT, environ=environ)


@attrs.define
class Stage:
    """A keeper, and what became of what it has opened."""

    issuers: Issuers
    keeper: IssuerKeeper
    open: list[str]
    replaced: list[str]
    closed: list[str]

    async def change(self, old: Config, new: Config) -> None:
        async with self.keeper.prepared(old, new) as step:
            step()


def _no_dns(_name: str, _owner: str) -> Solver:
    raise AssertionError("no certificate of these tests is proven by DNS")


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    alive: list[str] = []

    @asynccontextmanager
    async def opener(wanted: IssuerConfig, _whole: Config) -> AsyncIterator[Issuer]:
        await trio.lowlevel.checkpoint()
        if wanted.contact == "wrong":
            raise ConfigInvalid("config", [Complaint(f"issuer.{wanted.name}", "wrong")])
        alive.append(wanted.name)
        yield MemoryCa(partial(before, wanted.contact))
        alive.remove(wanted.name)

    async def before(contact: str, _step: str) -> None:
        await trio.lowlevel.checkpoint()
        if contact == "unreadable":
            raise IssuanceFailed("the account can't be read")
        if contact == "away":
            raise StorageUnavailable("Vault is sealed; unseal it")

    issuers = Issuers({}, http_solver=lambda _name, _store: HttpChallenges(Alone(), bool), dns_solver=_no_dns)
    replaced: list[str] = []
    closed: list[str] = []
    async with background() as nursery:
        keeper = IssuerKeeper(nursery, issuers, opener, replaced=replaced.append, closed=closed.append)
        yield Stage(issuers, keeper, alive, replaced, closed)


async def test_an_issuer_comes_and_goes_and_the_others_stay_as_they_are(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with stage() as here:
        first, second, third = config("a", "b"), config("a", "c"), config("a", cert_timeout=500.0)
        await here.keeper.start(first)
        a, b = here.issuers.get("a"), here.issuers.get("b")
        await here.change(first, second)
        assert here.issuers.names() == ["a", "c"]
        assert here.issuers.get("a") is a
        assert not here.issuers.has("b", b)
        with pytest.raises(InvalidRequest, match="issuer"):
            here.issuers.get("b")
        await here.change(second, third)
        assert (here.issuers.names(), sorted(here.replaced)) == (["a"], ["b", "c", "c"])


async def test_one_that_is_removed_may_finish_its_orders_before_it_is_closed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with stage() as here:
        before = config("a", "b", cert_timeout=300.0)
        await here.keeper.start(before)
        await here.change(before, config("a", cert_timeout=10.0))
        await trio.sleep(300)
        assert (sorted(here.open), here.closed) == (["a", "b"], [])
        await trio.sleep(2)
        assert (here.open, here.closed) == (["a"], ["b"])


async def test_one_that_is_changed_is_opened_anew_beside_the_old_one(autojump_clock: trio.testing.MockClock) -> None:
    async with stage() as here:
        before, after = config("a"), config("a", contact="new@example.com")
        await here.keeper.start(before)
        old = here.issuers.get("a")
        await here.change(before, after)
        assert not here.issuers.has("a", old)
        assert here.open == ["a", "a"]
        await trio.sleep(242)
        assert (here.open, here.closed) == (["a"], [])  # closed is told of names that are gone


async def test_an_account_that_can_not_be_looked_at_just_now_hinders_no_change() -> None:
    async with stage() as here:
        await here.keeper.start(config("a", contact="unreadable"))  # what was so at the start is told by its health
        await here.change(config("a", contact="unreadable"), config("a", contact="away"))
        assert here.open == ["a", "a"]


@pytest.mark.parametrize(
    ("settings", "anew"),
    [
        ({"environ": {"HTTPS_PROXY": "http://proxy"}}, True),
        ({"environ": {"no_proxy": "*"}}, True),
        ({"environ": {"LEGO_CA_CERTIFICATES": "/roots.pem"}}, True),
        ({"environ": {"RFC2136_TSIG_SECRET": "other"}}, False),
        ({"http_client_debug": True}, True),
        ({"http_client_retry_max": 7}, True),
        ({"api_key_hash": "other", "cert_timeout": 7.0}, False),
    ],
)
async def test_only_what_an_issuer_is_made_of_has_it_opened_anew(settings: dict[str, Any], *, anew: bool) -> None:
    async with stage() as here:
        await here.keeper.start(config("a"))
        old = here.issuers.get("a")
        await here.change(config("a"), config("a", **settings))
        assert here.issuers.has("a", old) is not anew


async def test_one_that_can_not_be_opened_leaves_everything_as_it_was(autojump_clock: trio.testing.MockClock) -> None:
    async with stage() as here:
        await here.keeper.start(config("a", "b"))
        a = here.issuers.get("a")
        with pytest.raises(ConfigInvalid, match="wrong"):
            await here.change(config("a", "b"), config("a", "c", "d", contact="wrong"))
        with pytest.raises(ConfigInvalid, match=r"issuer\.c: the account can't be read"):
            await here.change(config("a", "b"), config("c", contact="unreadable"))
        async with here.keeper.prepared(config("a", "b"), config("c", "d")):
            assert sorted(here.open) == ["a", "b", "c", "d"]
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(here.open) == ["a", "b"]
        assert here.issuers.names() == ["a", "b"]
        assert here.issuers.has("a", a)
        assert here.replaced == []
