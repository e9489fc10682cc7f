"""Secrets stay out of logs, errors and metrics, whatever goes wrong."""

from __future__ import annotations

import logging
import signal
import traceback
from collections.abc import Awaitable

import attrs
import pytest
import structlog.testing
from prometheus_client import CollectorRegistry, generate_latest

from acme_manager.config.model import VaultConfig
from acme_manager.errors import AcmeManagerError
from acme_manager.storage.vault import open_vault
from tests.integration.storage.roles import set_policy
from tests.integration.storage.wire import relay_to
from tests.parts.openbao import OpenBao

KEY = "certificates/o/le/example.com"
PLANTED = "planted-private-key"


async def test_no_secret_and_no_token_is_ever_said(
    bao: OpenBao, config: VaultConfig, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    tokens: list[str] = []
    value = {"private_key": PLANTED}
    with structlog.testing.capture_logs() as events:
        async with relay_to(config.url) as relay, open_vault(attrs.evolve(config, url=relay.url), registry) as storage:
            await storage.put(KEY, value, expected=0)
            tokens.append(storage._transport.adapter.token or "")
            relay.swallow = 1
            await storage.put(KEY, value, expected=1)
            await bao.api("POST", "auth/token/revoke", {"token": tokens[0]})
            await storage.get(KEY)
            tokens.append(storage._transport.adapter.token or "")
            await set_policy(bao, "shipped", 'path "x" { capabilities = ["read"] }')
            said += await failures(storage.get(KEY), storage.put(KEY, value, expected=2), storage.list("certificates"))
            await bao.seal()
            said += await failures(storage.get(KEY), storage.put(KEY, value, expected=2), storage.delete(KEY))
            await bao.stop(signal.SIGKILL)
            said += await failures(storage.get(KEY), storage.put(KEY, value, expected=2), storage.versions(KEY))
            said.append(repr(config))
    assert len(said) == 10
    assert any(event["event"] == "vault request will be repeated" for event in events)
    everything = "\n".join([*said, str(events), caplog.text, generate_latest(registry).decode()])
    assert caplog.text
    assert len(set(tokens)) == 2
    for secret in (PLANTED, config.secret_id, config.role_id, *tokens):
        assert secret not in everything


async def failures(*attempts: Awaitable[object]) -> list[str]:
    texts = []
    for attempt in attempts:
        with pytest.raises(AcmeManagerError) as caught:
            await attempt
        texts.append("".join(traceback.format_exception(caught.value)))
    return texts
