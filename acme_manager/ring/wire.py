"""Messages over a transport: wrapped in the cluster's envelope on the way out, unwrapped and counted on the way in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import attrs
import trio

from acme_manager.ring.envelope import Envelope
from acme_manager.ring.messages import Err, Message, parse_untrusted, with_crc
from acme_manager.ring.streams import StreamMessage, StreamReader, encode_stream
from acme_manager.ring.transport import Transport
from acme_manager.ring.types import Address, BadPacket, SendPacket

_CHUNK = 64 * 1024

Reply = Callable[[StreamMessage], Awaitable[None]]
Answer = Callable[[StreamMessage, Address, Reply], Awaitable[None]]


@attrs.define
class Refusals:
    """What came in and was dropped, in all."""

    unauthenticated: int = 0  # packets and streams that are not sealed with a key of ours, or bear another label
    bad: int = 0  # what can't be read although its sender has the key


class Wire:
    """One node's packets and exchanges. `envelope` may be replaced at any time: the next message uses it."""

    def __init__(self, transport: Transport, envelope: Envelope) -> None:
        self.envelope = envelope
        self.refusals = Refusals()
        self._transport = transport

    def send(self, packet: SendPacket) -> None:
        """Send a packet, which may get lost."""
        payload = with_crc(packet.payload) if packet.crc else packet.payload
        self._transport.send(packet.to, self.envelope.wrap_packet(payload))

    async def receive(self) -> tuple[list[Message], Address]:
        """The messages of the next packet that can be read."""
        while True:
            datagram, source = await self._transport.receive()
            try:
                payload = self.envelope.unwrap_packet_untrusted(datagram)
            except BadPacket:
                self.refusals.unauthenticated += 1
                continue
            try:
                return parse_untrusted(payload), source
            except BadPacket:
                self.refusals.bad += 1

    async def ask(self, to: Address, question: StreamMessage) -> StreamMessage:
        """Put a question over a connection of its own. The caller bounds the time. Raises OSError or BadPacket."""
        envelope = self.envelope
        async with await self._transport.dial(to) as stream:
            try:
                await stream.send_all(envelope.wrap_stream(encode_stream(question)))
                reply = await _read(stream, StreamReader(envelope, dialled=False))
            except trio.BrokenResourceError as error:
                raise ConnectionError(str(error.__cause__ or "the connection broke")) from error
        if isinstance(reply, Err):
            raise BadPacket(f"the peer says: {reply.error}")
        return reply

    async def serve(self, answer: Answer, patience: float) -> None:
        """Have every question of others answered within `patience` seconds. Never returns."""

        async def handle(stream: trio.abc.Stream, peer: Address) -> None:
            await self._handle(stream, peer, answer)

        await self._transport.serve(handle, patience)

    async def _handle(self, stream: trio.abc.Stream, peer: Address, answer: Answer) -> None:
        envelope = self.envelope
        reader = StreamReader(envelope, dialled=True)

        async def reply(message: StreamMessage) -> None:
            await stream.send_all(envelope.wrap_reply(encode_stream(message), reader.label))

        try:
            question = await _read(stream, reader)
        except BadPacket as error:
            self.refusals.bad += 1
            trouble = error
        else:
            await answer(question, peer, reply)
            return
        with suppress(trio.BrokenResourceError):
            await reply(Err(error=str(trouble)))
        raise trouble


async def _read(stream: trio.abc.Stream, reader: StreamReader) -> StreamMessage:
    while chunk := await stream.receive_some(_CHUNK):
        message = reader.feed_untrusted(bytes(chunk))
        if message is not None:
            return message
    raise BadPacket("the stream ended before its message")
