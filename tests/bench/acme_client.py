"""The least that a program has to do to get certificates: one account, kept connections, no error handling.

Straight on httpx and josepy's message objects, with the DNS change made in the process itself. It is the yardstick for
our server, which does the same over its API with storage, retries, metrics and logs; so it must be as good as
it is simple.
"""

from __future__ import annotations

import hashlib
import json
import ssl
from typing import Any

import dns.asyncquery
import dns.tsigkeyring
import dns.update
import httpx
import trio
from acme.jws import JWS
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from josepy.b64 import b64decode, b64encode
from josepy.jwa import ES256
from josepy.jwk import JWKEC

from tests.parts.dns_server import TsigKey

POLL = 0.005  # seconds; a CA on the internet would throttle that


class AcmeClient:
    """One account at one CA. What goes wrong is raised as httpx or Python raise it."""

    def __init__(self, ca_pem: str) -> None:
        self.http = httpx.AsyncClient(verify=ssl.create_default_context(cafile=ca_pem), trust_env=False, timeout=None)
        self._key = JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
        self.thumbprint = b64encode(self._key.thumbprint()).decode()
        self.directory: dict[str, str] = {}
        self._account: str | None = None
        self._nonces: list[str] = []

    async def register(self, directory: str) -> None:
        """Read the directory and make the account."""
        self.directory = (await self.http.get(directory)).raise_for_status().json()
        answer = await self.post(self.directory["newAccount"], {"termsOfServiceAgreed": True})
        self._account = answer.headers["location"]

    async def post(self, url: str, payload: dict[str, Any] | None = None) -> httpx.Response:
        """A signed request; without a payload a POST-as-GET."""
        if self._nonces:
            nonce = self._nonces.pop()
        else:
            nonce = (await self.http.head(self.directory["newNonce"])).headers["replay-nonce"]
        content = b"" if payload is None else json.dumps(payload).encode()
        body = JWS.sign(content, key=self._key, alg=ES256, nonce=b64decode(nonce), url=url, kid=self._account)
        headers = {"Content-Type": "application/jose+json"}
        answer = await self.http.post(url, content=body.json_dumps(), headers=headers)
        self._nonces.append(answer.headers["replay-nonce"])
        return answer.raise_for_status()

    async def until(self, url: str, *wanted: str) -> dict[str, Any]:
        """Poll an order until it has one of the states."""
        while True:
            order: dict[str, Any] = (await self.post(url)).json()
            if order["status"] in wanted:
                return order
            if order["status"] == "invalid":
                raise RuntimeError(f"order refused: {order}")
            await trio.sleep(POLL)


class Txt:
    """TXT records in one zone of one server, changed by signed updates over UDP."""

    def __init__(self, zone: str, address: str, port: int, key: TsigKey) -> None:
        self._zone, self._at, self._algorithm = zone, (address, port), key.algorithm
        self._keyring = dns.tsigkeyring.from_text({key.name: key.secret})

    async def add(self, name: str, value: str) -> None:
        """Add a value."""
        update = self._update()
        update.add(dns.name.from_text(name), 1, "TXT", value)
        await self._send(update)

    async def remove(self, name: str, value: str) -> None:
        """Remove it."""
        update = self._update()
        update.delete(dns.name.from_text(name), "TXT", value)
        await self._send(update)

    def _update(self) -> dns.update.UpdateMessage:
        return dns.update.UpdateMessage(self._zone, keyring=self._keyring, keyalgorithm=self._algorithm)

    async def _send(self, update: dns.update.UpdateMessage) -> None:
        answer = await dns.asyncquery.udp(update, self._at[0], port=self._at[1], timeout=5)
        if answer.rcode():
            raise RuntimeError(f"update refused: {answer}")


async def certificate(client: AcmeClient, txt: Txt, name: str, csr: x509.CertificateSigningRequest) -> str:
    """One certificate by dns-01; the chain as PEM."""
    answer = await client.post(client.directory["newOrder"], {"identifiers": [{"type": "dns", "value": name}]})
    where, order = answer.headers["location"], answer.json()
    authorization = (await client.post(order["authorizations"][0])).json()
    challenge = next(one for one in authorization["challenges"] if one["type"] == "dns-01")
    proof = hashlib.sha256(f"{challenge['token']}.{client.thumbprint}".encode()).digest()
    record = f"_acme-challenge.{name}", b64encode(proof).decode()
    await txt.add(*record)
    await client.post(challenge["url"], {})
    order = await client.until(where, "ready")
    await txt.remove(*record)
    await client.post(order["finalize"], {"csr": b64encode(csr.public_bytes(Encoding.DER)).decode()})
    order = await client.until(where, "valid")
    return (await client.post(order["certificate"])).text
