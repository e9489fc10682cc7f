"""What goes over the wire, seen by a stand-in for Vault."""

from __future__ import annotations

import ssl
from pathlib import Path

import attrs
import pytest
import trio
import trio.testing
import trustme
from prometheus_client import CollectorRegistry

from acme_manager.errors import StorageUnavailable
from acme_manager.ports import Versioned
from acme_manager.storage.vault import open_vault
from tests.integration.storage.wire import Reply, fake_vault

KEY = "certificates/o/le/*.example.com"
FOUND = Reply(200, {"data": {"data": {"n": 1}, "metadata": {"version": 4}}})


async def test_namespace_token_and_check_and_set_are_sent(registry: CollectorRegistry) -> None:
    async with fake_vault() as fake, open_vault(fake.config(namespace="team/a"), registry) as storage:
        fake.replies.append(Reply(200, {"data": {"version": 8}}))
        assert await storage.put(KEY, {"n": 1}, expected=7) == 8
    login, put, goodbye = fake.requests
    assert {one.headers["x-vault-namespace"] for one in (login, put, goodbye)} == {"team/a"}
    assert "x-vault-token" not in login.headers
    assert login.body == {"role_id": "role", "secret_id": "secret"}
    assert put.headers["x-vault-token"] == goodbye.headers["x-vault-token"] == "s.fake-token-1"
    assert put.body == {"options": {"cas": 7}, "data": {"n": 1}}


async def test_tasks_that_are_refused_at_once_share_one_login(registry: CollectorRegistry) -> None:
    found: list[Versioned] = []
    async with fake_vault() as fake, open_vault(fake.config(), registry, connections=5) as storage:
        await storage.get(KEY)
        fake.logins_open = trio.Event()
        fake.replies += [Reply(403, {"errors": ["permission denied"]})] * 4 + [FOUND] * 4

        async def read() -> None:
            found.append(await storage.get(KEY))

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(read)
            while len(fake.replies) > 4:  # noqa: ASYNC110
                await trio.sleep(0.005)
            await trio.testing.wait_all_tasks_blocked(0.1)
            fake.logins_open.set()
        assert found == [Versioned({"n": 1}, 4)] * 4
        assert len(fake.asked("/v1/auth/approle/login")) == 2
        assert fake.asked("/v1/secret")[-1].headers["x-vault-token"] == "s.fake-token-2"


async def test_a_renewal_that_gives_less_than_a_login_leads_to_a_login(registry: CollectorRegistry) -> None:
    async with fake_vault() as fake:
        fake.lease = 1
        fake.replies.append(Reply(200, {"auth": {"client_token": "s.fake-token-1", "lease_duration": 0}}))
        async with open_vault(fake.config(), registry) as storage:
            with trio.fail_after(10):
                while len(fake.asked("/v1/auth/approle/login")) < 2:  # noqa: ASYNC110
                    await trio.sleep(0.02)
            await storage.get(KEY)
    assert [one.target for one in fake.requests[:3]] == [
        "/v1/auth/approle/login",
        "/v1/auth/token/renew-self",
        "/v1/auth/approle/login",
    ]


@pytest.mark.parametrize("body", [{}, {"auth": None}, {"auth": {"client_token": "x"}}, b"<html>"])
async def test_a_login_that_grants_nothing_is_a_failure_like_others(registry: CollectorRegistry, body: object) -> None:
    async with fake_vault() as fake:
        fake.login = Reply(200, body)
        async with open_vault(fake.config(retry_wait_min=0.0, retry_wait_max=0.0), registry) as storage:
            with pytest.raises(StorageUnavailable, match="is that Vault"):
                await storage.get(KEY)
            await trio.sleep(0.1)
            assert 2 <= len(fake.requests) < 10
            fake.login = None
            await storage.get(KEY)


async def test_ambient_vault_variables_are_not_used(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"VAULT_TOKEN": "ambient", "VAULT_NAMESPACE": "ambient", "VAULT_ADDR": "http://x"}.items():
        monkeypatch.setenv(name, value)
    async with fake_vault() as fake, open_vault(fake.config(), registry) as storage:
        await storage.get(KEY)
    assert "ambient" not in str(fake.requests)
    assert "x-vault-namespace" not in fake.requests[0].headers


