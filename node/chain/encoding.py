"""Bytes: hashes, RLP, protobuf wire format, canonical JSON.

RLP (Ethereum Yellow Paper, appendix B). The decoder works on one list level at a time and never recurses, so
nesting costs nothing; it accepts the canonical form only: shortest length prefixes, single bytes below 0x80
as themselves, nothing left over. Every failure is a `DecodeError`.

Protobuf (proto3 wire format, as CometBFT's generated Go code writes it): fields in ascending order, zero
values left out, embedded messages that Go cannot leave out (`nullable = false`) always written. Decoders
of messages read the fields they know and then compare the re-encoded message with the input, so that one
value has one form.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Iterable
from typing import Final

import sha3

from node.chain.errors import DecodeError

MAX_JSON_DEPTH: Final = 32

_JSON_ESCAPE: Final = re.compile(rb"\\.", re.DOTALL)
_SURROGATE_ESCAPE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_BRACES_TO_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_ALL_BUT_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")


def keccak256(data: bytes) -> bytes:
    """Ethereum's Keccak-256 (not SHA3-256)."""
    digest: bytes = sha3.keccak_256(data).digest()
    return digest


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


# ---- RLP

RlpItem = tuple[bool, int, int]
"""(is a list, start of the payload, end of the payload), offsets into the bytes that were split."""


def rlp_split(data: bytes, start: int, end: int, limit: int) -> list[RlpItem]:
    """The first `limit` items between `start` and `end`, without looking inside nested lists.

    A caller that wants n items asks for n + 1 and counts. Raises DecodeError: rlp.not_minimal, rlp.truncated.
    """
    items: list[RlpItem] = []
    position = start
    while position < end and len(items) < limit:
        prefix = data[position]
        if prefix < 0x80:
            items.append((False, position, position + 1))
            position += 1
            continue
        if prefix < 0xC0:
            is_list = False
            length = prefix - 0x80
        else:
            is_list = True
            length = prefix - 0xC0
        position += 1
        if length > 55:
            size = length - 55
            length = int.from_bytes(data[position : position + size], "big")
            if position + size > end:
                raise DecodeError("rlp.truncated", "the length prefix runs over the end")
            if length < 56 or data[position] == 0:
                raise DecodeError("rlp.not_minimal", "the length has a shorter form", length)
            position += size
        elif length == 1 and not is_list and position < end and data[position] < 0x80:
            raise DecodeError("rlp.not_minimal", "a byte below 0x80 stands for itself", data[position])
        stop = position + length
        if stop > end:
            raise DecodeError(
                "rlp.truncated", "an item runs over the end of its list", length, end - position
            )
        items.append((is_list, position, stop))
        position = stop
    return items


def rlp_outer_list(data: bytes, start: int) -> RlpItem:
    """The single list that fills `data` from `start` to its end."""
    items = rlp_split(data, start, len(data), 2)
    if len(items) != 1:
        raise DecodeError("rlp.trailing_bytes", "exactly one list is wanted", len(items), 1)
    if not items[0][0]:
        raise DecodeError("rlp.not_a_list", "a list is wanted")
    return items[0]


def rlp_integer(data: bytes, item: RlpItem, name: str, bound: int) -> int:
    """An unsigned integer below `bound`, without leading zeros."""
    is_list, start, end = item
    if is_list:
        raise DecodeError("rlp.not_bytes", f"{name} must be an integer, not a list")
    if start == end:
        return 0
    if data[start] == 0:
        raise DecodeError("rlp.leading_zero", f"{name} has leading zero bytes")
    if end - start > 32:
        raise DecodeError("rlp.integer_too_large", f"{name} is longer than 32 bytes", end - start, 32)
    value = int.from_bytes(data[start:end], "big")
    if value >= bound:
        raise DecodeError("rlp.integer_too_large", f"{name} is out of range", value, f"< {bound}")
    return value


def rlp_string(data: bytes, item: RlpItem, name: str) -> bytes:
    is_list, start, end = item
    if is_list:
        raise DecodeError("rlp.not_bytes", f"{name} must be bytes, not a list")
    return data[start:end]


