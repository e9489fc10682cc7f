"""The one thing that serf agents must hear besides memberlist's messages: that a member means to leave.

Without it they show a member that says goodbye as `failed`. It is sent only where `delegate-version` lets serf in.
"""

from __future__ import annotations

import msgpack

_LEAVE = b"\x00"


def leave_intent(name: str, ltime: int) -> bytes:
    """A user message for gossip. `ltime` is a logical time above any that serf has noted for this member."""
    fields = {"LTime": ltime, "Node": name, "Prune": False}
    return _LEAVE + bytes(msgpack.packb(fields, use_bin_type=False))