async def test_retry_after_is_honoured_but_not_without_bound(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps: list[float] = []

    async def nap(seconds: float) -> None:
        naps.append(seconds)
        await trio.lowlevel.checkpoint()

    async with fake_vault() as fake, open_vault(fake.config(), registry) as storage:
        await storage.get(KEY)
        monkeypatch.setattr("acme_manager.storage.vault.trio.sleep", nap)
        fake.replies += [
            Reply(429, {"errors": ["quota"]}, {"Retry-After": "3"}),
            Reply(503, {"errors": ["busy"]}, {"Retry-After": "86400"}),
            Reply(500, {"errors": []}, {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}),
            FOUND,
        ]
        assert await storage.get(KEY) == Versioned({"n": 1}, 4)
    assert naps == [3.0, 30.0, 0.01]


@pytest.mark.parametrize("status", [400, 405, 501])
async def test_what_can_not_pass_is_not_repeated(registry: CollectorRegistry, status: int) -> None:
    async with fake_vault() as fake, open_vault(fake.config(), registry) as storage:
        fake.replies.append(Reply(status, {"errors": ["no way"]}))
        with pytest.raises(StorageUnavailable, match="no way"):
            await storage.put(KEY, {}, expected=0)
    assert len(fake.asked("/v1/secret")) == 1


async def test_a_standby_node_may_redirect(registry: CollectorRegistry) -> None:
    async with fake_vault() as active, fake_vault() as standby, open_vault(standby.config(), registry) as storage:
        onward = f"http://127.0.0.1:{active.port}/v1/secret/data/certificates/o"
        standby.replies.append(Reply(307, None, {"Location": onward}))
        active.replies.append(Reply(200, {"data": {"version": 1}}))
        assert await storage.put(KEY, {"n": 1}, expected=0) == 1
        assert active.requests[0].body == {"options": {"cas": 0}, "data": {"n": 1}}
        assert active.requests[0].headers["x-vault-token"] == "s.fake-token-1"


async def test_what_does_not_speak_vaults_language_is_called_that(registry: CollectorRegistry) -> None:
    async with fake_vault() as fake, open_vault(fake.config(retry_max=0), registry) as storage:
        fake.replies += [Reply(200, b"<html>welcome</html>"), Reply(200, []), Reply(404, b"<html>nope</html>")]
        for _ in range(3):
            with pytest.raises(StorageUnavailable, match="is that Vault"):
                await storage.get(KEY)


@attrs.frozen
class Tls:
    server: ssl.SSLContext
    ca_file: Path


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return Tls(server, tmp_path / "ca.pem")


async def test_https_trusts_the_ca_file_and_never_leaves_tls(registry: CollectorRegistry, tls: Tls) -> None:
    async with fake_vault(tls.server) as fake:
        config = fake.config("https", ca_file=tls.ca_file, retry_max=0)
        async with open_vault(config, registry) as storage:
            fake.replies += [FOUND, Reply(307, None, {"Location": "http://127.0.0.1:1/v1/elsewhere"})]
            assert await storage.get(KEY) == Versioned({"n": 1}, 4)
            with pytest.raises(StorageUnavailable, match="without TLS"):
                await storage.get(KEY)


async def test_https_with_an_unknown_ca_fails_before_anything_is_said(registry: CollectorRegistry, tls: Tls) -> None:
    async with fake_vault(tls.server) as fake, open_vault(fake.config("https", retry_max=0), registry) as storage:
        with pytest.raises(StorageUnavailable, match=r"TLS failed.*certificate verify failed"):
            await storage.get(KEY)
        assert fake.requests == []


async def test_the_proxy_of_the_environment_is_used_except_for_hosts_that_bypass_it(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fake_vault() as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://user:pass@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        config = proxy.config(url="http://vault.invalid:8200")
        async with open_vault(config, registry) as storage:
            proxy.replies.append(FOUND)
            assert await storage.get(KEY) == Versioned({"n": 1}, 4)
        assert proxy.requests[1].target.startswith("http://vault.invalid:8200/v1/secret/data/certificates/o/le/")
        assert proxy.requests[1].headers["proxy-authorization"] == "Basic dXNlcjpwYXNz"
        async with fake_vault() as direct, open_vault(direct.config(), CollectorRegistry()) as storage:
            await storage.get(KEY)
            assert direct.asked("/v1/secret")[0].target.startswith("/v1/")
