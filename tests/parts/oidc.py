"""An OpenID Connect provider with a log-in page: whoever types a user's name there, or chooses it, is that user."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import attrs
import httpx

from tests.parts.program import LOOPBACK, Program, free_port, new_folder, on_free_ports

USERS: Mapping[str, tuple[str, ...]] = {
    "root": ("admins",),
    "alice": ("web-team",),
    "bob": ("mail-team", "others"),
    "mallory": (),
}
"""Who there is, and in which groups."""


@attrs.frozen(kw_only=True)
class Provider:
    """A running provider. It takes any client, with any secret and any redirect URI."""

    issuer: str
    program: Program

    async def log_in(self, url: str, user: str) -> dict[str, str]:
        """Do what a browser does at the page that it was sent to; the query with which it is sent back."""
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            answer = await client.post(url, data={"sub": user})
        assert answer.status_code == httpx.codes.FOUND, answer.text
        return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


@asynccontextmanager
async def oidc_provider(folder: Path, users: Mapping[str, tuple[str, ...]] = USERS) -> AsyncIterator[Provider]:
    """Start it on a loopback address. In a browser: `sub` is the field for the name, `Authorize` the button."""

    async def attempt() -> Provider:
        port = free_port()
        issuer = f"http://{LOOPBACK}:{port}"
        claims = [
            json.dumps(
                {"sub": f"id-{name}", "preferred_username": name, "email": f"{name}@example.com", "groups": groups}
            )
            for name, groups in users.items()
        ]
        options = [word for one in claims for word in ("--user-claims", one)]
        argv = (sys.executable, "-I", "-m", "oidc_provider_mock", "--port", str(port), "--require-nonce", *options)
        program = Program(argv=argv, folder=new_folder(folder, "oidc"), package="oidc-provider-mock")
        program.start()

        async def answers() -> None:
            async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
                (await client.get(f"{issuer}/.well-known/openid-configuration")).raise_for_status()

        await program.ready(answers, within=30)
        return Provider(issuer=issuer, program=program)

    provider = await on_free_ports(attempt)
    try:
        yield provider
    finally:
        provider.program.kill()
