from __future__ import annotations

import pytest

from acme_manager.domain.certificate import Certificate
from acme_manager.domain.revocation import Reason
from acme_manager.ports import PlacedOrder
from acme_manager.services.journal import Journal, OrderRecord
from acme_manager.storage.memory import MemoryStorage
from tests.unit.services.world import FixedClock

KEY = "certificates/.acme-manager/orders/alice/test/example.com"


@pytest.mark.parametrize("revoke", [None, Reason.unspecified, Reason.keyCompromise])
async def test_a_record_keeps_what_the_old_certificate_is_revoked_for(revoke: Reason | None) -> None:
    journal = Journal(MemoryStorage(FixedClock()), "certificates")
    wanted = Certificate(owner="alice", issuer="test", domain="example.com")
    record = OrderRecord(certificate=wanted, csr=b"csr", expected=3, revoke=revoke, order=PlacedOrder("https://ca/1"))
    await journal.write(record)
    assert await journal.read_all() == [record]


async def test_a_record_of_a_version_that_knew_one_reason_is_read_with_that() -> None:
    storage = MemoryStorage(FixedClock())
    value = {"owner": "alice", "issuer": "test", "domain": "example.com", "order_url": "u", "order_csr": ""}
    await storage.put(KEY, {**value, "order_expected": 1, "order_revoke": True}, expected=0)
    (found,) = await Journal(storage, "certificates").read_all()
    assert found.revoke is Reason.superseded