def rlp_encode_bytes(value: bytes) -> bytes:
    length = len(value)
    if length == 1 and value[0] < 0x80:
        return value
    return _rlp_prefix(length, 0x80) + value


def rlp_encode_integer(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,)) if value else b"\x80"
    return rlp_encode_bytes(value.to_bytes((value.bit_length() + 7) >> 3, "big"))


def rlp_encode_list(encoded_items: Iterable[bytes]) -> bytes:
    """A list of items that are encoded already."""
    payload = b"".join(encoded_items)
    return _rlp_prefix(len(payload), 0xC0) + payload


def _rlp_prefix(length: int, base: int) -> bytes:
    if length < 56:
        return bytes((base + length,))
    size = length.to_bytes((length.bit_length() + 7) >> 3, "big")
    return bytes((base + 55 + len(size),)) + size


# ---- protobuf, writing

_MASK64: Final = (1 << 64) - 1


def encode_uvarint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def proto_integer(field: int, value: int) -> bytes:
    """Any integer type or enum: left out if 0; a negative number as 64-bit two's complement."""
    return encode_uvarint(field << 3) + encode_uvarint(value & _MASK64) if value else b""


def proto_sfixed64(field: int, value: int) -> bytes:
    return encode_uvarint(field << 3 | 1) + struct.pack("<q", value) if value else b""


def proto_bytes(field: int, value: bytes) -> bytes:
    """bytes and string: left out if empty."""
    return encode_uvarint(field << 3 | 2) + encode_uvarint(len(value)) + value if value else b""


def proto_message(field: int, encoded: bytes) -> bytes:
    """An embedded message or repeated element: written even when empty."""
    return encode_uvarint(field << 3 | 2) + encode_uvarint(len(encoded)) + encoded


def encode_timestamp(time_ns: int) -> bytes:
    """google.protobuf.Timestamp of nanoseconds since the epoch (may be negative)."""
    seconds, nanos = divmod(time_ns, 1_000_000_000)
    return proto_integer(1, seconds) + proto_integer(2, nanos)


# ---- protobuf, reading

ProtoFields = dict[int, list[int | bytes]]


def decode_proto(data: bytes, name: str, max_fields: int = 64) -> ProtoFields:
    """Field number to values, in order of appearance; varints as unsigned ints, the rest as bytes.

    Raises DecodeError: proto.truncated, proto.bad_wire_type, proto.too_many_fields. Whether the form was the
    canonical one is found by `require_canonical`.
    """
    fields: ProtoFields = {}
    position, count, end = 0, 0, len(data)
    while position < end:
        count += 1
        if count > max_fields:
            raise DecodeError("proto.too_many_fields", f"{name} has too many fields", count, max_fields)
        tag, position = _read_uvarint(data, position, name)
        wire_type = tag & 7
        value: int | bytes
        if wire_type == 0:
            value, position = _read_uvarint(data, position, name)
        elif wire_type == 2:
            length, position = _read_uvarint(data, position, name)
            value = data[position : position + length]
            position += length
        elif wire_type == 1:
            value = data[position : position + 8]
            position += 8
        else:
            raise DecodeError("proto.bad_wire_type", f"{name} has an unknown wire type", wire_type)
        if position > end:
            raise DecodeError("proto.truncated", f"{name} ends inside a field")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _read_uvarint(data: bytes, position: int, name: str) -> tuple[int, int]:
    result = shift = 0
    while True:
        if position >= len(data):
            raise DecodeError("proto.truncated", f"{name} ends inside a number")
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 63:
            raise DecodeError("proto.varint_too_long", f"{name} has a number of more than 64 bits")
    if result > _MASK64:
        raise DecodeError("proto.varint_too_long", f"{name} has a number of more than 64 bits")
    return result, position


def field_integer(fields: ProtoFields, field: int, name: str, *, signed: bool = True) -> int:
    value = _single(fields, field, name)
    if value is None:
        return 0
    if not isinstance(value, int):
        raise DecodeError("proto.bad_wire_type", f"{name} must be a number")
    return value - (1 << 64) if signed and value >> 63 else value


