"""Frames of the ABCI socket: each message after its length as an unsigned varint (CometBFT, spec/abci,
"Client and Server"; the varint is protobuf's, base 128 with the lowest bits first).

The decoder takes bytes as they come, in pieces of any size. Bytes of an unfinished frame are kept once and
looked at again only when the frame can be complete, so time and memory are linear in what came.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from node.chain.errors import DecodeError

MAX_FRAME: Final = 128 << 20
"""Bytes of a message. CometBFT's blocks and snapshot chunks stay far below."""

MAX_VARINT: Final = 10
"""Bytes that hold 64 bits, seven in each."""


class FrameDecoder:
    """The messages in a stream of bytes. After a DecodeError nothing more can be read from the stream."""

    __slots__ = ("_max_frame", "_needed", "_unfinished")

    def __init__(self, max_frame: int = MAX_FRAME) -> None:
        self._max_frame = max_frame
        self._unfinished = bytearray()
        self._needed = 0  # bytes that _unfinished must have before another look is worth it

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The messages that `data` completes, in order; to be consumed to its end before the next call.

        Raises DecodeError when the messages before the fault have been given: abci.frame_length_too_long,
        abci.frame_length_not_minimal, abci.frame_too_large.
        """
        stream: bytes | bytearray = data
        if self._unfinished:
            self._unfinished += data
            if len(self._unfinished) < self._needed:
                return
            stream = self._unfinished
        with memoryview(stream) as view:
            start = 0
            while (head := _read_length(view, start)) is not None:
                length, body = head
                if length > self._max_frame:
                    raise DecodeError(
                        "abci.frame_too_large", "the message is too large", length, self._max_frame
                    )
                end = body + length
                if end > len(view):
                    self._needed = end - start
                    break
                yield bytes(view[body:end])
                start = end
            else:
                self._needed = 0
            if start or stream is data:
                self._unfinished = bytearray(view[start:])

    def finish(self) -> None:
        """The stream has ended. Raises DecodeError abci.frame_truncated if that is inside a frame."""
        if self._unfinished:
            raise DecodeError("abci.frame_truncated", "the stream ends inside a frame", len(self._unfinished))


def encode_length(length: int) -> bytes:
    """What stands before a message of `length` bytes."""
    if length < 0x80:
        return bytes((length,))
    encoded = bytearray()
    while length >= 0x80:
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    encoded.append(length)
    return bytes(encoded)


def encode_frame(message: bytes) -> bytes:
    return encode_length(len(message)) + message


def _read_length(view: memoryview, start: int) -> tuple[int, int] | None:
    """The length at `start` and the place of its message; None if more bytes are needed to tell."""
    length = shift = 0
    for place in range(start, min(start + MAX_VARINT, len(view))):
        byte = view[place]
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and place > start:
                raise DecodeError("abci.frame_length_not_minimal", "the length has a shorter form", length)
            return length, place + 1
        shift += 7
    if len(view) - start >= MAX_VARINT:
        raise DecodeError(
            "abci.frame_length_too_long", "the length has no end within its ten bytes", None, MAX_VARINT
        )
    return None
