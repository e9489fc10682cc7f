"""A host's backup in a real OpenBao, under a policy that lets it see nothing but its owner's secrets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client import CollectorRegistry

from acme_manager.client.backup import Backup
from acme_manager.client.keys import new_key, read_key, signing_request
from acme_manager.domain.certificate import Certificate, StoredCertificate, stored_to_json
from acme_manager.errors import StorageDenied
from acme_manager.storage.vault import open_vault
from tests.integration.storage.roles import make_role, set_policy
from tests.parts.openbao import CERTIFICATES, openbao

DOCUMENT = Path(__file__).parents[3] / "docs" / "vault.md"


def policy() -> str:
    """The one that docs/vault.md gives for hosts, for the owner `web`."""
    text = DOCUMENT.read_text().partition("## Hosts with a backup")[2]
    return text.partition("```hcl\n")[2].partition("```")[0].replace("OWNER", "web")


def issued(key: str, owner: str) -> StoredCertificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "example.com")])
    begins = datetime(2026, 11, 24, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, read_key(key).public_key(), 1, begins, begins + timedelta(days=90))
    pem = builder.sign(read_key(key), hashes.SHA256()).public_bytes(Encoding.PEM).decode()
    told = Certificate(owner=owner, issuer="ca", domain="example.com", csr=signing_request(key, "example.com", ""))
    return StoredCertificate(certificate=told, cert=pem)


async def test_a_host_keeps_and_finds_its_keys_with_no_right_to_those_of_others(tmp_path: Path) -> None:
    key = new_key("ec256")
    stored, foreign = issued(key, "web"), issued(key, "mail")
    secret = f"{CERTIFICATES}/web/ca/example.com"
    async with openbao(tmp_path) as bao:
        await set_policy(bao, "host", policy())
        config = await make_role(bao, "host", token_policies=["host"])
        await bao.write(secret, {"cert": stored.cert, "key": key, "ca_issuer": ""})  # the Go original's backup
        await bao.write(secret, stored_to_json(stored))  # and what the server has made of it
        async with open_vault(config, CollectorRegistry()) as storage:
            backup = Backup(storage=storage, prefix=CERTIFICATES)
            assert await backup.load(stored.certificate) == key
            await backup.save(stored, key)
            with pytest.raises(StorageDenied):
                await backup.save(foreign, key)
        assert await bao.read(secret) == stored_to_json(stored)
        kept = await bao.read(f"{CERTIFICATES}/web/.acme-manager/keys/by-issuer/ca/example.com")
        assert kept == {"certificate": stored.cert, "chain": "", "key": key}
