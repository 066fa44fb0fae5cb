"""The helpers under every decoder, against readers that others wrote or that are written plainly.

The first byte says which: 0 RLP against the `rlp` library's own decoder in Python: same bytes accepted, same
tree. (Its Rust backend is no yardstick: it drops a last item that runs over the end of its list.)
1 An RLP integer: same as `rlp`'s big-endian integers of up to 32 bytes. 2 Protobuf fields against a plain
reader. 3 Strict JSON against the standard library's parser: what is accepted reads the same there, and has
neither floats nor repeated keys nor anything that is not Unicode.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import rlp
from rlp.codec import consume_item
from rlp.exceptions import DecodingError, DeserializationError
from rlp.sedes import big_endian_int

from node.chain.encoding import (
    ProtoFields,
    decode_proto,
    decode_strict_json,
    encode_canonical_json,
    field_integer,
    rlp_encode_bytes,
    rlp_encode_integer,
    rlp_encode_list,
    rlp_integer,
    rlp_outer_list,
    rlp_split,
)
from node.chain.errors import DecodeError
from tests.fuzz.mutators import Havoc, mutate_json, mutate_proto, mutate_rlp
from tests.fuzz.refusals import check_refusal

_DEEPEST = 200
"""The library recurses; deeper nesting is for `test_fuzz_hostile`."""


def one_input(data: bytes) -> None:
    if data:
        (_rlp, _integer, _proto, _json)[data[0] & 3](data[1:])


def _rlp(data: bytes) -> None:
    try:
        expected, _, end = consume_item(data, 0)
    except (DecodingError, IndexError):
        expected = end = None
    except RecursionError:
        return
    if end != len(data) or isinstance(expected, bytes):
        expected = None  # bytes left over; ours wants a list
    try:
        start, end = rlp_outer_list(data, 0)[1:]
        tree = _tree(data, start, end, 0)
    except DecodeError as error:
        check_refusal(error)
        assert expected is None, "refused what the library accepts"
        return
    except RecursionError:
        return
    assert tree == expected, "read otherwise than the library"
    assert _encode(tree) == data


def _tree(data: bytes, start: int, end: int, depth: int) -> list[Any]:
    if depth > _DEEPEST:
        raise RecursionError
    return [
        _tree(data, begin, stop, depth + 1) if is_list else data[begin:stop]
        for is_list, begin, stop in rlp_split(data, start, end, len(data))
    ]


def _encode(tree: Any) -> bytes:
    return rlp_encode_bytes(tree) if isinstance(tree, bytes) else rlp_encode_list(map(_encode, tree))


def _integer(data: bytes) -> None:
    try:
        expected: int | None = big_endian_int.deserialize(data)
    except DeserializationError:
        expected = None
    if len(data) > 32:
        expected = None
    try:
        value = rlp_integer(data, (False, 0, len(data)), "number", 1 << 256)
    except DecodeError as error:
        check_refusal(error)
        assert expected is None
        return
    assert value == expected
    assert rlp.decode(rlp_encode_integer(value)) == data


def _proto(data: bytes) -> None:
    expected = _plain_fields(data)
    try:
        fields = decode_proto(data, "message", 64)
    except DecodeError as error:
        check_refusal(error)
        assert expected is None, "refused what a plain reader accepts"
        return
    assert fields == expected
    for number, values in fields.items():
        try:
            value = field_integer(fields, number, "field")
        except DecodeError as error:
            check_refusal(error)
            assert len(values) != 1 or isinstance(values[0], bytes)
        else:
            assert -(1 << 63) <= value < 1 << 63
            assert [value % (1 << 64)] == values


def _plain_fields(data: bytes) -> ProtoFields | None:
    """The wire format (protobuf.dev/programming-guides/encoding), read plainly; None: not a message."""
    fields: ProtoFields = {}
    rest, count = data, 0
    while rest:
        tag, rest = _plain_varint(rest)
        if tag is None:
            return None
        value: int | bytes | None
        if tag % 8 == 0:
            value, rest = _plain_varint(rest)
        else:
            length = None
            if tag % 8 == 1:
                length = 8
            elif tag % 8 == 2:
                length, rest = _plain_varint(rest)
            value = None if length is None or length > len(rest) else rest[:length]
            rest = rest[length or 0 :]
        count += 1
        if value is None or count > 64:
            return None
        fields.setdefault(tag // 8, []).append(value)
    return fields


def _plain_varint(data: bytes) -> tuple[int | None, bytes]:
    groups = []
    for byte in data[:10]:
        groups.append(byte % 128)
        if byte < 128:
            value = sum(group << 7 * place for place, group in enumerate(groups))
            return (value if value < 1 << 64 else None), data[len(groups) :]
    return None, b""


def _json(data: bytes) -> None:
    try:
        value = decode_strict_json(data, 1 << 16)
    except DecodeError as error:
        check_refusal(error)
        return
    assert json.loads(data.decode()) == value
    assert decode_strict_json(encode_canonical_json(value), 1 << 20) == value
    pairs: list[list[tuple[str, object]]] = []
    json.loads(data, object_pairs_hook=pairs.append, parse_float=_no_float, parse_constant=_no_float)
    assert all(len({key for key, _ in one}) == len(one) for one in pairs)


def _no_float(text: str) -> object:
    raise AssertionError(f"{text} was accepted")


def mutate(data: bytes, random: Random, havoc: Havoc) -> bytes:
    if len(data) < 2:
        return havoc(data)
    kind = data[0] & 3
    if kind == 2:
        return data[:1] + mutate_proto(b"\0" + data[1:], random, havoc)[1:]
    changed = (mutate_rlp, None, None, mutate_json)[kind]
    return data[:1] + (changed(data[1:], random, havoc) if changed else havoc(data[1:]))


def seeds() -> Iterator[bytes]:
    from tests.fuzz.targets import messages, transaction

    for raw in transaction.seeds():
        yield b"\0" + raw[0 if raw[0] >= 0xC0 else 1 :]
    for tree in ([], [[]], [b"", b"a", b"\x80", b"a" * 56, [b"b" * 300]], [[[[[[b""]]]]]]):
        yield b"\0" + rlp.encode(tree)
    for value in (0, 1, 127, 128, 255, 256, (1 << 64) - 1, (1 << 256) - 1):
        yield b"\1" + value.to_bytes((value.bit_length() + 7) // 8, "big")
    for message in messages.seeds():
        if message[0] != 7:
            yield b"\2" + message[1:]
    for text in (
        '{"a":[1,-2,true,false,null,"x"],"b":{"c":"\\u4e2d\\ud83d\\ude00\\n\\"{["}}', "[]", "0", '"\\\\"',
        "[[[[]]]]",
        '{"a":1,"a":2}', "1.5", "1e5", "NaN", '"\\ud800"', "[" * 40 + "]" * 40, "-0",
        "12345678901234567890123",
    ):  # fmt: skip
        yield b"\3" + text.encode()
