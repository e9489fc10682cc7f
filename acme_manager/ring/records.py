"""What each node says about itself in the shared map, and what `/ring` shows of every member."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import attrs
import msgspec

from acme_manager.ring.meta import parse_untrusted as parse_meta
from acme_manager.ring.types import Member, Status

FACT = "node"  # the name of the fact that holds a Record
LEADER_TOKEN = 0  # guide, "Leader Election": reserved for the leader


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """`heartbeat` is Unix time of the node's own clock; `health` is Lifeguard's score, 0 is well."""

    version: str = ""
    token: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] = 0
    heartbeat: Annotated[float, msgspec.Meta(ge=0, lt=2**33)] = 0.0
    health: Annotated[int, msgspec.Meta(ge=0, lt=2**16)] = 0
    joining: bool = False  # it does not have the others' state yet


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)


def encode_record(record: Record) -> bytes:
    """The value of the fact."""
    return _encoder.encode(record)


def parse_untrusted(value: bytes | None) -> Record | None:
    """What a node has said; None for nothing, and for what can't be read."""
    try:
        return None if value is None else _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def token_of(name: str) -> int:
    """A node's own token: always the same for a name, and never the leader's."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) or 1


@attrs.frozen(kw_only=True)
class View:
    """How one node sees the members, for the `members` of ports.Cluster."""

    leader: str | None
    voters: Collection[str]
    at: datetime
    heartbeat_timeout: float

    def show(self, member: Member, record: Record | None) -> Mapping[str, Any]:
        """One of them; what is not known is left out."""
        meta = parse_meta(member.meta)
        shown: dict[str, Any] = {
            "name": member.name,
            "state": self.state(member, record),
            "address": _text(member.address),
            "status": member.status.name.lower(),
            "incarnation": member.incarnation,
            "voter": member.name in self.voters,
            "tokens": [],
        }
        if meta is not None and meta.api:
            shown["url"] = meta.api
        if record is not None:
            shown |= {
                "version": record.version,
                "health": record.health,
                "heartbeat": datetime.fromtimestamp(record.heartbeat, UTC),
                "tokens": [record.token],
            }
        if member.name == self.leader:
            shown["tokens"] = [LEADER_TOKEN, *shown["tokens"]]
        return shown

    def state(self, member: Member, record: Record | None) -> str:
        """One of the states that the Go original has: ACTIVE, JOINING, LEAVING, Unhealthy."""
        if member.status is Status.LEFT:
            return "LEAVING"
        late = record is not None and self.at.timestamp() - record.heartbeat > self.heartbeat_timeout
        if member.status is not Status.ALIVE or late:
            return "Unhealthy"
        is_ours = parse_meta(member.meta) is not None
        return "JOINING" if is_ours and (record is None or record.joining) else "ACTIVE"


def _text(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
