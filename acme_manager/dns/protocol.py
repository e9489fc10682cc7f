"""What we say to a DNS plugin, and what it answers: version 1 of the protocol in docs/plugin-protocol.md.

The arguments alone are enough for a plugin, and those of lego's `exec` programs come first, so that such a program is
one of ours as it stands. Standard input has the same as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

VERSION = 1
PRESENT, CLEANUP, DESCRIBE = "present", "cleanup", "describe"
HOLD = "hold"  # of our own plugin for lego only: present, and cleanup when the socket's connection ends
CAUSES = ("credentials", "zone", "unavailable", "input")
_LONGEST_ERROR = 1000


@attrs.frozen(kw_only=True)
class Change:
    """One TXT record to write or to remove. Names are absolute without the final dot; `zone` may be empty.

    `domain` and `key_authorization` are what lego's programs make `name` and `value` from; empty when unknown.
    """

    action: str
    name: str
    value: str
    zone: str = ""
    ttl: int = 60
    domain: str = ""
    key_authorization: str = attrs.field(default="", repr=False)
    socket: str = ""  # for HOLD

    @property
    def arguments(self) -> list[str]:
        """`present|cleanup NAME. VALUE ZONE.`"""
        return [self.action, f"{self.name}.", self.value, f"{self.zone}." if self.zone else ""]

    @property
    def document(self) -> bytes:
        """The request as JSON, for standard input."""
        request = {
            "version": VERSION,
            "action": self.action,
            "name": f"{self.name}.",
            "value": self.value,
            "zone": f"{self.zone}." if self.zone else "",
            "ttl": self.ttl,
        }
        if self.key_authorization:
            request |= {"domain": self.domain, "key_authorization": self.key_authorization}
        if self.socket:
            request["socket"] = self.socket
        return json.dumps(request).encode() + b"\n"


@attrs.frozen
class Refusal:
    """Why a plugin failed, in its own words. `cause` is one of CAUSES or empty, `retry_after` is in seconds."""

    error: str
    cause: str = ""
    retry_after: float | None = None


@attrs.frozen(kw_only=True)
class Description:
    """What a plugin says about itself. Variables are the names it wants in its `env`; seconds are 0 where unsaid."""

    name: str = ""
    summary: str = ""
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    timeout: float = 0.0
    interval: float = 0.0


def read_refusal(stdout: bytes) -> Refusal | None:
    """The reason that a plugin gives for a failure, None when it gives none. Nothing it writes makes this raise."""
    said = _read_object(stdout)
    error = said.get("error")
    if not isinstance(error, str) or not error.strip():
        return None
    cause = said.get("cause")
    return Refusal(
        " ".join(error.split())[:_LONGEST_ERROR],
        cause if cause in CAUSES else "",
        _seconds(said.get("retry_after")) or None,
    )


def read_description(stdout: bytes) -> Description | None:
    """What a plugin says about itself, None when it says nothing that can be read."""
    said = _read_object(stdout)
    if said.get("version") != VERSION:
        return None
    timing = said.get("timing")
    timing = timing if isinstance(timing, Mapping) else {}
    return Description(
        name=_text(said.get("name")),
        summary=_text(said.get("summary")),
        required=_texts(said.get("required")),
        optional=_texts(said.get("optional")),
        timeout=_seconds(timing.get("timeout")),
        interval=_seconds(timing.get("interval")),
    )


def _read_object(stdout: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(stdout)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _text(value: object) -> str:
    return value[:_LONGEST_ERROR] if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if 0 < value <= 86400 else 0.0
