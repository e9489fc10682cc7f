"""Our account at a CA (RFC 8555 section 7.3): found on disk, else by its key, else registered."""

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
from acme_manager.errors import IssuanceFailed, IssuerUnavailable, Problem
from acme_manager.issuance.account_files import AccountFiles, Registration
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
    """Keeps the one account of an issuer. Raises what AcmeClient raises; trouble with files is IssuanceFailed."""

    def __init__(self, client: AcmeClient, config: IssuerConfig, files: AccountFiles) -> None:
        self._client, self._config, self._files = client, config, files
        self._account: Account | None = None
        self._lock = trio.Lock()

    async def get(self) -> Account:
        """The account, made ready at the first call; others wait for that."""
        async with self._lock:
            if self._account is None:
                with self._readable():
                    self._account = await self._ready()
            return self._account

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
                kept = self._on_disk()
                if kept is not None and kept != lost:
                    self._account = kept
                elif problem.code == _UNKNOWN:
                    _log.warning("CA no longer knows our account", issuer=self._config.name, account=lost.url)
                    self._account = await self._find_or_register(lost.key)
                else:
                    return None
            return self._account

    async def unregister(self) -> bool:
        """Deactivate the account (section 7.3.6) and delete its files; false when there was none."""
        async with self._lock:
            self._account = None
            with self._readable():
                key = self._files.load_key()
                if key is None:
                    return False
                found = await self._find(key)
                if found is not None:
                    url = self._location(found)
                    await self._client.post("deactivate account", url, {"status": "deactivated"}, key, url)
                self._files.forget()
        _log.info("account deactivated", issuer=self._config.name)
        return True

    async def roll_over(self) -> None:
        """Give the account a new key (section 7.3.5).

        The new key is on disk before the CA hears of it, and takes the old one's place after: whoever dies in between
        finds both at the next start, and asks the CA which one counts.
        """
        account = await self.get()
        async with self._lock:
            with self._readable():
                url, key = await self._client.url_of("keyChange"), self._files.make_next_key()
                request = {"account": account.url, "oldKey": account.key.jwk}
                inner = key.sign(url, _json(request))
                await self._client.post("key change", url, _parsed(inner), account.key, account.url)
                self._files.adopt_next_key()
                self._account = Account(key, account.url)
        _log.info("account key changed", issuer=self._config.name, account=account.url)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            raise IssuanceFailed(f"issuer '{self._config.name}': account in {self._files.folder}: {error}") from error

    def _on_disk(self) -> Account | None:
        key, saved = self._files.load_key(), self._files.load_registration()
        return None if key is None or saved is None else Account(key, saved.url)

    async def _ready(self) -> Account:
        key = self._files.load_key()
        if key is None:
            return await self._register(self._files.make_key())
        key = await self._settle_roll_over(key)
        saved = self._files.load_registration()
        if saved is None:
            return await self._find_or_register(key)
        account = Account(key, saved.url)
        # Compared with what we registered, not with what the CA echoes: many echo no contacts.
        if saved.email != self._config.contact:
            await self._update_contact(account)
        return account

    async def _settle_roll_over(self, key: AccountKey) -> AccountKey:
        """Finish a roll-over that was cut short, if the CA had got as far as that."""
        next_key = self._files.load_next_key()
        if next_key is None or await self._find(next_key) is None:
            # Left in place when the CA doesn't know it: its maker may be about to send it.
            return key
        self._files.adopt_next_key()
        return next_key

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
        if self._config.contact:
            await self._update_contact(account)
        else:
            self._save(account, found)
        return account

    async def _register(self, key: AccountKey) -> Account:
        # A key that the CA knows already gets its old account back, so a race with another node does no harm.
        wanted = messages.NewRegistration(
            terms_of_service_agreed=True,
            external_account_binding=await self._binding(key),
            **({"contact": self._contact()} if self._contact() else {}),
        )
        answer = await self._post_new_account("register account", wanted, key)
        account = Account(key, self._location(answer))
        self._save(account, answer)
        _log.info("account registered", issuer=self._config.name, account=account.url)
        return account

    async def _update_contact(self, account: Account) -> None:
        wanted = messages.UpdateRegistration(contact=self._contact())
        answer = await self._client.post("update account", account.url, wanted.to_json(), account.key, account.url)
        self._save(account, answer)

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

    def _save(self, account: Account, answer: Answer) -> None:
        body = self._client.document("account", answer)
        self._files.save_registration(Registration(self._config.contact, account.url), body)


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _parsed(message: bytes) -> Any:
    return json.loads(message)
