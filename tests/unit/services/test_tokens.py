from __future__ import annotations

from typing import Any

import pytest

from acme_manager.domain.token import Scope, hash_secret, split_bearer
from acme_manager.errors import InvalidRequest, NotAuthenticated, StorageUnavailable, TokenNotFound
from tests.unit.services.world import open_world, token_wish


async def test_a_new_token_opens_what_it_says_and_is_kept_without_its_secret() -> None:
    async with open_world() as world:
        token, bearer = await world.tokens.create(token_wish(duration="1d", domains=("*.example.com",)))
        assert world.tokens.authenticate(bearer) == token
        assert token.scope == (Scope.READ,)
        assert token.expires == "2026-11-25 12:00:00 +0000 UTC"
        secret = split_bearer(bearer)[1]
        kept = (await world.storage.get(f"tokens/bob/{token.id}")).value
        assert kept is not None
        assert kept["tokenHash"] == hash_secret(secret)
        assert secret not in str(kept)
        assert bearer not in str(kept)


async def test_a_replaced_token_has_a_new_secret_and_no_old_path() -> None:
    async with open_world() as world:
        token, old = await world.tokens.create(token_wish())
        replaced, new = await world.tokens.replace(token_wish(id=token.id, username="carol"))
        assert replaced.id == token.id
        with pytest.raises(NotAuthenticated, match="invalid token"):
            world.tokens.authenticate(old)
        assert world.tokens.authenticate(new).username == "carol"
        assert await world.storage.list("tokens") == [f"tokens/carol/{token.id}"]


async def test_a_revoked_token_is_gone_with_its_history() -> None:
    async with open_world() as world:
        token, bearer = await world.tokens.create(token_wish())
        await world.tokens.revoke(token.id)
        with pytest.raises(NotAuthenticated, match=f"token id '{token.id}' not found"):
            world.tokens.authenticate(bearer)
        for call in (world.tokens.revoke(token.id), world.tokens.replace(token_wish(id=token.id))):
            with pytest.raises(TokenNotFound):
                await call
        assert await world.storage.versions(f"tokens/bob/{token.id}") == []


async def test_tokens_survive_a_restart() -> None:
    async with open_world() as world:
        token, bearer = await world.tokens.create(token_wish(issuers=("test",)))
    async with open_world(world.storage) as again:
        assert again.tokens.authenticate(bearer).issuers == ("test",)
        assert [one.id for one in again.tokens.list()] == [token.id]


async def test_nobody_is_called_unknown_before_the_tokens_are_read() -> None:
    async with open_world() as world:
        _, bearer = await world.tokens.create(token_wish())
    async with open_world(world.storage, load=False) as early:
        with pytest.raises(StorageUnavailable):
            early.tokens.authenticate(bearer)


@pytest.mark.parametrize(
    ("changes", "where", "text"),
    [
        ({"username": ""}, "username", "missing/empty 'username' parameter"),
        ({"username": "../root"}, "username", "invalid 'username' parameter"),
        ({"scope": ()}, "scope", "missing/empty 'scope' parameter"),
        ({"scope": ("root",)}, "scope", "invalid scope value 'root', must be in [create read update delete]"),
        ({"rate_limit_window": "1d"}, "rate_limit_window", "invalid rate_limit_window '1d'"),
        ({"rate_limit_max_requests": -1}, "rate_limit_max_requests", "must be non-negative"),
        ({"duration": "1.5h"}, "duration", "invalid duration for 'expires' parameter"),
        ({"duration": "999999999y"}, "duration", "invalid duration for 'expires' parameter"),
    ],
)
async def test_a_wrong_field_is_named(changes: dict[str, Any], where: str, text: str) -> None:
    async with open_world() as world:
        with pytest.raises(InvalidRequest) as refused:
            await world.tokens.create(token_wish(**changes))
        assert refused.value.where == where
        assert text in str(refused.value)


async def test_only_the_administrator_has_the_api_key() -> None:
    async with open_world() as world:
        world.tokens.check_api_key("admin")
        with pytest.raises(NotAuthenticated, match="API Key not valid"):
            world.tokens.check_api_key("root")
