"""A CA inside the test, behind httpx: it checks every signature, issues real certificates, and fails on demand."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import attrs
import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from josepy.b64 import b64encode
from josepy.jwa import JWASignature
from josepy.jwk import JWK

BASE = "https://ca.test"
NOW = datetime(2026, 1, 2, tzinfo=UTC)
Fault = Callable[[httpx.Request], httpx.Response | Exception | None]


def problem(code: str, status: int = 400, headers: Mapping[str, str] | None = None, **members: Any) -> httpx.Response:
    document = {"type": f"urn:ietf:params:acme:error:{code}", **members}
    return httpx.Response(status, json=document, headers=dict(headers or {}))


@attrs.define
class FakeCa(httpx.AsyncBaseTransport):
    """`faults` are asked in turn, each once: an answer or an error instead of ours. `lost` are paths whose next request
    is carried out, but whose answer gets lost. `order_says` is put into every order."""

    faults: list[Fault] = attrs.field(factory=list)
    lost: list[str] = attrs.field(factory=list)
    order_says: dict[str, Any] = attrs.field(factory=dict)
    order_headers: dict[str, str] = attrs.field(factory=dict)
    meta: dict[str, Any] = attrs.field(factory=dict)
    renewal_info: httpx.Response | None = None  # the answer to every question about renewal; without one, it knows none
    issuer_key: bytes = b""  # what certificates call the key that signed them
    refuses_replaces: str = ""  # the code of the problem
    revoked: list[dict[str, Any]] = attrs.field(factory=list)  # with the `kid` that signed, empty for the key itself
    challenge_types: tuple[str, ...] = ("http-01", "dns-01")
    token: str = "dG9rZW4tb2YtdGhlLXRlc3QtY2EtZm9yLWEtY2hhbGxlbmdl"
    foreign_key: bool = False
    validates: bool = True
    answered: int = 0
    placed: list[dict[str, Any]] = attrs.field(factory=list)
    requests: list[tuple[str, str]] = attrs.field(factory=list)
    given_up: list[str] = attrs.field(factory=list)
    _nonces: set[str] = attrs.field(factory=set)
    _numbers: Any = attrs.field(factory=count)
    _keys: dict[str, JWK] = attrs.field(factory=dict)
    _orders: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    _certificates: dict[str, str] = attrs.field(factory=dict)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append((request.method, request.url.path))
        found = self.faults.pop(0)(request) if self.faults else None
        if isinstance(found, Exception):
            raise found
        if found is not None:
            return self._with_nonce(found)
        answer = self._with_nonce(self._answer(request))
        lost = next((path for path in self.lost if request.url.path.startswith(path)), None)
        if lost is not None:
            self.lost.remove(lost)
            raise httpx.ReadTimeout("the answer got lost", request=request)
        return answer

    def _with_nonce(self, answer: httpx.Response) -> httpx.Response:
        # Base64url whose last character has stray bits: a client that decodes nonces sends another one back.
        nonce = f"nonce{next(self._numbers):05d}"[:9] + "z"
        self._nonces.add(nonce)
        answer.headers["Replay-Nonce"] = nonce
        return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/dir":
            names = ["newNonce", "newAccount", "newOrder", "revokeCert", "keyChange"]
            names += ["renewalInfo"] if self.renewal_info is not None else []
            return httpx.Response(200, json={name: f"{BASE}/{name}" for name in names} | {"meta": self.meta})
        if path == "/newNonce":
            return httpx.Response(200)
        if path.startswith("/renewalInfo/") and self.renewal_info is not None:
            return self.renewal_info
        message = json.loads(request.content)
        protected = json.loads(_decode(message["protected"]))
        if protected["nonce"] not in self._nonces:
            return problem("badNonce")
        self._nonces.remove(protected["nonce"])
        if protected["url"] != str(request.url):
            return problem("unauthorized", 401)
        if "jwk" in protected:
            key: Any = JWK.from_json(protected["jwk"])
        elif protected["kid"] in self._keys:
            key = self._keys[protected["kid"]]
        else:
            return problem("accountDoesNotExist")
        # josepy would decode the nonce and write it back another way: the signature is over what was sent.
        signed = f"{message['protected']}.{message['payload']}".encode()
        algorithm = JWASignature.from_json(protected["alg"])
        if not algorithm.verify(key.key, signed, _decode(message["signature"])):
            return problem("malformed", detail="bad signature")
        payload = json.loads(_decode(message["payload"]) or b"null")
        return self._resource(path, payload, key, protected.get("kid", ""))

    def _resource(self, path: str, payload: Any, key: JWK, kid: str) -> httpx.Response:
        _, kind, *rest = path.split("/")
        number = rest[0] if rest else ""
        if kind == "newAccount":
            return self._new_account(payload, key)
        if kind in {"account", "keyChange"}:
            if kind == "keyChange":
                new_key: Any = JWK.from_json(json.loads(_decode(payload["protected"]))["jwk"])
                self._keys[kid] = new_key
            return httpx.Response(200, json={"status": "valid", **(payload or {})})
        if kind == "revokeCert":
            self.revoked.append({**payload, "kid": kid})
            return httpx.Response(200)
        return self._part_of_an_order(kind, number, payload)

    def _part_of_an_order(self, kind: str, number: str, payload: Any) -> httpx.Response:
        if kind == "newOrder":
            if self.refuses_replaces and "replaces" in payload:
                return problem(self.refuses_replaces, 409 if self.refuses_replaces == "alreadyReplaced" else 400)
            self.placed.append(payload)
            number = str(len(self.placed))
            self._orders[number] = {"status": "pending", "identifiers": payload["identifiers"]}
            return self._order(number, 201)
        if kind == "order":
            return self._order(number)
        if kind == "authz":
            return self._authorization(number, payload)
        if kind == "challenge":
            return self._challenge(number)
        if kind == "finalize":
            return self._finalize(number, payload)
        if kind == "certificate":
            return httpx.Response(200, text=self._certificates[number])
        return problem("malformed", 404)

    def _new_account(self, payload: Any, key: JWK) -> httpx.Response:
        held = (url for url, one in self._keys.items() if one == key)
        url = next(held, f"{BASE}/account/{b64encode(key.thumbprint()).decode()}")
        if payload.get("onlyReturnExisting") and url not in self._keys:
            return problem("accountDoesNotExist")
        status = 200 if url in self._keys else 201
        self._keys[url] = key
        body = {"status": "valid", "contact": payload.get("contact", []), "orders": f"{url}/orders"}
        return httpx.Response(status, json=body, headers={"Location": url})

    def forget_accounts(self) -> None:
        self._keys.clear()

    def _order(self, number: str, status: int = 200) -> httpx.Response:
        order = self._orders[number] | {
            "authorizations": [f"{BASE}/authz/{number}"],
            "finalize": f"{BASE}/finalize/{number}",
        }
        if number in self._certificates:
            order["certificate"] = f"{BASE}/certificate/{number}"
        headers = {"Location": f"{BASE}/order/{number}", **self.order_headers}
        return httpx.Response(status, json=order | self.order_says, headers=headers)

    def _authorization(self, number: str, payload: Any) -> httpx.Response:
        order = self._orders[number]
        if payload:
            self.given_up.append(number)
        status = "pending" if order["status"] == "pending" else "valid"
        challenges = [
            {"type": kind, "url": f"{BASE}/challenge/{number}", "token": self.token, "status": status}
            for kind in self.challenge_types
        ]
        identifier = order["identifiers"][0]
        return httpx.Response(200, json={"status": status, "identifier": identifier, "challenges": challenges})

    def _challenge(self, number: str) -> httpx.Response:
        if self._orders[number]["status"] != "pending":
            return problem("malformed", detail="the authorization is not pending")
        self.answered += 1
        if self.validates:
            self._orders[number]["status"] = "ready"
        return httpx.Response(200, json={"type": "dns-01", "status": "processing", "url": "", "token": self.token})

    def _finalize(self, number: str, payload: Any) -> httpx.Response:
        if self._orders[number]["status"] != "ready":
            return problem("orderNotReady", 403)
        csr = x509.load_der_x509_csr(_decode(payload["csr"]))
        self._certificates[number] = _certify(csr, self.issuer_key, foreign_key=self.foreign_key)
        self._orders[number]["status"] = "valid"
        return self._order(number)


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _certify(csr: x509.CertificateSigningRequest, issuer_key: bytes, *, foreign_key: bool) -> str:
    signer = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Fake Root")])
    names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    builder = (
        x509.CertificateBuilder()
        .subject_name(csr.subject)
        .issuer_name(issuer)
        .public_key(signer.public_key() if foreign_key else csr.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=90))
        .add_extension(names.value, critical=False)
    )
    if issuer_key:
        builder = builder.add_extension(x509.AuthorityKeyIdentifier(issuer_key, None, None), critical=False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
