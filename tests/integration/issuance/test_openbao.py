"""A second CA: OpenBao's PKI engine, over plain http on loopback."""

from __future__ import annotations

from pathlib import Path

import pytest

from acme_manager.domain.keys import KeyType, describe
from acme_manager.errors import IssuanceFailed
from tests.integration.issuance.helpers import DnsSolver, Record, issue, make_request, opened
from tests.parts.challtestsrv import challtestsrv
from tests.parts.openbao import openbao


async def test_names_wildcards_and_both_kinds_of_key_are_issued_for_and_revoked(tmp_path: Path) -> None:
    record = Record()
    async with challtestsrv(tmp_path) as world, openbao(tmp_path, pki_acme=True, dns_resolver=world.dns) as bao:
        async with opened(bao.directory, tmp_path) as issuer:
            request = make_request("example.org", "*.example.org", "www.example.net")
            issued = await issue(issuer, request, DnsSolver(world), record=record)
            again = await issue(issuer, request, DnsSolver(world), resume=record.placed[-1])
            await issuer.revoke(issued.chain, 4)
            await issuer.revoke(issued.chain, 4)
            strong = make_request("www.example.org", key_type=KeyType.RSA2048)
            assert describe((await issue(issuer, strong, DnsSolver(world))).chain).encryption == "RSA-2048"
        for trace in record.placed[-1].traces:
            assert await world.txt(trace["host"]) == set()
    assert {str(name) for name in describe(issued.chain).names} == {"example.org", "*.example.org", "www.example.net"}
    assert again.url == issued.url


async def test_a_binding_is_needed_where_it_is_required(tmp_path: Path) -> None:
    async with (
        challtestsrv(tmp_path) as world,
        openbao(tmp_path, pki_acme=True, dns_resolver=world.dns, eab_policy="always-required") as bao,
    ):
        async with opened(bao.directory, tmp_path) as issuer:
            with pytest.raises(IssuanceFailed, match="set eab, kid and hmac"):
                await issuer.check()
        binding = await bao.new_eab()
        async with opened(bao.directory, tmp_path, eab=True, kid=binding.kid, hmac=binding.hmac) as issuer:
            await issue(issuer, make_request("www.example.org"), DnsSolver(world))
