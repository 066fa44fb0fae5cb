"""Mutators that know a structure: RLP, protobuf and JSON.

Random bytes rarely get past the first length prefix. These take an input apart, change one place of its
structure and put it together again, so that the lengths around the change are right; now and then they
break a length or the canonical form on purpose. Every choice follows from the `Random` that is passed in.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

import rlp

Havoc = Callable[[bytes], bytes]
"""Changes bytes without knowing what they mean: libFuzzer's own mutations, or `flip_bytes`."""
Mutate = Callable[[bytes, Random, Havoc], bytes]

NUMBERS = tuple(
    sorted(
        {
            0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x100, *(1 << bits for bits in (31, 32, 48, 53, 63, 64, 255, 256)),
            *((1 << bits) - 1 for bits in (31, 32, 48, 53, 63, 64, 256)),
        }
    )
)  # fmt: skip
_LEAVES = (
    b"", b"\x00", b"\x00\x01", b"\x01\x00", b"\x7f", b"\x80", b"\xff", bytes(20), bytes(32), b"\xff" * 32,
    b"\x01" * 33, bytes(55), bytes(56), *(n.to_bytes((n.bit_length() + 7) // 8 or 1, "big") for n in NUMBERS),
)  # fmt: skip
_TEXTS = (
    "", "0x", "0x0", "0x00", "0x1", "0X1", "0x٣", "٣", "1_0", "+1", "-1", " 1", "1e999", "NaN", "\x00",
    "\ud800", "中",
    "latest", "pending", "earliest", "0x" + "0" * 40, "0x" + "f" * 64, "0x" + "f" * 65, "0x" + "1" * 5_000,
    "9" * 5_000,
)  # fmt: skip


def flip_bytes(random: Random) -> Havoc:
    """Changes of a few bytes at one place: replace, insert, remove, repeat."""

    def havoc(data: bytes) -> bytes:
        place, count = random.randrange(len(data) + 1), random.randrange(1, 5)
        kind = random.randrange(5)
        if kind == 0:
            return data[:place] + data[place + count :]
        if kind == 1:
            return data[:place] + random.randbytes(count) + data[place:]
        if kind == 2:
            return data[:place] + data[place : place + 4 * count] * 2 + data[place + 4 * count :]
        if kind == 3 and place < len(data):
            return data[:place] + bytes((data[place] ^ 1 << random.randrange(8),)) + data[place + 1 :]
        return data[:place] + random.randbytes(count) + data[place + count :]

    return havoc


# ---- RLP, with or without a byte before it


def mutate_rlp(data: bytes, random: Random, havoc: Havoc) -> bytes:
    """`data` is an RLP list, or one byte and an RLP list."""
    chance = random.random()
    if not data or chance < 0.25:
        return havoc(data)
    start = 0 if data[0] >= 0xC0 else 1
    try:
        tree = rlp.decode(data[start:], strict=False)
    except (rlp.exceptions.RLPException, RecursionError, OverflowError):
        return havoc(data)
    head = data[:start]
    if start and random.random() < 0.04:
        head = bytes((random.choice((0, 1, 2, 3, 4, 5, 0x49, 0x7F)),))
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        tree = _change_item(tree, random, havoc)
    try:
        encoded = rlp.encode(tree)
    except RecursionError:
        return havoc(data)
    if chance > 0.96:
        return head + encoded[: random.randrange(len(encoded) + 1)]
    if chance > 0.93:
        return head + _longer_prefix(encoded, random)
    if chance > 0.91:
        return head + encoded + random.randbytes(random.randrange(1, 3))
    return head + encoded


def _change_item(tree: Any, random: Random, havoc: Havoc) -> Any:
    if isinstance(tree, bytes):
        return _change_leaf(tree, random, havoc)
    items = list(tree)
    if items and random.random() < 0.75:
        place = random.randrange(len(items))
        items[place] = _change_item(items[place], random, havoc)
        return items
    place = random.randrange(len(items) + 1)
    other = random.randrange(len(items) + 1)
    kind = random.randrange(7)
    if kind == 0:
        del items[place : place + 1]
    elif kind == 1:
        items[place:place] = items[other : other + 1]
    elif kind == 2 and place < len(items) and other < len(items):
        items[place], items[other] = items[other], items[place]
    elif kind == 3:
        items.insert(place, random.choice(_LEAVES))
    elif kind == 4:
        items.insert(place, [])
    elif kind == 5:
        items[place : place + 1] = items[place : place + 1] * random.randrange(2, 70)
    else:
        return rlp.encode(items) if random.random() < 0.5 else [items]
    return items


def _change_leaf(leaf: bytes, random: Random, havoc: Havoc) -> Any:
    kind = random.randrange(6)
    if kind == 0:
        return random.choice(_LEAVES)
    if kind == 1:
        return leaf[: random.randrange(len(leaf) + 1)]
    if kind == 2:
        number = int.from_bytes(leaf[-40:], "big") + random.choice((-1, 1, 1 << 8, 1 << 64))
        return max(number, 0).to_bytes((max(number, 0).bit_length() + 7) // 8, "big")
    if kind == 3 and random.random() < 0.2:
        return [leaf]
    return havoc(leaf)


def _longer_prefix(encoded: bytes, random: Random) -> bytes:
    """The outer length in a form that is longer than it need be, or claims more than there is."""
    if encoded[0] < 0xC0:
        return b"\x81" + encoded
    size = 0 if encoded[0] <= 0xF7 else encoded[0] - 0xF7
    length = len(encoded) - 1 - size
    if random.random() < 0.3:
        length = random.choice(NUMBERS) & ((1 << 64) - 1)
    width = random.randrange(max(1, (length.bit_length() + 7) // 8), 9)
    return bytes((0xF7 + width,)) + length.to_bytes(width, "big") + encoded[1 + size :]


# ---- protobuf, after one byte that says which message


_Field = tuple[int, int, Any]
"""(field number, wire type, an int, bytes, or the fields of an embedded message)."""


def mutate_proto(data: bytes, random: Random, havoc: Havoc) -> bytes:
    """`data` is one byte and a protobuf message."""
    chance = random.random()
    if len(data) < 2 or chance < 0.25:
        return havoc(data)
    fields = _parse_proto(data[1:], 0)
    if fields is None:
        return havoc(data)
    head = data[:1]
    if random.random() < 0.04:
        head = bytes((random.randrange(12),))
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        fields = _change_fields(fields, random, havoc)
    encoded = _encode_proto(fields, random if chance > 0.92 else None)
    return head + (encoded[: random.randrange(len(encoded) + 1)] if chance > 0.97 else encoded)


def _parse_proto(data: bytes, depth: int) -> list[_Field] | None:
    fields: list[_Field] = []
    position = 0
    while position < len(data):
        tag, position = _read_varint(data, position)
        value: Any
        if tag & 7 == 0:
            value, position = _read_varint(data, position)
        elif tag & 7 == 2:
            length, position = _read_varint(data, position)
            value = data[position : position + length]
            position += length
            if position <= len(data) and depth < 5 and value:
                value = _parse_proto(value, depth + 1) or value
        elif tag & 7 == 1:
            value = data[position : position + 8]
            position += 8
        else:
            return None
        if not 0 < position <= len(data) or tag < 8 or tag >> 3 > 64:
            return None
        fields.append((tag >> 3, tag & 7, value))
    return fields


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    """(value, next position); a position behind the end if the number has none."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    return 0, len(data) + 1


def _change_fields(fields: list[_Field], random: Random, havoc: Havoc) -> list[_Field]:
    fields = list(fields)
    if fields and random.random() < 0.75:
        place = random.randrange(len(fields))
        number, wire, value = fields[place]
        if isinstance(value, list):
            value = _change_fields(value, random, havoc)
        elif isinstance(value, bytes):
            value = _change_leaf(value, random, havoc)
            value = value if isinstance(value, bytes) else b""
        else:
            value = random.choice((*NUMBERS, value + 1, max(value - 1, 0), (1 << 64) - value & (1 << 64) - 1))
        fields[place] = (number, wire, value)
        return fields
    place = random.randrange(len(fields) + 1)
    other = random.randrange(len(fields) + 1)
    kind = random.randrange(6)
    if kind == 0:
        del fields[place : place + 1]
    elif kind == 1:
        fields[place:place] = fields[other : other + 1]
    elif kind == 2 and place < len(fields) and other < len(fields):
        fields[place], fields[other] = fields[other], fields[place]
    elif kind == 3:
        fields.insert(place, (random.randrange(17), 0, random.choice(NUMBERS)))
    elif kind == 4:
        fields.insert(place, (random.randrange(17), random.choice((1, 2, 5)), random.choice(_LEAVES)))
    elif place < len(fields):
        number, wire, value = fields[place]
        fields[place] = (random.randrange(17), wire, value)
    return fields


def _encode_proto(fields: list[_Field], sloppy: Random | None) -> bytes:
    out = bytearray()
    for number, wire, value in fields:
        out += _varint(number << 3 | wire, sloppy)
        if isinstance(value, int):
            out += _varint(value, sloppy)
            continue
        payload = _encode_proto(value, sloppy) if isinstance(value, list) else value
        if wire == 2:
            out += _varint(len(payload), sloppy)
        out += payload
    return bytes(out)


def _varint(value: int, sloppy: Random | None) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    if sloppy is not None and sloppy.random() < 0.2:
        return bytes(out) + bytes((value | 0x80, 0))
    return bytes(out) + bytes((value,))


# ---- JSON


def mutate_json(data: bytes, random: Random, havoc: Havoc) -> bytes:
    """`data` is a JSON text."""
    chance = random.random()
    if not data or chance < 0.25:
        return havoc(data)
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return havoc(data)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        tree = _change_value(tree, random, havoc, 0)
    try:
        text = json.dumps(
            tree, separators=(",", ":"), ensure_ascii=random.random() < 0.3, sort_keys=chance < 0.7
        )
    except (ValueError, RecursionError):
        return havoc(data)
    encoded = text.encode("utf-8", "surrogatepass")
    if chance > 0.97:
        return havoc(encoded)
    if chance > 0.95:
        return _repeat_member(encoded, random)
    if chance > 0.93:
        return encoded.replace(b"\\u", b"\\U") if b"\\u" in encoded else encoded.replace(b":", b" : ")
    return encoded


def _change_value(value: Any, random: Random, havoc: Havoc, depth: int) -> Any:
    if isinstance(value, dict) and value and random.random() < 0.85:
        key = random.choice(list(value))
        if random.random() < 0.8:
            return {**value, key: _change_value(value[key], random, havoc, depth + 1)}
        kind = random.randrange(3)
        changed = {name: one for name, one in value.items() if name != key}
        if kind == 1:
            changed[random.choice(_TEXTS)] = value[key]
        elif kind == 2:
            changed = {**value, random.choice(_TEXTS + tuple(value)): random.choice((None, 1, "0x", [], {}))}
        return changed
    if isinstance(value, list) and value and random.random() < 0.85:
        items = list(value)
        place = random.randrange(len(items))
        if random.random() < 0.75:
            items[place] = _change_value(items[place], random, havoc, depth + 1)
            return items
        kind = random.randrange(4)
        if kind == 0:
            del items[place]
        elif kind == 1:
            items.insert(place, random.choice(items))
        elif kind == 2:
            items.append(random.choice((None, True, 0, "latest", {}, [])))
        else:
            items[place : place + 1] = [items[place]] * random.randrange(2, 40)
        return items
    if isinstance(value, str) and random.random() < 0.6:
        return _change_text(value, random, havoc)
    if isinstance(value, int) and random.random() < 0.5:
        return value + random.choice((-1, 1, 1 << 31, 1 << 63, 1 << 64))
    kind = random.randrange(9)
    if kind == 0:
        return random.choice((None, True, False))
    if kind == 1:
        return random.choice(NUMBERS) * random.choice((1, -1))
    if kind == 2:
        return random.choice((0.0, 1.5, 1e300, -1e-300))
    if kind == 3:
        return [value] if depth < 40 else value
    if kind == 4:
        return {"a": value} if depth < 40 else value
    if kind == 5:
        return hex(random.choice(NUMBERS))
    return random.choice(_TEXTS)


def _change_text(text: str, random: Random, havoc: Havoc) -> str:
    kind = random.randrange(5)
    if kind == 0:
        return random.choice(_TEXTS)
    if kind == 1:
        return text.upper()
    if kind == 2:
        return text[: random.randrange(len(text) + 1)]
    if kind == 3 and text.startswith("0x"):
        try:
            return "0x" + havoc(bytes.fromhex(text[2:])).hex()
        except ValueError:
            return text + "0"
    return havoc(text.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")


def _repeat_member(encoded: bytes, random: Random) -> bytes:
    """The first member of some object once more."""
    start = encoded.find(b"{", random.randrange(len(encoded) + 1))
    end = encoded.find(b",", start)
    if start < 0 or end < 0:
        return encoded
    return encoded[: end + 1] + encoded[start + 1 : end + 1] + encoded[end + 1 :]
