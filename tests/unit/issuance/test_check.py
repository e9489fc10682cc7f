from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import trio.testing

from acme_manager.errors import DirectoryUnavailable, IssuanceFailed
from tests.unit.issuance.bench import opened
from tests.unit.issuance.fake_ca import FakeCa, problem


async def test_a_check_asks_the_ca_for_the_account_each_time() -> None:
    ca = FakeCa()
    async with opened(ca) as issuer:
        await issuer.check()
        ca.requests.clear()
        await issuer.check()
        assert [(method, path.split("/")[1]) for method, path in ca.requests] == [("GET", "dir"), ("POST", "account")]
        ca.faults = [lambda _: None, lambda _: httpx.Response(200, json={"status": "deactivated"})]
        with pytest.raises(IssuanceFailed, match=r"the CA says that our account .* is deactivated"):
            await issuer.check()
        ca.faults = [lambda _: None, lambda _: problem("unauthorized", 401, detail="account is revoked")]
        with pytest.raises(IssuanceFailed, match="account is revoked"):
            await issuer.check()


async def test_a_directory_that_can_not_be_read_is_told_from_trouble_with_the_account(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ca = FakeCa()
    async with opened(ca) as issuer:
        for answer in (httpx.Response(503), httpx.Response(200, text="<html>"), httpx.Response(404)):
            ca.faults = [lambda _, answer=answer: answer] * 10  # type: ignore[misc]
            with pytest.raises(DirectoryUnavailable):
                await issuer.check()


async def test_an_account_that_can_not_be_read_is_found_without_asking_the_ca(tmp_path: Path) -> None:
    ca = FakeCa()
    async with opened(ca, tmp_path) as issuer:
        await issuer.read_account()  # there is none yet
        (tmp_path / "ca").mkdir()
        (tmp_path / "ca" / "private_key.pem").write_text("precious")
        with pytest.raises(IssuanceFailed, match=r"private_key\.pem is no private key"):
            await issuer.read_account()
        assert ca.requests == []
