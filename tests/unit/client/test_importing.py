"""`-import`: what it does with a server, and without one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import attrs
import pytest

from acme_manager.client.importing import import_from
from acme_manager.client.model import ClientConfig, Common, Wanted
from acme_manager.client.notebook import Notebook
from acme_manager.client.plan import Unknown
from acme_manager.client.run import OK, UNREACHABLE, Runner
from tests.unit.client.test_adopt import NOW, certbot


@attrs.frozen(kw_only=True)
class Host:
    """As much of a Runner as an import needs."""

    config: ClientConfig
    server: Mapping[str, Any] | Unknown = attrs.field(factory=dict)
    notebook: Notebook = attrs.field(factory=lambda: Notebook(None, {}))

    @property
    def clock(self) -> Host:
        return self

    def now(self) -> datetime:
        return NOW

    @asynccontextmanager
    async def view(self) -> AsyncIterator[Any]:
        situation = SimpleNamespace(server=self.server)
        yield SimpleNamespace(config=self.config, situation=situation, notebook=self.notebook)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    certbot(tmp_path / "letsencrypt")
    common = Common(certificate_dir=tmp_path / "certificates", certificate_deploy=True)
    wanted = Wanted(domain="example.com", san="www.example.com", issuer="ca")
    return Host(config=ClientConfig(common=common, certificates=(wanted,)))


async def asked(host: Host, folder: Path) -> tuple[int, str]:
    return await import_from(cast("Runner", host), folder)


async def test_what_was_imported_is_told_and_remembered(host: Host, tmp_path: Path) -> None:
    source = tmp_path / "letsencrypt" / "live" / "example.com" / "cert.pem"
    assert await asked(host, tmp_path / "letsencrypt") == (OK, f"ca/example.com imported from {source}")
    imported = host.notebook.record["ca/example.com"].imported
    assert imported is not None
    assert imported.source == str(source)


async def test_without_a_server_nothing_is_imported(host: Host, tmp_path: Path) -> None:
    code, text = await asked(attrs.evolve(host, server=Unknown("connection refused")), tmp_path)
    assert (code, "connection refused" in text) == (UNREACHABLE, True)
    assert not host.notebook.record


async def test_what_stays_out_is_told(host: Host, tmp_path: Path) -> None:
    _, text = await asked(attrs.evolve(host, server={"ca/example.com": None}), tmp_path)
    assert "ca/example.com not imported" in text
    assert "the server has it already" in text
    _, text = await asked(attrs.evolve(host, config=ClientConfig()), tmp_path / "letsencrypt")
    assert "issuer: CHANGE-ME" in text
    (tmp_path / "empty").mkdir()
    assert (await asked(host, tmp_path / "empty"))[1].startswith("there is no certificate")
    assert not host.notebook.record
