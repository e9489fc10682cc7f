"""The bytes that other programs sent (see README.md), and our words for what they mean.

The translation is written out here, and knows nothing of how the package reads the wire.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from acme_manager.ring.envelope import Envelope
from acme_manager.ring.keyring import Keyring
from acme_manager.ring.messages import Ack, Alive, Dead, Err, IndirectPing, Nack, Ping, PushNode, Suspect, User
from acme_manager.ring.streams import PushPull
from acme_manager.ring.types import Address, Status


@attrs.frozen(kw_only=True)
class Vector:
    """One packet, or one side of a stream, and what it says."""

    name: str
    stream: bool
    envelope: Envelope
    octets: bytes
    messages: Sequence[Any]


def _octets(text: str | None) -> bytes:
    return bytes.fromhex(text or "")


def _text(text: str | None) -> str:
    return _octets(text).decode()


def _address(host: str, port: int) -> Address:
    return str(ipaddress.ip_address(_octets(host))), port


def _node(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "incarnation": fields["Incarnation"],
        "address": _address(fields["Addr"], fields["Port"]),
        "meta": _octets(fields["Meta"]),
        "vsn": _octets(fields["Vsn"]),
    }


def _push_node(fields: dict[str, Any]) -> PushNode:
    return PushNode(name=_text(fields["Name"]), status=Status(fields["State"]), **_node(fields))


def _source(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "source": _address(fields["SourceAddr"], fields["SourcePort"]),
        "source_node": _text(fields["SourceNode"]),
    }


def _message(kind: str, fields: dict[str, Any]) -> object:
    match kind:
        case "ack":
            return Ack(sequence=fields["SeqNo"], payload=_octets(fields["Payload"]))
        case "nack":
            return Nack(sequence=fields["SeqNo"])
        case "ping":
            return Ping(sequence=fields["SeqNo"], node=_text(fields["Node"]), **_source(fields))
        case "indirectPing":
            return IndirectPing(
                sequence=fields["SeqNo"],
                target=_address(fields["Target"], fields["Port"]),
                node=_text(fields["Node"]),
                nack=fields["Nack"],
                **_source(fields),
            )
        case "alive":
            return Alive(node=_text(fields["Node"]), **_node(fields))
        case "suspect" | "dead":
            claim = Suspect if kind == "suspect" else Dead
            return claim(incarnation=fields["Incarnation"], node=_text(fields["Node"]), by=_text(fields["From"]))
        case "user":
            return User(_octets(fields["Payload"]))
        case "err":
            return Err(error=_text(fields["Error"]))
        case "pushPull":
            return PushPull([*map(_push_node, fields["Nodes"])], _octets(fields["UserState"]), fields["Join"])
    raise ValueError(kind)


def _vector(entry: dict[str, Any]) -> Vector:
    keyring = Keyring(_octets(entry["key"])) if entry["key"] else None
    return Vector(
        name=entry["name"],
        stream=entry["stream"],
        envelope=Envelope(label=entry["label"].encode(), keyring=keyring),
        octets=_octets(entry["hex"]),
        messages=[_message(message["type"], message["fields"]) for message in entry["messages"]],
    )


VECTORS = [_vector(entry) for entry in json.loads(Path(__file__).with_name("memberlist-vectors.json").read_text())]
PACKETS = [vector for vector in VECTORS if not vector.stream]
STREAMS = [vector for vector in VECTORS if vector.stream]
