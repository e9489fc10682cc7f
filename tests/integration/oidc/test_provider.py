"""Log-in at providers that others have written: OpenBao, and one for tests with a log-in page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs
import httpx
import pytest

from acme_manager.clock import SystemClock
from acme_manager.config.ui import OidcConfig
from acme_manager.domain.oidc import Identity
from acme_manager.errors import LoginFailed, ProviderUnavailable
from acme_manager.oidc.attempt import Attempt, code_in, new_attempt
from acme_manager.oidc.provider import OpenIdProvider
from tests.parts.oidc import oidc_provider
from tests.parts.openbao import OpenBao, openbao

REDIRECT_URI = "https://acme.example/ui/login-callback"


async def link(provider: OpenIdProvider, attempt: Attempt) -> str:
    return await provider.authorization_url(attempt.state, attempt.nonce, attempt.challenge, REDIRECT_URI)


async def identify(
    provider: OpenIdProvider, attempt: Attempt, answer: Mapping[str, str], verifier: str = ""
) -> Identity:
    code = code_in(answer, state=attempt.state, issuer=provider.config.issuer_url)
    return await provider.exchange(code, verifier or attempt.verifier, REDIRECT_URI, attempt.nonce)


async def test_somebody_logs_in_at_a_provider_with_a_page(tmp_path: Path) -> None:
    async with oidc_provider(tmp_path) as part:
        config = OidcConfig(issuer_url=part.issuer, client_id="acme", client_secret="any")
        provider, attempt = OpenIdProvider(config, {}, SystemClock()), new_attempt()
        alice = await identify(provider, attempt, await part.log_in(await link(provider, attempt), "id-alice"))
        assert (alice.subject, alice.username, alice.email) == ("id-alice", "alice", "alice@example.com")
        assert alice.groups == ("web-team",)
        assert str(await provider.logout_url("https://acme.example/ui/")).startswith(
            f"{part.issuer}/oauth2/end_session?"
        )

    config = attrs.evolve(config, label="asked anew")
    with pytest.raises(ProviderUnavailable, match="can't be reached: Connection refused"):
        await link(OpenIdProvider(config, {}, SystemClock()), attempt)


# --- OpenBao -----------------------------------------------------------------------------------------------------

_TEMPLATES = {
    "profile": '{"preferred_username": {{identity.entity.name}}}',
    "groups": '{"groups": {{identity.entity.groups.names}}}',
}


async def prepare(bao: OpenBao) -> dict[str, str]:
    """Alice, who is in a group, and our registration. Returns her token, and the client's id and secret."""
    await bao.api("POST", "sys/auth/userpass", {"type": "userpass"})
    await bao.api("POST", "auth/userpass/users/alice", {"password": "secret"})
    accessor = (await bao.api("GET", "sys/auth"))["data"]["userpass/"]["accessor"]
    entity = (await bao.api("POST", "identity/entity", {"name": "alice"}))["data"]["id"]
    alias = {"name": "alice", "canonical_id": entity, "mount_accessor": accessor}
    await bao.api("POST", "identity/entity-alias", alias)
    await bao.api("POST", "identity/group", {"name": "web-team", "member_entity_ids": [entity]})
    for name, template in _TEMPLATES.items():
        await bao.api("POST", f"identity/oidc/scope/{name}", {"template": template})
    client = {"redirect_uris": [REDIRECT_URI], "assignments": ["allow_all"], "id_token_ttl": "10m"}
    await bao.api("POST", "identity/oidc/client/acme", client)
    made = (await bao.api("GET", "identity/oidc/client/acme"))["data"]
    offered = {"allowed_client_ids": [made["client_id"]], "scopes_supported": list(_TEMPLATES)}
    await bao.api("POST", "identity/oidc/provider/people", offered)
    login = await bao.api("POST", "auth/userpass/login/alice", {"password": "secret"})
    return {"token": login["auth"]["client_token"], "id": made["client_id"], "secret": made["client_secret"]}


async def authorize(bao: OpenBao, token: str, url: str) -> dict[str, Any]:
    """What OpenBao's page does once alice has logged in there. Its API takes the same query as its page."""
    query = dict(parse_qsl(urlsplit(url).query))
    path = f"{bao.url}/v1/identity/oidc/provider/people/authorize"
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        answer = await client.get(path, params=query, headers={"X-Vault-Token": token})
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


async def test_somebody_logs_in_at_openbao(tmp_path: Path) -> None:
    async with openbao(tmp_path) as bao:
        known = await prepare(bao)
        issuer = f"{bao.url}/v1/identity/oidc/provider/people"
        config = OidcConfig(issuer_url=issuer, client_id=known["id"], client_secret=known["secret"])
        provider = OpenIdProvider(config, {}, SystemClock())

        attempt = new_attempt()
        answer = await authorize(bao, known["token"], await link(provider, attempt))
        alice = await identify(provider, attempt, answer)
        assert (alice.username, alice.groups) == ("alice", ("web-team",))

        with pytest.raises(LoginFailed, match="its page was loaded twice"):  # a code is good for once
            await identify(provider, attempt, answer)

        other = new_attempt()
        answer = await authorize(bao, known["token"], await link(provider, other))
        with pytest.raises(LoginFailed, match="invalid_grant"):  # and for who has asked for it
            await identify(provider, other, answer, verifier=attempt.verifier)

        answer = await authorize(bao, known["token"], await link(provider, other))
        with pytest.raises(LoginFailed, match="belongs to another log-in"):
            await provider.exchange(answer["code"], other.verifier, REDIRECT_URI, attempt.nonce)

        await bao.api("POST", "identity/oidc/key/default/rotate", {})  # the new key is fetched when it is first seen
        answer = await authorize(bao, known["token"], await link(provider, other))
        assert (await identify(provider, other, answer)).username == "alice"

        stranger = OpenIdProvider(attrs.evolve(config, client_secret="wrong"), {}, SystemClock())
        answer = await authorize(bao, known["token"], await link(stranger, other))
        with pytest.raises(LoginFailed, match=r"does not accept ui\.oidc\.client_id with ui\.oidc\.client_secret"):
            await identify(stranger, other, answer)

        elsewhere = OpenIdProvider(attrs.evolve(config, issuer_url=f"{issuer}/"), {}, SystemClock())
        with pytest.raises(ProviderUnavailable, match=r"ui\.oidc\.issuer_url must be exactly that"):
            await link(elsewhere, other)
