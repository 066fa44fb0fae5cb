"""The bytes of Merkle-Patricia nodes: RLP lists of 2 items (leaf, extension) or 17 (branch).

A *reference* to a child is the child's encoded RLP item inside its parent: 0x80 for none, 0xa0 and the hash
for a node of 32 bytes or more, the node itself for a shorter one. A path is a string of hexadecimal digits,
one a nibble. Source: Yellow Paper, appendices C and D.
"""

from __future__ import annotations

from typing import Final

from node.chain.encoding import keccak256
from node.chain.errors import LedgerError

EMPTY_REFERENCE: Final = b"\x80"
EMPTY_ROOT: Final = keccak256(EMPTY_REFERENCE)
"""Root of a trie without entries."""


def malformed(raw: bytes) -> LedgerError:
    return LedgerError("state.trie_node_malformed", "a trie node cannot be what its hash names", raw)


def split_list(raw: bytes) -> list[bytes]:
    """The encoded items of the one RLP list that fills `raw`. LedgerError `state.trie_node_malformed`."""
    total = len(raw)
    first = raw[0] if raw else 0
    if first < 0xC0:
        raise malformed(raw)
    if first < 0xF8:
        start, size = 1, first - 0xC0
    else:
        start = first - 0xF6
        size = int.from_bytes(raw[1:start], "big")
    if start + size != total:
        raise malformed(raw)
    items = []
    while start < total:
        first = raw[start]
        # In the order of how often they come: hash, empty or one byte, short string, the rest.
        if first == 0xA0:
            end = start + 33
        elif first <= 0x80:
            end = start + 1
        elif first < 0xB8:
            end = start + first - 0x7F
        elif first < 0xC0:
            body = start + first - 0xB6
            end = body + int.from_bytes(raw[start + 1 : body], "big")
        elif first < 0xF8:
            end = start + first - 0xBF
        else:
            body = start + first - 0xF6
            end = body + int.from_bytes(raw[start + 1 : body], "big")
        items.append(raw[start:end])
        start = end
    if start != total:
        raise malformed(raw)
    return items


def split_node(raw: bytes) -> list[bytes]:
    """The items of a node: 17 of a branch, 2 of a leaf or extension. LedgerError
    `state.trie_node_malformed`.
    """
    items = split_list(raw)
    if len(items) not in (2, 17):
        raise malformed(raw)
    return items


def encode_list(payload: bytes) -> bytes:
    """The RLP list of items that are encoded and joined already."""
    length = len(payload)
    if length < 56:
        return bytes((0xC0 + length,)) + payload
    if length < 256:
        return bytes((0xF8, length)) + payload
    size = length.to_bytes((length.bit_length() + 7) >> 3, "big")
    return bytes((0xF7 + len(size),)) + size + payload


def decode_string(item: bytes) -> bytes:
    """The bytes of an encoded string item, which `split_list` gave."""
    first = item[0]
    if first < 0x80:
        return item
    if first < 0xB8:
        return item[1:]
    if first < 0xC0:
        return item[first - 0xB6 :]
    raise malformed(item)


def encode_path(path: str, leaf: bool) -> bytes:
    """Hex-prefix form of a path (appendix C)."""
    if len(path) & 1:
        return bytes.fromhex(("3" if leaf else "1") + path)
    return bytes.fromhex(("20" if leaf else "00") + path)


def decode_path(item: bytes) -> tuple[str, bool]:
    """(path, is it a leaf's) of an encoded item; the inverse of `encode_path`."""
    digits = decode_string(item).hex()
    flag = digits[:1]
    if flag in ("1", "3"):
        return digits[1:], flag == "3"
    if digits[:2] in ("00", "20"):
        return digits[2:], flag == "2"
    raise malformed(item)
