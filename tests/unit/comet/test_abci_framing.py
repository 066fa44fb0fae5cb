"""Frames: whatever the pieces of a stream, its messages come out, and no error but a DecodeError."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network.comet.framing import MAX_FRAME, FrameDecoder, encode_frame, encode_length
from node.chain.errors import DecodeError

MESSAGES = st.lists(
    st.binary(max_size=40)
    | st.builds(lambda size: bytes(size), st.sampled_from([127, 128, 300, 16383, 16384, 70000])),
    max_size=12,
)


def reference_length(length: int) -> bytes:
    """A varint by its definition: seven bits a byte, lowest first, the high bit on all but the last."""
    groups = [length >> shift & 0x7F for shift in range(0, max(length.bit_length(), 1), 7)]
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])


@st.composite
def pieces_of(draw: st.DrawFn, stream: bytes) -> list[bytes]:
    cuts = draw(st.lists(st.integers(0, len(stream)), max_size=20).map(sorted))
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


def code_of(stream: bytes, decoder: FrameDecoder | None = None) -> str:
    with pytest.raises(DecodeError) as caught:
        list((decoder or FrameDecoder()).feed(stream))
    return caught.value.code


@given(st.integers(0, MAX_FRAME))
def test_a_length_is_written_as_protobuf_writes_it(length: int) -> None:
    assert encode_length(length) == reference_length(length)


@pytest.mark.parametrize(
    ("length", "encoded"),
    [(0, "00"), (1, "01"), (127, "7f"), (128, "8001"), (300, "ac02"), (16384, "808001")],
)
def test_lengths_worked_out_by_hand(length: int, encoded: str) -> None:
    assert encode_length(length).hex() == encoded


@given(st.data(), MESSAGES)
def test_each_message_comes_out_with_the_piece_that_completes_it(
    data: st.DataObject, messages: list[bytes]
) -> None:
    stream = b"".join(map(encode_frame, messages))
    ends = []
    for message in messages:
        ends.append((ends[-1] if ends else 0) + len(encode_frame(message)))
    decoder = FrameDecoder()
    fed, given_out = 0, list[bytes]()
    for piece in data.draw(pieces_of(stream)):
        given_out += decoder.feed(piece)
        fed += len(piece)
        assert given_out == messages[: sum(end <= fed for end in ends)]
    decoder.finish()


@given(MESSAGES)
def test_messages_come_out_when_bytes_come_one_by_one(messages: list[bytes]) -> None:
    decoder = FrameDecoder()
    stream = b"".join(map(encode_frame, messages))
    assert [message for byte in stream for message in decoder.feed(bytes((byte,)))] == messages
    decoder.finish()


def test_a_large_message_in_many_small_pieces_is_put_together_once() -> None:
    """64 MiB in 32,768 pieces: looking at all that came so far with each piece would take a terabyte."""
    message = bytes(range(256)) * (1 << 18)
    stream = memoryview(encode_frame(message) + encode_frame(b"next"))
    decoder = FrameDecoder()
    given_out = [
        out for start in range(0, len(stream), 2048) for out in decoder.feed(bytes(stream[start:][:2048]))
    ]
    assert given_out == [message, b"next"]


def test_the_largest_message_is_taken_and_one_byte_more_is_refused_before_it_comes() -> None:
    decoder = FrameDecoder(max_frame=1000)
    assert list(decoder.feed(encode_frame(bytes(1000)))) == [bytes(1000)]
    assert code_of(encode_length(1001), decoder) == "abci.frame_too_large"
    assert code_of(encode_length(MAX_FRAME + 1)) == "abci.frame_too_large"


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (reference_length(1 << 63), "abci.frame_too_large"),
        (reference_length((1 << 64) - 1), "abci.frame_too_large"),
        (b"\xff" * 9 + b"\x7f", "abci.frame_too_large"),
        (b"\xff" * 10, "abci.frame_length_too_long"),
        (b"\x80" * 10 + b"\x01", "abci.frame_length_too_long"),
        (b"\x80\x00", "abci.frame_length_not_minimal"),
        (b"\x83\x00abc", "abci.frame_length_not_minimal"),
        (b"\x80" * 9 + b"\x00", "abci.frame_length_not_minimal"),
    ],
)
def test_a_length_that_nobody_honest_writes_is_refused(stream: bytes, code: str) -> None:
    assert code_of(stream) == code

    def one_by_one() -> Iterator[bytes]:
        decoder = FrameDecoder()
        for byte in stream:
            yield from decoder.feed(bytes((byte,)))

    with pytest.raises(DecodeError) as caught:
        list(one_by_one())
    assert caught.value.code == code


def test_what_came_before_a_bad_length_is_still_given() -> None:
    messages = FrameDecoder().feed(encode_frame(b"one") + encode_frame(b"") + b"\x80\x00")
    assert (next(messages), next(messages)) == (b"one", b"")
    with pytest.raises(DecodeError):
        next(messages)


@pytest.mark.parametrize("stream", [b"\x80", b"\x03", b"\x03ab", encode_frame(b"whole") + b"\x01"])
def test_a_stream_that_ends_inside_a_frame_is_told(stream: bytes) -> None:
    decoder = FrameDecoder()
    list(decoder.feed(stream))
    with pytest.raises(DecodeError) as caught:
        decoder.finish()
    assert caught.value.code == "abci.frame_truncated"


@given(st.data(), st.binary(max_size=200))
def test_any_bytes_give_messages_or_a_typed_error(data: st.DataObject, stream: bytes) -> None:
    decoder = FrameDecoder(max_frame=64)
    messages, is_refused = [], False
    try:
        for piece in data.draw(pieces_of(stream)):
            messages += decoder.feed(piece)
        decoder.finish()
    except DecodeError:
        is_refused = True
    read = b"".join(map(encode_frame, messages))
    assert stream.startswith(read) if is_refused else stream == read
