"""Renewal information and external account binding at a CA that has both.

Pebble, as Debian has it, has no RFC 9773; this one doesn't read `replaces`, and revokes for accounts only.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from acme_manager.domain.keys import belong_together, describe
from acme_manager.issuance.ari import SHORTEST_PAUSE
from acme_manager.storage.memory import MemoryStorage
from tests.integration.issuance.helpers import (
    DnsSolver,
    SystemClock,
    issue,
    make_foreign_leaf,
    make_request,
    opened,
)
from tests.parts.acme2certifier import acme2certifier
from tests.parts.challtestsrv import challtestsrv

EAB_KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
BINDING: dict[str, Any] = {"eab": True, "kid": "kid-1", "hmac": EAB_KEY}


async def test_a_bound_account_serves_every_node_and_hears_when_to_renew(tmp_path: Path) -> None:
    storage = MemoryStorage(SystemClock())
    async with (
        challtestsrv(tmp_path) as world,
        acme2certifier(tmp_path, dns=world.dns, eab={"kid-1": EAB_KEY}, profiles=["short"], days=30) as ca,
    ):
        async with opened(ca.directory, None, storage=storage, **BINDING) as issuer:
            issued = await issue(issuer, make_request("a.example.test"), DnsSolver(world))
            facts = await issuer.facts()
            assert (facts.renewal_info, set(facts.profiles)) == (True, {"short"})
            info = await issuer.renewal_info(issued.chain)
            assert info is not None
            leaf = describe(issued.chain)
            assert leaf.not_before < info.start < info.end <= leaf.not_after
            assert info.start - leaf.not_before > (leaf.not_after - leaf.not_before) / 2
            assert info.ask_again == SHORTEST_PAUSE  # it says 5 s, which is more often than anybody should ask
            assert await issuer.renewal_info(make_foreign_leaf()) is None
        async with opened(ca.directory, None, storage=storage) as other:  # found, not bound once more
            assert (await other.facts()).account == facts.account
            request = make_request("a.example.test", replaces=issued.chain)
            assert belong_together((await issue(other, request, DnsSolver(world))).chain, request.csr)
            await other.revoke(issued.chain, 1)


async def test_a_ca_that_wants_a_certificate_replaced_at_once_gives_a_window_that_has_begun(tmp_path: Path) -> None:
    async with challtestsrv(tmp_path) as world, acme2certifier(tmp_path, dns=world.dns, renew_now=True) as ca:
        async with opened(ca.directory, None) as issuer:
            issued = await issue(issuer, make_request("a.example.test"), DnsSolver(world))
            info = await issuer.renewal_info(issued.chain)
        assert info is not None
        assert info.start < SystemClock().now() + timedelta(seconds=1)
        assert info.start < info.end
