"""The requests that an order consists of (RFC 8555 sections 7.4 and 7.5), made as one account."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import attrs
import trio

from acme_manager.errors import IssuanceFailed, IssuerUnavailable
from acme_manager.issuance.accounts import Account
from acme_manager.issuance.chain import alternates, read_chain
from acme_manager.issuance.client import AcmeClient
from acme_manager.issuance.jws import b64
from acme_manager.issuance.order import Order
from acme_manager.issuance.transport import Answer
from acme_manager.issuance.wire import Authorization, Offer, read_authorization, read_names, read_order

T = TypeVar("T")

_PEM_CHAIN = "application/pem-certificate-chain"
_GONE = frozenset({"malformed", "unauthorized"})  # with 4xx: how CAs say that there is no such order for us


@attrs.frozen
class Orders:
    """Raises what AcmeClient raises."""

    client: AcmeClient
    account: Account

    async def place(self, wanted: Mapping[str, Any]) -> Order:
        """Place an order."""
        answer = await self._post("new order", await self.client.url_of("newOrder"), wanted)
        url = answer.headers.get("location", "")
        if not url:
            raise IssuerUnavailable(f"issuer '{self.client.issuer}': new order: the CA does not say where the order is")
        return self._order(answer, url)

    async def find(self, url: str, names: frozenset[tuple[str, str]]) -> Order | None:
        """An order that an earlier process placed; None if the CA no longer has it, or it is for other names."""
        try:
            answer = await self._post("resume order", url)
        except IssuanceFailed as error:
            code, status = (error.problem.code, error.problem.status) if error.problem else ("", None)
            if code in _GONE or status in {404, 410} or error.problem is None:
                return None
            raise
        same = self._read("resume order", answer, read_names) == names
        return self._order(answer, url) if same else None

    async def look(self, order: Order) -> Order:
        """What the CA says about an order now."""
        return self._order(await self._post("poll order", order.url), order.url)

    async def authorization(self, url: str) -> Authorization:
        """Fetch an authorization."""
        answer = await self._post("authorization", url)
        return self._read("authorization", answer, lambda document: read_authorization(document, url))

    async def answer(self, offer: Offer) -> None:
        """Tell the CA that a challenge is in place."""
        await self._post("answer challenge", offer.url, {})

    async def give_up(self, authorization: str) -> None:
        """Deactivate an authorization, so that it does not count against our limits (section 7.5.2)."""
        await self._post("deactivate authorization", authorization, {"status": "deactivated"})

    async def finalize(self, order: Order, csr: bytes) -> Order:
        """Send the signing request."""
        return self._order(await self._post("finalize", order.finalize, {"csr": b64(csr)}), order.url)

    async def download(self, url: str) -> tuple[str, Sequence[str]]:
        """A chain, and the URLs of the alternatives to it."""
        answer = await self._post("certificate", url, accept=_PEM_CHAIN)
        try:
            return read_chain(answer.body), alternates(answer.headers.get_list("link"))
        except ValueError as error:
            raise IssuanceFailed(f"issuer '{self.client.issuer}': the certificate can't be read: {error}") from error

    async def _post(
        self, doing: str, url: str, payload: Mapping[str, Any] | None = None, *, accept: str = ""
    ) -> Answer:
        return await self.client.post(doing, url, payload, self.account.key, self.account.url, accept=accept)

    def _order(self, answer: Answer, url: str) -> Order:
        retry_at = trio.current_time() + answer.retry_after if answer.retry_after else 0.0
        return self._read("order", answer, lambda document: read_order(document, url, retry_at))

    def _read(self, doing: str, answer: Answer, read: Callable[[Mapping[str, Any]], T]) -> T:
        try:
            return read(self.client.document(doing, answer))
        except ValueError as error:
            told = f"issuer '{self.client.issuer}': {doing}: the CA's answer can't be read: {error}"
            raise IssuerUnavailable(told) from error
