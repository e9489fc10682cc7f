"""A CA with renewal information and external account binding: its windows are known on every node, and are heeded."""

from __future__ import annotations

import base64
import json
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from tests.integration.cluster.asking import path_of
from tests.integration.cluster.observers import payload_of, unpadded
from tests.integration.site import eventually, leaf
from tests.parts.acme2certifier import acme2certifier
from tests.parts.bind import bind
from tests.parts.cluster import ZONE, open_cluster
from tests.parts.faults import Reply, Request, fault_proxy
from tests.parts.node import Node

KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
DOMAIN = f"www.{ZONE}"


async def test_a_window_that_moves_is_seen_on_every_node_and_leads_to_a_renewal(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        dns = await enter(bind(tmp_path, {ZONE: "zonesub TXT"}))
        ca = await enter(acme2certifier(tmp_path, dns=dns.at, eab={"kid-1": KEY}))
        base, _, path = ca.directory.rpartition("/")
        to_ca = await enter(fault_proxy(base))
        accounts: list[str] = []
        to_ca.observe = partial(note_new_accounts, accounts)
        issuer: dict[str, Any] = {"ca_dir_url": f"{to_ca.url}/{path}", "dns_challenge": "rfc2136"}
        issuer |= {"eab": True, "kid": "kid-1", "hmac": KEY, "contact": "admin@example.test"}
        cluster = await enter(open_cluster(tmp_path, dns=dns, issuers={"bound": issuer}))
        leader = await cluster.wait_for_leader()
        follower = cluster.others(leader)[0]
        async with follower.client() as client:
            created = await client.post("/api/v1/certificate", json={"issuer": "bound", "domain": DOMAIN})
        assert created.status_code == 201, created.text
        for node in cluster.nodes:
            await eventually(partial(knows_the_window, node), within=10)
        shown = [await renewal(node) for node in cluster.nodes]
        assert shown[0] == shown[1] == shown[2]
        assert shown[0]["ari"]["start"] <= shown[0]["due"] <= shown[0]["ari"]["end"]
        assert shown[0]["reason"].startswith("CA asks for renewal between ")

        await ca.renew_now()
        # What a CA has said is in no storage, so that nodes which all start anew ask it at once.
        for node in cluster.nodes:
            node.program.kill()
        await cluster.start()
        for node in cluster.nodes:
            await eventually(partial(is_renewed, node), within=30)
        orders = [payload_of(one) for one in to_ca.seen if one.line.startswith("POST /acme/neworders")]
        assert [one.get("replaces") for one in orders] == [None, ari_id(leaf(created.json()))]
        assert accounts == ["kid-1"]  # bound once, for all nodes and for good
        async with follower.client() as client:
            assert (await client.get(path_of(DOMAIN, "bound"))).json()["serial"] != created.json()["serial"]


def note_new_accounts(accounts: list[str], request: Request, reply: Reply) -> None:
    """Note which key each new account was bound with."""
    if request.line.startswith("POST /acme/newaccount") and reply.status == 201:
        binding = payload_of(request)["externalAccountBinding"]
        accounts.append(json.loads(unpadded(binding["protected"]))["kid"])


async def renewal(node: Node) -> dict[str, Any]:
    (listed,) = await metadata(node)
    return dict(listed["renewal"])


async def metadata(node: Node) -> list[dict[str, Any]]:
    async with node.client() as client:
        return list((await client.get("/api/v1/certificate/metadata")).raise_for_status().json())


async def knows_the_window(node: Node) -> bool:
    listed = await metadata(node)
    return bool(listed) and "ari" in listed[0]["renewal"]


async def is_renewed(node: Node) -> bool:
    (listed,) = await metadata(node)
    renewal = listed["renewal"]
    return listed.get("renewal_count") == 1 and "since it has just been renewed" in renewal["reason"]


def ari_id(certificate: x509.Certificate) -> str:
    """What a CA calls a certificate (RFC 9773 section 4.1)."""
    found = certificate.extensions.get_extension_for_oid(ExtensionOID.AUTHORITY_KEY_IDENTIFIER).value
    assert isinstance(found, x509.AuthorityKeyIdentifier)
    assert found.key_identifier is not None
    serial = certificate.serial_number
    parts = (found.key_identifier, serial.to_bytes(serial.bit_length() // 8 + 1))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
