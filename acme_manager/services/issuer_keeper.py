"""Which CAs are open: they come and go with the configuration, and those that go finish first what they have begun."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import attrs
import structlog
import trio

from acme_manager.config.model import Config, IssuerConfig
from acme_manager.errors import AcmeManagerError, Complaint, ConfigInvalid, StorageDenied, StorageUnavailable
from acme_manager.issuance.trust import VARIABLES
from acme_manager.ports import Issuer
from acme_manager.services.issuers import ConfiguredIssuer, Issuers

_log = structlog.get_logger(__name__)

_SHORT_WORK = 60.0  # seconds for everything that is not an order, such as a look at the CA's health

Open = Callable[[IssuerConfig, Config], AbstractAsyncContextManager[Issuer]]
"""Opens a CA for the length of a block. Raises ConfigInvalid."""


@attrs.define(eq=False)
class _Held:
    """An open issuer."""

    configured: ConfiguredIssuer
    ingredients: object  # one that would be made of the same need not be opened anew
    over: trio.Event = attrs.field(factory=trio.Event)
    grace: float = 0.0  # seconds that it stays open from then on

    def end(self, grace: float = 0.0) -> None:
        self.grace = grace
        self.over.set()


class IssuerKeeper:
    """Owns the open issuers, each in a task of its own in `nursery`; `issuers` are those that count.

    `replaced` is told of each name that stands for something else, or nothing, from now on; `closed` of each that is
    configured no more, when the last of it has been closed.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        issuers: Issuers,
        open: Open,
        *,
        replaced: Callable[[str], None],
        closed: Callable[[str], None],
    ) -> None:
        self.issuers = issuers
        self._nursery, self._open = nursery, open
        self._replaced, self._closed = replaced, closed
        self._held: dict[str, _Held] = {}

    async def start(self, config: Config) -> None:
        """Open what is configured at the start. Raises ConfigInvalid."""
        self._use({name: await self._nursery.start(self._hold, name, config) for name in config.issuers})

    @asynccontextmanager
    async def prepared(self, old: Config, new: Config) -> AsyncIterator[Callable[[], None]]:
        """Open the issuers that are new or made of something else; in the block, the step that lets them count.

        Those that they replace stay open for as long as an order may take. Raises ConfigInvalid, also for an account
        that can't be read.
        """
        kept = {name: held for name, held in self._held.items() if held.ingredients == _ingredients(name, new)}
        opened: dict[str, _Held] = {}
        unused = opened

        def step() -> None:
            nonlocal unused
            unused = {}
            before = self._held
            self._use({**kept, **opened})
            for name in (before.keys() | opened.keys()) - kept.keys():
                self._replaced(name)
            for name in before.keys() - kept.keys():
                before[name].end(max(old.common.cert_timeout, _SHORT_WORK) + 1)

        try:
            for name in new.issuers.keys() - kept.keys():
                opened[name] = await self._nursery.start(self._hold, name, new)
                await _read_account(name, opened[name].configured.issuer)
            yield step
        finally:
            for held in unused.values():
                held.end()

    def _use(self, held: dict[str, _Held]) -> None:
        self._held = held
        self.issuers.replace({name: one.configured for name, one in held.items()})

    async def _hold(self, name: str, whole: Config, *, task_status: trio.TaskStatus[_Held]) -> None:
        config = whole.issuers[name]
        async with self._open(config, whole) as issuer:
            held = _Held(ConfiguredIssuer(config, issuer), _ingredients(name, whole))
            task_status.started(held)
            await held.over.wait()
            await trio.sleep(held.grace)
        if name not in self._held:
            _log.info("issuer closed", issuer=name)
            self._closed(name)


async def _read_account(name: str, issuer: Issuer) -> None:
    try:
        await issuer.read_account()
    except (StorageUnavailable, StorageDenied) as error:
        _log.info("account not looked at: storage is away", issuer=name, reason=str(error))
    except AcmeManagerError as error:
        raise ConfigInvalid("config", [Complaint(f"issuer.{name}", str(error))]) from error


def _ingredients(name: str, whole: Config) -> object:
    """What an open issuer is made of."""
    common, environ = whole.common, whole.environ
    return (
        whole.issuers.get(name),
        common.rootpath_account,
        common.http_client_retry_max,
        common.http_client_retry_wait_min,
        common.http_client_retry_wait_max,
        common.http_client_retry_status_code,
        common.http_client_debug,
        [environ.get(variable) for variable in VARIABLES],
    )
