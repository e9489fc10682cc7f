"""Our account at a CA (RFC 8555 section 7.3): the one in storage, else found by its key, else registered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import attrs
import structlog
import trio
from acme import messages

from acme_manager.config.model import IssuerConfig
from acme_manager.errors import IssuanceFailed, IssuerUnavailable, Problem, StorageDenied, StorageUnavailable
from acme_manager.issuance.account_record import AccountRecord, Registration, new_key
from acme_manager.issuance.account_store import AccountStore
from acme_manager.issuance.client import AcmeClient
from acme_manager.issuance.jws import AccountKey, bind_external_account
from acme_manager.issuance.transport import Answer

_log = structlog.get_logger(__name__)

_UNKNOWN = "accountDoesNotExist"
_MAY_BE_THE_ACCOUNT = frozenset({_UNKNOWN, "unauthorized", "malformed", "badPublicKey"})


@attrs.frozen
class Account:
    """An account that the CA knows: its key, and its URL, which signs as `kid`."""

    key: AccountKey
    url: str


class Accounts:
    """Keeps the one account of an issuer. Raises what AcmeClient raises, and StorageUnavailable or StorageDenied where
    the account must be read or written; one that can't be read is IssuanceFailed.
    """

    def __init__(self, client: AcmeClient, config: IssuerConfig, store: AccountStore) -> None:
        self._client, self._config, self._store = client, config, store
        self._account: Account | None = None
        self._lock = trio.Lock()

    async def get(self) -> Account:
        """The account, made ready at the first call; others wait for that. From then on storage isn't asked."""
        async with self._lock:
            if self._account is None:
                with self._readable():
                    self._account = await self._settled(await self._store.load())
            return self._account

    async def read(self) -> None:
        """See that the account that is kept, if there is one, can be read; the CA is not asked."""
        with self._readable():
            await self._store.find()

    async def recover(self, lost: Account, problem: Problem | None) -> Account | None:
        """After the CA has refused `lost`: the account to go on with, or None if the account isn't what is wrong.

        Another process may have switched the key, or the CA may have lost its memory; then we register again.
        """
        if problem is None or problem.code not in _MAY_BE_THE_ACCOUNT:
            return None
        async with self._lock:
            # By identity: an account that was registered again may have its old URL.
            if self._account is not None and self._account is not lost:
                return self._account
            with self._readable():
                found = await self._replacement(lost, unknown=problem.code == _UNKNOWN)
            self._account = found or self._account
            return found

    async def unregister(self) -> bool:
        """Deactivate the account (section 7.3.6), and remove it from storage and disk; false when there was none."""
        async with self._lock:
            self._account = None
            with self._readable():
                record = await self._store.find()
                if record is None:
                    return False
                for pem in filter(None, (record.key, record.next_key)):
                    await self._deactivate(AccountKey.of_pem(pem))
                await self._store.forget()
        _log.info("account deactivated", issuer=self._config.name)
        return True

    async def roll_over(self) -> None:
        """Give the account a new key (section 7.3.5).

        The new key is in storage before the CA hears of it, and takes the old one's place after: whoever dies in
        between leaves both, and the next to use the account asks the CA which one counts.
        """
        account = await self.get()
        async with self._lock:
            with self._readable():
                url = await self._client.url_of("keyChange")
                next_key = (await self._store.change(_with_next_key)).next_key
                key = AccountKey.of_pem(next_key)
                request = {"account": account.url, "oldKey": account.key.jwk}
                inner = key.sign(url, _json(request))
                await self._client.post("key change", url, _parsed(inner), account.key, account.url)
                await self._adopt(next_key)
                self._account = Account(key, account.url)
        _log.info("account key changed", issuer=self._config.name, account=account.url)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            raise IssuanceFailed(f"issuer '{self._config.name}': account: {error}") from error

    async def _replacement(self, lost: Account, *, unknown: bool) -> Account | None:
        try:
            record = await (self._store.load() if unknown else self._store.stored())
        except (StorageUnavailable, StorageDenied):
            if unknown:
                raise
            return None  # most refusals are not about the account
        if record is None:
            return None
        kept = _account_of(record)
        if kept is not None and kept != lost:
            return kept
        if unknown:
            _log.warning("CA no longer knows our account", issuer=self._config.name, account=lost.url)
            return await self._settled(attrs.evolve(record, registration=None))
        settled = await self._settled(record) if record.next_key else lost
        return None if settled == lost else settled

    async def _settled(self, record: AccountRecord) -> Account:
        """The account of a record, after finishing what somebody began: a roll-over, a registration."""
        if record.next_key and await self._find(AccountKey.of_pem(record.next_key)) is not None:
            # Left in place when the CA doesn't know it: its maker may be about to send it.
            record = await self._adopt(record.next_key)
        account = _account_of(record)
        if account is None:
            return await self._find_or_register(AccountKey.of_pem(record.key))
        if record.registration is not None and record.registration.email != self._config.contact:
            return await self._update_contact(account)
        return account

    async def _adopt(self, next_key: str) -> AccountRecord:
        return await self._store.change(lambda record: _existing(record).adopted(next_key))

    async def _deactivate(self, key: AccountKey) -> None:
        try:
            found = await self._find(key)
        except IssuanceFailed as error:
            # What a CA says of an account that another node has deactivated.
            if error.problem is None or error.problem.code != "unauthorized":
                raise
            return
        if found is not None:
            url = self._location(found)
            await self._client.post("deactivate account", url, {"status": "deactivated"}, key, url)

    async def _find(self, key: AccountKey) -> Answer | None:
        """The CA's answer about a key's account, or None when it knows none (section 7.3.1)."""
        wanted = messages.NewRegistration(only_return_existing=True)
        try:
            return await self._post_new_account("find account", wanted, key)
        except IssuanceFailed as error:
            if error.problem is not None and error.problem.code == _UNKNOWN:
                return None
            raise

    async def _find_or_register(self, key: AccountKey) -> Account:
        found = await self._find(key)
        if found is None:
            return await self._register(key)
        account = Account(key, self._location(found))
        return await (self._update_contact(account) if self._config.contact else self._save(account, found))

    async def _register(self, key: AccountKey) -> Account:
        # A key that the CA knows already gets its old account back, so a race with another node does no harm.
        wanted = messages.NewRegistration(
            terms_of_service_agreed=True,
            external_account_binding=await self._binding(key),
            **({"contact": self._contact()} if self._contact() else {}),
        )
        answer = await self._post_new_account("register account", wanted, key)
        account = Account(key, self._location(answer))
        _log.info("account registered", issuer=self._config.name, account=account.url)
        return await self._save(account, answer)

    async def _update_contact(self, account: Account) -> Account:
        wanted = messages.UpdateRegistration(contact=self._contact())
        answer = await self._client.post("update account", account.url, wanted.to_json(), account.key, account.url)
        return await self._save(account, answer)

    async def _post_new_account(self, doing: str, wanted: messages.NewRegistration, key: AccountKey) -> Answer:
        return await self._client.post(doing, await self._client.url_of("newAccount"), wanted.to_json(), key)

    async def _binding(self, key: AccountKey) -> Any:
        config, directory = self._config, await self._client.directory()
        if config.eab:
            return bind_external_account(key, await self._client.url_of("newAccount"), config.kid, config.hmac)
        if directory["meta"].external_account_required:
            raise IssuanceFailed(
                f"issuer '{config.name}': the CA wants an external account binding: set eab, kid and hmac",
                Problem("urn:ietf:params:acme:error:externalAccountRequired"),
            )
        return None

    def _contact(self) -> tuple[str, ...]:
        return (f"mailto:{self._config.contact}",) if self._config.contact else ()

    def _location(self, answer: Answer) -> str:
        url = answer.headers.get("location", "")
        if not url:
            raise IssuerUnavailable(f"issuer '{self._config.name}': the CA does not say where the account is")
        return str(url)

    async def _save(self, account: Account, answer: Answer) -> Account:
        """Keep the registration; returns the account to use, another where somebody has put another one there."""
        body = self._client.document("account", answer)
        registration = Registration(self._config.contact, account.url, body)

        def registered(record: AccountRecord | None) -> AccountRecord:
            kept = _existing(record)
            return attrs.evolve(kept, registration=registration) if kept.holds(account.key) else kept

        return _account_of(await self._store.change(registered)) or account


def _account_of(record: AccountRecord) -> Account | None:
    if record.registration is None:
        return None
    return Account(AccountKey.of_pem(record.key), record.registration.url)


def _existing(record: AccountRecord | None) -> AccountRecord:
    if record is None:
        raise ValueError("it was removed from storage by somebody else meanwhile")
    return record


def _with_next_key(record: AccountRecord | None) -> AccountRecord:
    kept = _existing(record)
    return kept if kept.next_key else attrs.evolve(kept, next_key=new_key())


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _parsed(message: bytes) -> Any:
    return json.loads(message)
