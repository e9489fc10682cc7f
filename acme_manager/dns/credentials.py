"""Named sets of variables for DNS providers: which one writes a record, and what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs
import trio

from acme_manager.config.dns import AUTO, DnsCredentials, SecretSource
from acme_manager.dns.challenge import within
from acme_manager.dns.memo import Memo
from acme_manager.domain.names import outside
from acme_manager.errors import DnsFailed, InvalidRequest, Unavailable
from acme_manager.ports import Storage

_MEMORY = 5.0  # seconds: the records of one order, and of orders at once, need one look at Vault
_MEMORIES = 256
_LONGEST_FILE = 65536


@attrs.frozen
class Choice:
    """Who writes a record: a provider, and the set whose variables it gets; without one, those of the environment."""

    provider: str
    credentials: str = ""


def allowed(credentials: DnsCredentials, owner: str) -> bool:
    """Whether the certificates of an owner may be proven with a set."""
    return not credentials.owners or not outside([owner], credentials.owners)


def check_owner(sets: Mapping[str, DnsCredentials], wanted: str, owner: str) -> None:
    """Raise InvalidRequest if `dns_challenge` names a set that is not for that owner."""
    if wanted in sets and not allowed(sets[wanted], owner):
        raise InvalidRequest(f"DNS credentials '{wanted}' may not be used by '{owner}'", "dns_challenge")


def choose(sets: Mapping[str, DnsCredentials], wanted: str, name: str, owner: str) -> Choice:
    """Who writes the record of a name; `wanted` is a `dns_challenge`, and `name` is where its CNAME records end.

    The set that is named, or the one of that provider for the longest zone that the name is in; of two for the same
    zone the one that is for some owners only, then the first by name. Raises DnsFailed where there is none.
    """
    named = sets.get(wanted)
    if named is not None:
        if named.zones and not any(within(name, zone) for zone in named.zones):
            zones = ", ".join(named.zones)
            raise DnsFailed(f"DNS credentials '{wanted}' are for {zones}, and {name} is not in there", cause="input")
        return Choice(named.provider, wanted)
    fitting = [
        (-len(zone), not one.owners, one.name)
        for one in sets.values()
        if wanted in {AUTO, one.provider} and allowed(one, owner)
        for zone in one.zones
        if within(name, zone)
    ]
    if fitting:
        _, _, best = min(fitting)
        return Choice(sets[best].provider, best)
    if wanted == AUTO:
        raise DnsFailed(f"no DNS credentials are for a zone that {name} is in (dns_credentials)", cause="input")
    return Choice(wanted)


class Secrets:
    """Reads what a set consists of when it is used, so that a secret that was changed counts without a restart.

    `storage` is where `vault:` leads, None where no store is open.
    """

    def __init__(self, storage: Storage | None = None) -> None:
        self.storage = storage
        self._read = Memo[Mapping[str, object]](_MEMORY, _MEMORIES)

    async def variables(self, credentials: DnsCredentials) -> Mapping[str, str]:
        """Everything the provider gets. Raises DnsFailed with set, variable and place of what can't be read."""
        whole = {}
        if credentials.vault:
            where = f"DNS credentials '{credentials.name}': vault:{credentials.vault}"
            for name, value in (await self._secret(credentials.vault, where)).items():
                whole[name] = _text(value, f"{where}#{name}")
        apart = {name: await self._value(credentials, name) for name in credentials.env_from}
        return {**whole, **credentials.env, **apart}

    async def _value(self, credentials: DnsCredentials, name: str) -> str:
        source = credentials.env_from[name]
        where = f"DNS credentials '{credentials.name}': {name} from {source}"
        if not source.field:
            return await trio.to_thread.run_sync(_content, source, where)
        secret = await self._secret(source.path, where)
        if source.field not in secret:
            raise DnsFailed(f"{where}: the secret has no such field", cause="credentials")
        return _text(secret[source.field], where)

    async def _secret(self, path: str, where: str) -> Mapping[str, object]:
        known = self._read.get(path)
        if known is not None:
            return known
        if self.storage is None:
            raise DnsFailed(f"{where}: Vault is not connected here", cause="unavailable")
        try:
            found = (await self.storage.get(path)).value
        except Unavailable as error:
            raise DnsFailed(f"{where}: {error}", cause="unavailable") from error
        if found is None:
            raise DnsFailed(f"{where}: there is no such secret", cause="credentials")
        self._read.put(path, found)
        return found


def _content(source: SecretSource, where: str) -> str:
    try:
        with Path(source.path).open(encoding="utf-8") as file:
            return file.read(_LONGEST_FILE).strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise DnsFailed(f"{where}: {reason}", cause="credentials") from error


def _text(value: object, where: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise DnsFailed(f"{where}: must be text", cause="credentials")
