"""What the CA and storage have seen of orders, read from what passes the proxies before them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

import attrs
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.integration.cluster.history import Order
from tests.parts.faults import FaultProxy, Reply, Request

_RECORD = re.compile(r"(?:PUT|POST) /v1/secret/data/certificates/\.acme-manager/orders/")


class OrderBook:
    """Every order that the CA took, in that order."""

    def __init__(self, to_ca: FaultProxy, to_bao: FaultProxy) -> None:
        self._orders: dict[str, Order] = {}  # by the last part of their URLs
        to_ca.observe, to_bao.observe = self._ca_answered, self._storage_answered

    @property
    def orders(self) -> list[Order]:
        """What is known of them by now."""
        return list(self._orders.values())

    def _ca_answered(self, request: Request, reply: Reply) -> None:
        if reply.status >= 400:
            return
        if request.line.startswith("POST /order-plz"):
            headers = {name.lower(): value for name, value in reply.headers}
            url = headers[b"location"].decode()
            self._orders[_last(url)] = Order(url=url)
        elif request.line.startswith("POST /finalize-order/"):
            self._note(request.target, request=key_of(unpadded(payload_of(request)["csr"])))
        elif request.line.startswith("POST /my-order/") and json.loads(reply.body)["status"] == "invalid":
            self._note(request.target, failed=True)

    def _storage_answered(self, request: Request, reply: Reply) -> None:
        if reply.status < 400 and _RECORD.match(request.line):
            record = json.loads(request.body)["data"]
            self._note(record["order_url"], request=key_of(base64.b64decode(record["order_csr"])), recorded=True)

    def _note(self, url: str, **news: Any) -> None:
        known = self._orders.get(_last(url))
        if known is not None:
            self._orders[_last(url)] = attrs.evolve(known, **news)


def key_of(csr: bytes) -> str:
    """What a signing request (DER) and the certificate made from it have in common, in short."""
    return short(x509.load_der_x509_csr(csr).public_key())


def short(key: Any) -> str:
    """A public key in short."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()[:12]


def payload_of(request: Request) -> dict[str, Any]:
    """What a signed request to a CA says."""
    return dict(json.loads(unpadded(json.loads(request.body)["payload"])))


def unpadded(text: str) -> bytes:
    """What base64url without padding stands for."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _last(url: str) -> str:
    return url.rstrip("/").rpartition("/")[2]
