"""dns-persist-01 at a CA that has it, acme2certifier: a record that stays, and nothing that we write."""

from __future__ import annotations

from pathlib import Path

import pytest

from acme_manager.config.model import DnsConfig
from acme_manager.dns.lookup import Lookup
from acme_manager.dns.persist import Grant, PersistSolver, persist_name
from acme_manager.domain.keys import belong_together
from acme_manager.domain.names import parse_identifier
from acme_manager.errors import DnsFailed
from tests.integration.issuance.helpers import SystemClock, issue, make_request, opened
from tests.parts.acme2certifier import acme2certifier
from tests.parts.challtestsrv import challtestsrv


async def test_a_record_that_stays_is_enough_for_a_name_and_its_wildcard(tmp_path: Path) -> None:
    async with (
        challtestsrv(tmp_path) as world,
        acme2certifier(tmp_path, dns=world.dns, caa_identity="ca.test", persist=True) as ca,
    ):
        lookup = Lookup(DnsConfig(resolvers=(world.dns,), ask_authoritative=False))
        solver = PersistSolver(lambda: lookup, SystemClock())
        async with opened(ca.directory, None) as issuer:
            name, plain, wide = parse_identifier("a.example.test"), ["a.example.test"], ["*.a.example.test"]
            with pytest.raises(
                DnsFailed, match=r'create: _validation-persist\.a\.example\.test\. IN TXT "ca\.test; acc'
            ):
                await issue(issuer, make_request(*plain), solver)
            account = (await issuer.facts()).account
            await world.set_txt(persist_name(name), Grant(issuers=("ca.test",), account=account).value())
            request = make_request(*plain)
            assert belong_together((await issue(issuer, request, solver)).chain, request.csr)
            with pytest.raises(DnsFailed, match="policy=wildcard"):
                await issue(issuer, make_request(*wide), solver)
            await world.set_txt(persist_name(name), Grant(issuers=("ca.test",), account=account, wildcard=True).value())
            request = make_request(*wide)
            assert belong_together((await issue(issuer, request, solver)).chain, request.csr)
