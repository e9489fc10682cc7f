"""Orders in flight, written down before anything of them becomes visible.

A record is enough for another process to take an order up again, or to clean up after it: the order's URL, the CSR,
the key where the server made it, and what was going to be written into DNS. It lies below the certificate prefix,
where the policy of the Go original allows us to write; to that program it is a secret without a certificate.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from acme_manager.domain.certificate import Certificate, certificate_from_json, certificate_to_json
from acme_manager.domain.revocation import Reason
from acme_manager.errors import StaleVersion
from acme_manager.ports import PlacedOrder, Storage
from acme_manager.storage import keys


@attrs.frozen(kw_only=True)
class OrderRecord:
    """An order, and what is to be done with its certificate."""

    certificate: Certificate  # as requested: no fingerprint, no dates
    csr: bytes = attrs.field(repr=False)  # DER
    private_key: str = attrs.field(default="", repr=False)  # PEM, where the server made it
    expected: int  # the version of the secret that the new certificate follows
    revoke: Reason | None = None  # the certificate of that version, once the new one is kept, for that reason
    replaces: str = attrs.field(default="", repr=False)  # PEM of the leaf that the CA is told it takes the place of
    stand_in: Certificate | None = None  # the same, as an issuer is asked for it that stands in for its own
    order: PlacedOrder

    @property
    def ordered(self) -> Certificate:
        """The certificate as the issuer knows it that the order is placed at."""
        return self.stand_in or self.certificate


class Journal:
    """The records in storage."""

    def __init__(self, storage: Storage, prefix: str) -> None:
        self._storage, self._prefix = storage, prefix

    async def write(self, record: OrderRecord) -> None:
        """Add the record, or replace the one that an earlier order of the same certificate left."""
        key = keys.order_key(self._prefix, record.certificate.id)
        value = _to_json(record)
        try:
            await self._storage.put(key, value, expected=0)
        except StaleVersion:
            await self._storage.put(key, value, expected=(await self._storage.get(key)).version)

    async def forget(self, record: OrderRecord) -> None:
        """The order needs no one's attention any more."""
        await self._storage.purge(keys.order_key(self._prefix, record.certificate.id))

    async def read_all(self) -> Sequence[OrderRecord]:
        """Every record, as after a start."""
        found = [await self._storage.get(key) for key in await self._storage.list(keys.orders_prefix(self._prefix))]
        return [_from_json(one.value) for one in found if one.value is not None]


def _to_json(record: OrderRecord) -> dict[str, Any]:
    return certificate_to_json(record.certificate) | {
        "order_url": record.order.url,
        "order_csr": base64.b64encode(record.csr).decode(),
        "order_traces": [dict(trace) for trace in record.order.traces],
        "order_expected": record.expected,
        "order_revoke": record.revoke is not None,
        "order_revoke_reason": record.revoke,
        "order_replaces": record.replaces,
        "order_stand_in": certificate_to_json(record.stand_in) if record.stand_in else None,
        "private_key": record.private_key,
    }


def _from_json(value: Mapping[str, Any]) -> OrderRecord:
    return OrderRecord(
        certificate=certificate_from_json(value),
        csr=base64.b64decode(value["order_csr"]),
        private_key=value.get("private_key") or "",
        expected=int(value["order_expected"]),
        revoke=_reason(value) if value.get("order_revoke") else None,
        replaces=value.get("order_replaces") or "",
        stand_in=certificate_from_json(value["order_stand_in"]) if value.get("order_stand_in") else None,
        order=PlacedOrder(value["order_url"], tuple(value.get("order_traces") or ())),
    )


def _reason(value: Mapping[str, Any]) -> Reason:
    """Records of versions that knew one reason only name none."""
    number = value.get("order_revoke_reason")
    return Reason.superseded if number is None else Reason(number)
