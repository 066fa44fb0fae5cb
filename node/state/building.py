"""Building a trie of any number of keys from nothing, in memory that does not grow with it.

Keys come in any order. Few are sorted in memory. Many are first laid out in files by their first byte, and
the trie is then built from one file after the other: since each holds the next range of keys, a step changes
no node but those on the right edge, which the step before has made. So each node is hashed about once and
nothing is read back but the files.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from node.state import trie
from node.state.nodes import EMPTY_ROOT, malformed

IN_MEMORY: Final = 1 << 15
"""Keys; some 800 bytes each while their nodes are made."""

_BUFFER: Final = 1 << 16
"""Bytes of one of the 256 files that are held back before they are written."""

AddNodes = Callable[[Mapping[bytes, bytes]], None]
"""Keeps nodes, by hash."""


class TrieBuilder:
    """`put` every key once, then take the `root`. Files go to `scratch`, a directory that is there."""

    __slots__ = ("_add_nodes", "_buffers", "_items", "_scratch")

    def __init__(self, add_nodes: AddNodes, scratch: Path) -> None:
        self._add_nodes = add_nodes
        self._scratch = scratch
        self._items: dict[bytes, bytes | None] = {}
        self._buffers: list[bytearray] | None = None

    def put(self, key: bytes, value: bytes) -> None:
        """`key` of 32 bytes, not put before; `value` of 1 to 255. OSError."""
        if self._buffers is not None:
            self._lay_out(self._buffers, key, value)
            return
        self._items[key] = value
        if len(self._items) > IN_MEMORY:
            self._buffers = [bytearray() for _ in range(256)]
            for held, held_value in self._items.items():
                self._lay_out(self._buffers, held, held_value or b"")
            self._items = {}

    def root(self) -> bytes:
        """The root of the whole trie; all its nodes were added. OSError."""
        root = EMPTY_ROOT
        edge: dict[bytes, bytes] = {}
        for items in self._ranges():
            change = trie.update(_loader(edge), root, items)
            for replaced in change.stale:
                del edge[replaced]
            self._add_nodes(edge)
            root, edge = change.root, dict(change.nodes)
        self._add_nodes(edge)
        return root

    def _ranges(self) -> Iterator[Mapping[bytes, bytes | None]]:
        if self._buffers is None:
            if self._items:
                yield self._items
            return
        for first, buffer in enumerate(self._buffers):
            file = self._file(first)
            with contextlib.suppress(FileNotFoundError):
                buffer[:0] = file.read_bytes()
                file.unlink()
            if buffer:
                yield dict(_split(buffer))
            buffer.clear()

    def _lay_out(self, buffers: list[bytearray], key: bytes, value: bytes) -> None:
        buffer = buffers[key[0]]
        buffer += key
        buffer.append(len(value))
        buffer += value
        if len(buffer) > _BUFFER:
            with self._file(key[0]).open("ab") as file:
                file.write(buffer)
            buffer.clear()

    def _file(self, first: int) -> Path:
        return self._scratch / f"keys-{first:02x}"


def _split(raw: bytearray) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(raw):
        end = at + 33 + raw[at + 32]
        yield bytes(raw[at : at + 32]), bytes(raw[at + 33 : end])
        at = end


def _loader(edge: Mapping[bytes, bytes]) -> trie.Load:
    def load(node_hash: bytes) -> bytes:
        node = edge.get(node_hash)
        if node is None:
            raise malformed(node_hash)
        return node

    return load
