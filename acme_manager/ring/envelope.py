"""What is around everything that members send: the label of their cluster, and encryption.

    packet    [ f4 length label ] sealed, or plain
    stream    [ f4 length label ] 0a length(4) sealed, or plain         the label only from the side that dialled

The label is part of what encryption authenticates; in a stream, so are the five bytes before the sealed ones.
"""

from __future__ import annotations

import attrs

from acme_manager.ring.keyring import OVERHEAD, Keyring
from acme_manager.ring.messages import Type
from acme_manager.ring.types import BadPacket

MAX_LABEL = 255  # bytes


@attrs.frozen(kw_only=True)
class Envelope:
    """How this cluster wraps its messages. A change of label or keys makes a new envelope.

    `label`: empty for none. `any_label`: accept other labels too, and none, for the time in which they change.
    """

    label: bytes = attrs.field(default=b"", validator=attrs.validators.max_len(MAX_LABEL))
    keyring: Keyring | None = None
    any_label: bool = False

    @property
    def overhead(self) -> int:
        """How many bytes this adds to a packet."""
        return len(self.header()) + (OVERHEAD if self.keyring else 0)

    def wrap_packet(self, payload: bytes) -> bytes:
        """The packet as it goes out."""
        return self.header() + (self.keyring.seal(payload, self.label) if self.keyring else payload)

    def unwrap_packet_untrusted(self, packet: bytes) -> bytes:
        """What a packet holds, for `parse_untrusted`. Raises BadPacket, and nothing else."""
        label = b""
        if packet[:1] == bytes([Type.LABEL]):
            end = 2 + int.from_bytes(packet[1:2])
            if not 2 < end <= len(packet):
                raise BadPacket("a packet's label is empty, or cut off")
            label, packet = packet[2:end], packet[end:]
        self.check_label(label)
        return self.keyring.open_untrusted(packet, label) if self.keyring else packet

    def wrap_stream(self, plain: bytes) -> bytes:
        """A stream as the side sends it that dialled."""
        return self.header() + self.wrap_reply(plain, self.label)

    def wrap_reply(self, plain: bytes, label: bytes) -> bytes:
        """A stream as the other side answers it. `label`: the one that was on the question."""
        if self.keyring is None:
            return plain
        header = sealed_header(len(plain) + OVERHEAD)
        return header + self.keyring.seal(plain, header + label)

    def header(self) -> bytes:
        """What the label looks like before a message."""
        return bytes([Type.LABEL, len(self.label)]) + self.label if self.label else b""

    def check_label(self, label: bytes) -> None:
        """Raises BadPacket for another cluster's label."""
        if label != self.label and not self.any_label:
            raise BadPacket(f"the label is {label!r}, which is another cluster's")


def sealed_header(length: int) -> bytes:
    """The five bytes in a stream before so many sealed ones."""
    return bytes([Type.ENCRYPT]) + length.to_bytes(4, "big")
