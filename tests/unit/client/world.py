"""A server and a host for the agent, in memory and in a folder: what it asks for is issued at once, by a CA of ours."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from prometheus_client import CollectorRegistry

from acme_manager.client import desk, run
from acme_manager.client.flags import ClientFlags
from acme_manager.client.manager import ManagerRefused, ManagerUnavailable
from acme_manager.client.metrics import ClientMetrics
from acme_manager.client.run import Outcome, Runner
from acme_manager.domain.certificate import Certificate, StoredCertificate
from acme_manager.domain.gotime import format_time
from acme_manager.domain.keys import fingerprint
from acme_manager.storage.memory import MemoryStorage

START = datetime(2026, 1, 1, tzinfo=UTC)


@attrs.define
class Hands:
    """A clock that tests move."""

    at: datetime = START

    def now(self) -> datetime:
        return self.at


@attrs.define(kw_only=True)
class Server:
    """The API as `Manager` has it. `away`, `failing` and `losing_answers` are what can go wrong."""

    kept: dict[str, StoredCertificate] = attrs.field(factory=dict)
    calls: list[str] = attrs.field(factory=list)  # that changed something
    away: bool = False
    failing: bool = False  # to issue
    losing_answers: bool = False  # to what it has done
    _key: ec.EllipticCurvePrivateKey = attrs.field(factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    reports: list[Mapping[str, Any]] = attrs.field(factory=list)

    async def certificates(self) -> Sequence[Certificate]:
        if self.away:
            raise ManagerUnavailable("no server answers")
        return [one.certificate for one in self.kept.values()]

    async def fetch(self, certificate: Certificate) -> StoredCertificate:
        return self.kept[_identity(certificate)]

    async def create(self, params: Mapping[str, Any]) -> StoredCertificate:
        self.calls.append("create")
        stored = self._issue(params)
        if _identity(stored.certificate) in self.kept:
            raise ManagerRefused("certificate already exists", 409)
        return self._answered(stored)

    async def update(self, params: Mapping[str, Any]) -> StoredCertificate:
        self.calls.append("update")
        old = self.kept[params.get("name") or f"{params['issuer']}/{params['domain']}"]
        if params.get("csr", "") == old.certificate.csr:
            facts = {name: params.get(name, "") for name in ("labels", "renewal_days")}
            return self._answered(attrs.evolve(old, certificate=attrs.evolve(old.certificate, **facts)))
        return self._answered(self._issue(params))

    async def delete(self, certificate: Certificate, *, revoke: bool) -> None:
        self.calls.append("revoke" if revoke else "delete")
        del self.kept[_identity(certificate)]

    async def report(self, document: Mapping[str, Any]) -> None:
        self.reports.append(document)

    def renew(self, identity: str) -> StoredCertificate:
        """As the server does it by itself, with the request that it has."""
        return self._answered(self._issue(attrs.asdict(self.kept[identity].certificate)), lose=False)

    def _answered(self, stored: StoredCertificate, *, lose: bool | None = None) -> StoredCertificate:
        self.kept[_identity(stored.certificate)] = stored
        if self.losing_answers if lose is None else lose:
            raise ManagerUnavailable("what became of it is not known")
        return stored

    def _issue(self, params: Mapping[str, Any]) -> StoredCertificate:
        if self.failing:
            raise ManagerUnavailable("the CA is away")
        ca = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA")])
        request = x509.load_pem_x509_csr(base64.b64decode(params["csr"]))
        certificate = self._signed(request.subject, request.public_key(), ca)
        known = {name: params[name] for name in attrs.fields_dict(Certificate) if name in params}
        return StoredCertificate(
            certificate=Certificate(
                **{
                    **known,
                    "fingerprint": fingerprint(certificate),
                    "owner": "alice",
                    "expires": format_time(START + timedelta(days=90)),
                }
            ),
            cert=certificate,
            ca_issuer=self._signed(ca, self._key.public_key(), ca),
        )

    def _signed(self, subject: x509.Name, key: Any, issuer: x509.Name) -> str:
        builder = x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
        builder = builder.not_valid_before(START).not_valid_after(START + timedelta(days=90))
        signed = builder.sign(self._key, hashes.SHA256())
        return signed.public_bytes(Encoding.PEM).decode()


def _identity(certificate: Certificate) -> str:
    return certificate.name or f"{certificate.issuer}/{certificate.domain}"


@attrs.define(kw_only=True)
class Host:
    """A host with an agent."""

    folder: Path
    server: Server = attrs.field(factory=Server)
    clock: Hands = attrs.field(factory=Hands)
    vault: MemoryStorage = attrs.field(init=False)
    registry: CollectorRegistry = attrs.field(factory=CollectorRegistry)
    metrics: ClientMetrics = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.vault = MemoryStorage(self.clock)
        self.metrics = ClientMetrics(self.registry, self.clock.now)

    @property
    def certificates(self) -> Path:
        return self.folder / "certificates"

    def configure(self, *certificates: Mapping[str, Any], backup: bool = False, **common: Any) -> None:
        content: dict[str, Any] = {
            "common": {
                "certificate_deploy": True,
                "certificate_dir": str(self.certificates),
                "certificate_backup": backup,
                **common,
            },
            "certificate": list(certificates),
        }
        vault = {"url": "http://vault", "role_id": "r", "secret_id": "s", "secret_engine": "e"}
        content["storage"] = {"vault": {**vault, "certificate_prefix": "certificates"}}
        (self.folder / "client-config.yml").write_text(yaml.safe_dump(content))

    def runner(self, **flags: Any) -> Runner:
        given = ClientFlags(config_path=str(self.folder / "client-config.yml"), manager_token="t", **flags)
        return Runner(flags=given, environ={"PATH": "/usr/bin:/bin"}, metrics=self.metrics, clock=self.clock)

    async def run(self, *, forced: bool = False, cleanup: bool = False, **flags: Any) -> Outcome:
        return await self.runner(**flags).run(forced=forced, cleanup=cleanup)

    def text(self, name: str) -> str:
        return (self.certificates / name).read_text()

    def counted(self, metric: str, /, **labels: str) -> float:
        return self.registry.get_sample_value(f"acme_manager_{metric}", labels) or 0.0


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(folder=tmp_path)

    @asynccontextmanager
    async def open_manager(*_: Any) -> AsyncIterator[Server]:
        yield made.server

    @asynccontextmanager
    async def open_vault(*_: Any) -> AsyncIterator[MemoryStorage]:
        yield made.vault

    for module in (run, desk):
        monkeypatch.setattr(module, "open_manager", open_manager)
    monkeypatch.setattr(run, "open_vault", open_vault)
    return made
