"""The Issuer port over ACME: one CA, one account, a bounded number of orders in flight."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

import httpx
import trio
from cryptography import x509
from prometheus_client import CollectorRegistry

from acme_manager.config.model import Common, IssuerConfig
from acme_manager.errors import (
    AcmeManagerError,
    DirectoryUnavailable,
    IssuanceFailed,
    IssuerRateLimited,
    IssuerUnavailable,
    Unavailable,
)
from acme_manager.issuance.account_files import AccountFiles
from acme_manager.issuance.account_store import AccountStore
from acme_manager.issuance.accounts import Account, Accounts
from acme_manager.issuance.ari import certificate_id, read_renewal_info
from acme_manager.issuance.client import AcmeClient
from acme_manager.issuance.course import Course
from acme_manager.issuance.metrics import IssuanceMetrics
from acme_manager.issuance.orders import Orders
from acme_manager.issuance.retry import RetryRules
from acme_manager.issuance.revocation import own_key, revoke
from acme_manager.issuance.transport import open_transport
from acme_manager.issuance.wire import Unreadable, read_identities, read_profiles
from acme_manager.ports import (
    Clock,
    Issued,
    IssuerFacts,
    OrderRequest,
    PlacedOrder,
    RenewalInfo,
    Solver,
    Step,
    Storage,
)

T = TypeVar("T")


class AcmeIssuer:
    """See ports.Issuer. Nothing is asked of the CA before the first use."""

    def __init__(
        self, config: IssuerConfig, client: AcmeClient, accounts: Accounts, metrics: IssuanceMetrics, clock: Clock
    ) -> None:
        self.config = config
        self._client, self._accounts, self._metrics, self._clock = client, accounts, metrics, clock
        self._turns = trio.CapacityLimiter(config.max_orders)

    async def issue(
        self,
        request: OrderRequest,
        solver: Solver,
        *,
        placed: Callable[[PlacedOrder], Awaitable[None]],
        step: Callable[[Step], None],
        resume: PlacedOrder | None = None,
    ) -> Issued:
        """Get a certificate, waiting for a turn first (`max_orders`)."""

        async def work(account: Account) -> Issued:
            course = Course(
                config=self.config,
                orders=Orders(self._client, account),
                request=request,
                solver=solver,
                clock=self._clock,
                placed=placed,
                step=step,
            )
            return await course.run(resume)

        async with self._turns:
            with self._counted():
                return await self._with_account(work)

    async def revoke(self, certificate: str, reason: int | None = None, *, private_key: str = "") -> None:
        """Revoke a PEM leaf. The CA isn't asked about one that has expired."""
        leaf = self._leaf(certificate)
        if leaf.not_valid_after_utc <= self._clock.now():
            return
        if not private_key:
            await self._with_account(lambda account: revoke(self._client, leaf, reason, account.key, account.url))
            return
        try:
            key = own_key(leaf, private_key)
        except ValueError as error:
            raise IssuanceFailed(f"issuer '{self.config.name}': not revoked: {error}") from error
        await revoke(self._client, leaf, reason, key)

    async def renewal_info(self, certificate: str) -> RenewalInfo | None:
        """Ask when a PEM leaf is to be renewed (RFC 9773 section 4.1); no account is needed for that."""
        base, name = await self._client.find_url("renewalInfo"), certificate_id(self._leaf(certificate))
        if not base or not name:
            return None
        answer = await self._client.get("renewal info", f"{base.rstrip('/')}/{name}")
        if answer is None:
            return None
        try:
            return read_renewal_info(self._client.document("renewal info", answer), answer.retry_after)
        except Unreadable as error:
            told = f"issuer '{self.config.name}': renewal info: the CA's answer can't be read: {error}"
            raise IssuerUnavailable(told, answer.retry_after or 5.0) from error

    async def facts(self) -> IssuerFacts:
        """What the directory says; with `unregister: true` there is no account."""
        meta = (await self._client.directory())["meta"]
        return IssuerFacts(
            caa_identities=read_identities(meta.caa_identities),
            profiles=read_profiles(meta.profiles),
            renewal_info=bool(await self._client.find_url("renewalInfo")),
            account="" if self.config.unregister else (await self._accounts.get()).url,
        )

    async def check(self) -> None:
        """See ports.Issuer. With `unregister: true`, this is what deactivates the account."""
        try:
            await self._client.directory(fresh=True)
        except AcmeManagerError as error:
            raise DirectoryUnavailable(str(error), getattr(error, "retry_after", None) or 5.0) from error
        if self.config.unregister:
            await self._accounts.unregister()
        else:
            await self._with_account(self._verify)

    async def read_account(self) -> None:
        """See ports.Issuer."""
        await self._accounts.read()

    async def unregister(self) -> bool:
        """Deactivate the account and remove it from storage and disk; false when there was none."""
        return await self._accounts.unregister()

    async def roll_over(self) -> None:
        """Give the account a new key."""
        await self._accounts.roll_over()

    async def _verify(self, account: Account) -> None:
        """Ask the CA for the account (RFC 8555 section 7.1.2): it may have been deactivated or revoked."""
        answer = await self._client.post("read account", account.url, None, account.key, account.url)
        status = self._client.document("read account", answer).get("status")
        if status != "valid":
            raise IssuanceFailed(f"issuer '{self.config.name}': the CA says that our account {account.url} is {status}")

    def _leaf(self, certificate: str) -> x509.Certificate:
        try:
            return x509.load_pem_x509_certificate(certificate.encode())
        except ValueError as error:
            raise IssuanceFailed(f"issuer '{self.config.name}': no certificate: {error}") from error

    async def _with_account(self, work: Callable[[Account], Awaitable[T]]) -> T:
        """Work with the account; once more if the CA has forgotten it, or another process has changed its key."""
        if self.config.unregister:
            raise IssuanceFailed(
                f"issuer '{self.config.name}' is not in use: its account is given up (unregister: true)"
            )
        account = await self._accounts.get()
        try:
            return await work(account)
        except IssuanceFailed as error:
            refusal = error
        newer = await self._accounts.recover(account, refusal.problem)
        if newer is None:
            raise refusal
        return await work(newer)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        name, started = self.config.name, trio.current_time()
        outcome = "cancelled"
        with self._metrics.in_flight.labels(name).track_inprogress():
            try:
                yield
                outcome = "issued"
                self._metrics.duration.labels(name).observe(trio.current_time() - started)
            except IssuerRateLimited:
                outcome = "rate_limited"
                raise
            except Unavailable:
                outcome = "unavailable"
                raise
            except Exception:
                outcome = "failed"
                raise
            finally:
                self._metrics.orders.labels(name, outcome).inc()


@asynccontextmanager
async def open_issuer(
    config: IssuerConfig,
    common: Common,
    environ: Mapping[str, str],
    registry: CollectorRegistry,
    clock: Clock,
    storage: Storage,
    account_key: str,
    *,
    wire: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[AcmeIssuer]:
    """An issuer for the length of a block. Neither CA nor storage need be up.

    `account_key` is where in storage the account is. `wire` stands in for the network in tests. Raises ConfigInvalid
    for a URL that must not be used, and certificates that can't be read.
    """
    metrics = IssuanceMetrics.on(registry)
    async with open_transport(config, common, environ, metrics, clock, wire=wire) as transport:
        client = AcmeClient(transport, RetryRules.of(common))
        files = AccountFiles(common.rootpath_account / config.name) if common.rootpath_account else None
        accounts = Accounts(client, config, AccountStore(storage, account_key, files))
        yield AcmeIssuer(config, client, accounts, metrics, clock)