def field_bytes(fields: ProtoFields, field: int, name: str) -> bytes:
    value = _single(fields, field, name)
    if value is None:
        return b""
    if not isinstance(value, bytes):
        raise DecodeError("proto.bad_wire_type", f"{name} must be bytes")
    return value


def field_repeated(fields: ProtoFields, field: int, name: str) -> list[bytes]:
    values: list[bytes] = []
    for value in fields.get(field, []):
        if not isinstance(value, bytes):
            raise DecodeError("proto.bad_wire_type", f"{name} must be bytes")
        values.append(value)
    return values


def _single(fields: ProtoFields, field: int, name: str) -> int | bytes | None:
    values = fields.get(field)
    if values is None:
        return None
    if len(values) != 1:
        raise DecodeError("proto.repeated_field", f"{name} stands more than once", len(values), 1)
    return values[0]


def decode_timestamp(data: bytes, name: str) -> int:
    fields = decode_proto(data, name)
    seconds = field_integer(fields, 1, name)
    nanos = field_integer(fields, 2, name)
    if not 0 <= nanos < 1_000_000_000:
        raise DecodeError("proto.bad_time", f"{name} has nanoseconds out of range", nanos)
    return seconds * 1_000_000_000 + nanos


def require_canonical(encoded: bytes, original: bytes, name: str) -> None:
    """One value, one form: the re-encoded message must be what was read."""
    if encoded != original:
        raise DecodeError("proto.not_canonical", f"{name} is not in its canonical form")


# ---- JSON


def encode_canonical_json(value: object) -> bytes:
    """Sorted keys, no spaces, UTF-8 without escaping: the bytes that are hashed."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def decode_strict_json(data: bytes, max_bytes: int) -> object:
    """JSON of objects, lists, strings, ints, bools and nulls: no floats, no repeated keys, bounded depth.

    Every string is Unicode text, so what comes back can be encoded again. Time is linear in the size.
    Raises DecodeError: json.too_large, json.too_deep, json.malformed, json.repeated_key, json.float,
    json.not_unicode.
    """
    if len(data) > max_bytes:
        raise DecodeError("json.too_large", "the JSON text is too large", len(data), max_bytes)
    _check_json_depth(data)
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique_keys,
            parse_float=_refuse_float,
            parse_constant=_refuse_float,
        )
        if _SURROGATE_ESCAPE.search(data):
            encode_canonical_json(value)
    except DecodeError:
        raise
    except UnicodeEncodeError:
        raise DecodeError("json.not_unicode", "an escape stands for half a character") from None
    except (ValueError, RecursionError) as error:
        raise DecodeError("json.malformed", f"not JSON: {error}") from None
    return value


def _check_json_depth(data: bytes) -> None:
    # The parser recurses, so depth is measured before it runs. Brackets inside strings do not nest: escapes
    # are dropped, then every other piece between quotes is a string. (An escape outside a string ends the
    # parser there.) Each round removes the innermost pairs; no step looks at a byte twice.
    if data.count(b"[") + data.count(b"{") <= MAX_JSON_DEPTH:
        return
    plain = _JSON_ESCAPE.sub(b"", data) if b"\\" in data else data
    brackets = b"".join(plain.split(b'"')[::2]).translate(_BRACES_TO_BRACKETS, _ALL_BUT_BRACKETS)
    for _ in range(MAX_JSON_DEPTH):
        if not brackets:
            return
        brackets = brackets.replace(b"[]", b"")
    if b"[]" in brackets or brackets.count(b"[") > MAX_JSON_DEPTH:
        raise DecodeError("json.too_deep", "the JSON text is nested too deeply", None, MAX_JSON_DEPTH)


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result: dict[str, object] = {}
    for key, value in pairs:
        if key in result:
            raise DecodeError("json.repeated_key", "a key stands twice in one object", key)
        result[key] = value
    return result


def _refuse_float(text: str) -> object:
    raise DecodeError("json.float", "only whole numbers are allowed", text)
