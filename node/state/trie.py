"""Merkle-Patricia tries: change many keys in one pass, read, prove, walk.

`update` sorts the changed keys, goes down the trie once and hashes every node that changes once, however many
of its keys change. Keys are hashes (keccak256 of an address or slot), all of one length; so no two nodes of
one trie are the same, and a node that an update leaves behind is not part of the new trie unless the update
also made it.

`Load` gives a node's RLP by its hash and raises LedgerError `state.trie_node_missing`; a node that is not
what the format allows raises `state.trie_node_malformed`. Source: Yellow Paper, appendix D.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from node.chain.encoding import keccak256, rlp_encode_bytes, rlp_encode_integer
from node.state.nodes import (
    EMPTY_REFERENCE,
    EMPTY_ROOT,
    decode_path,
    decode_string,
    encode_list,
    encode_path,
    malformed,
    split_node,
)

Load = Callable[[bytes], bytes]
"""Node RLP by hash."""

_DIGITS: Final = "0123456789abcdef"
_NUMBER: Final = {digit: number for number, digit in enumerate(_DIGITS)}

_NOTHING_KNOWN: Final[Mapping[bytes, bytes]] = MappingProxyType({})

_Change = tuple[str, bytes | None]
"""(key as hexadecimal digits, new value or None to delete)"""


@dataclass(frozen=True, slots=True)
class TrieChange:
    """Result of an update: the new root, nodes by hash that the old trie did not have, hashes it no longer
    has.
    """

    root: bytes
    nodes: Mapping[bytes, bytes]
    stale: tuple[bytes, ...]


def update(
    load: Load,
    root: bytes,
    changes: Mapping[bytes, bytes | None],
    before: Mapping[bytes, bytes] = _NOTHING_KNOWN,
) -> TrieChange:
    """Put `changes` (key -> value; None deletes, also what is not there) into the trie under `root`.

    Values may not be empty. Nothing is stored: the caller keeps `nodes`. `before` may tell what keys of
    `changes` hold now. A leaf that this describes is known by its hash and not loaded, which in a big trie is
    a third of all loads; where it does not, nothing is lost.
    """
    if not changes:
        return TrieChange(root, {}, ())
    items: list[_Change] = sorted((key.hex(), value) for key, value in changes.items())
    pass_ = _Update(load, {key.hex(): value for key, value in before.items()})
    reference = EMPTY_REFERENCE if root == EMPTY_ROOT else b"\xa0" + root
    reference = pass_.change(reference, items, 0, len(items), 0)
    if reference == EMPTY_REFERENCE:
        new_root = EMPTY_ROOT
    elif reference[0] == 0xA0:
        new_root = reference[1:]
    else:
        # A root is named by its hash even when it is shorter than a hash.
        new_root = keccak256(reference)
        pass_.created[new_root] = reference
    created, replaced = pass_.created, pass_.replaced
    for unchanged in created.keys() & replaced.keys():
        del created[unchanged], replaced[unchanged]
    return TrieChange(new_root, created, tuple(replaced))


def read(load: Load, root: bytes, key: bytes) -> bytes | None:
    """The value of `key`, or None."""
    path = key.hex()
    for _, items, position in _descend(load, root, path):
        if len(items) == 2:
            part, leaf = decode_path(items[0])
            if leaf:
                return decode_string(items[1]) if path[position:] == part else None
    return None


def prove(load: Load, root: bytes, key: bytes) -> tuple[bytes, ...]:
    """The nodes from the root towards `key`, as `eth_getProof` lists them (EIP-1186).

    They prove the value, or that there is none. Nodes shorter than 32 bytes are inside their parents and not
    listed; an empty trie has no nodes.
    """
    return tuple(
        node for node, _, position in _descend(load, root, key.hex()) if position == 0 or len(node) >= 32
    )


def leaves(load: Load, root: bytes) -> Iterator[tuple[bytes, bytes]]:
    """All (key, value), in key order."""
    for path, value in _walk_leaves(load, _root_reference(root), ""):
        yield bytes.fromhex(path), value


def hashes(load: Load, root: bytes) -> Iterator[bytes]:
    """The hashes of all nodes, parents before children."""
    if root != EMPTY_ROOT:
        yield root
        yield from _walk_hashes(load, load(root))


def ordered_root(values: Sequence[bytes]) -> bytes:
    """Root of the trie of `rlp(index) -> value`: Ethereum's transactionsRoot and receiptsRoot."""
    items: list[_Change] = sorted((rlp_encode_integer(i).hex(), value) for i, value in enumerate(values))
    if not items:
        return EMPTY_ROOT
    pass_ = _Update(_nothing, {})
    reference = pass_.build(items, 0, len(items), 0)
    return reference[1:] if reference[0] == 0xA0 else keccak256(reference)


class _Update:
    """One pass over a trie. `created` and `replaced` (used as an ordered set) collect nodes on the way."""

    __slots__ = ("_before", "_load", "created", "replaced")

    def __init__(self, load: Load, before: Mapping[str, bytes]) -> None:
        self._load = load
        self._before = before
        self.created: dict[bytes, bytes] = {}
        self.replaced: dict[bytes, None] = {}

    def change(self, reference: bytes, items: list[_Change], low: int, high: int, depth: int) -> bytes:
        """The reference to the subtree at `depth` after items[low:high], which all lie in it."""
        if reference == EMPTY_REFERENCE:
            live = [item for item in items[low:high] if item[1] is not None]
            return self.build(live, 0, len(live), depth)
        node = self._take(reference)
        if len(node) == 17:
            return self._change_branch(node, items, low, high, depth)
        path, leaf = decode_path(node[0])
        end = depth + len(path)
        key_length = len(items[low][0])
        if leaf:
            if end != key_length:
                raise malformed(reference)
            return self._change_leaf(path, node[1], items[low:high], depth)
        if end >= key_length or not path or node[1] == EMPTY_REFERENCE:
            raise malformed(reference)
        return self._change_extension(path, node[1], items[low:high], depth)

    def build(self, items: Sequence[_Change], low: int, high: int, depth: int) -> bytes:
        """The reference to a new subtree of items[low:high], without deletions, sorted, of distinct keys."""
        if low == high:
            return EMPTY_REFERENCE
        key, value = items[low]
        if high - low == 1:
            return self._short(key[depth:], True, rlp_encode_bytes(value or b""))
        last = items[high - 1][0]
        fork = depth
        while key[fork] == last[fork]:
            fork += 1
        children = [EMPTY_REFERENCE] * 16
        for number, start, stop in _groups(items, low, high, fork):
            children[number] = self.build(items, start, stop, fork + 1)
        branch = self._reference(b"".join(children) + EMPTY_REFERENCE)
        return self._short(key[depth:fork], False, branch) if fork > depth else branch

    def _change_branch(
        self, node: list[bytes], items: list[_Change], low: int, high: int, depth: int
    ) -> bytes:
        if depth >= len(items[low][0]) or node[16] != EMPTY_REFERENCE:
            raise malformed(b"".join(node))
        children = node[:16]
        # Below a branch without gaps there are hardly any leaves.
        sparse = EMPTY_REFERENCE in children
        emptied = False
        for number, start, stop in _groups(items, low, high, depth):
            child = children[number]
            if sparse and stop - start == 1 and self._take_known_leaf(child, items[start][0], depth + 1):
                child = EMPTY_REFERENCE
            child = self.change(child, items, start, stop, depth + 1)
            children[number] = child
            emptied = emptied or child == EMPTY_REFERENCE
        return self._branch(children) if emptied else self._reference(b"".join(children) + EMPTY_REFERENCE)

    def _change_leaf(self, path: str, value: bytes, items: list[_Change], depth: int) -> bytes:
        key = items[0][0][:depth] + path
        live = [item for item in items if item[1] is not None]
        if all(item[0] != key for item in items):
            live.append((key, decode_string(value)))
            live.sort()
        return self.build(live, 0, len(live), depth)

    def _change_extension(self, path: str, child: bytes, items: list[_Change], depth: int) -> bytes:
        end = depth + len(path)
        # A deletion that leaves the path deletes nothing; without it the extension often stays as it is.
        items = [item for item in items if item[1] is not None or item[0][depth:end] == path]
        if not items:
            return self._short(path, False, child)
        first, last = items[0][0][depth:end], items[-1][0][depth:end]
        if first == path == last:
            return self._prepend(path, self.change(child, items, 0, len(items), end))
        fork = 0
        while first[fork] == path[fork] == last[fork]:
            fork += 1
        children = [EMPTY_REFERENCE] * 16
        children[_NUMBER[path[fork]]] = self._prepend(path[fork + 1 :], child)
        for number, start, stop in _groups(items, 0, len(items), depth + fork):
            children[number] = self.change(children[number], items, start, stop, depth + fork + 1)
        return self._prepend(path[:fork], self._branch(children))

    def _branch(self, children: list[bytes]) -> bytes:
        """A branch, or what is left of it: with one child it becomes part of the child's path."""
        live = [number for number in range(16) if children[number] != EMPTY_REFERENCE]
        if len(live) > 1:
            return self._reference(b"".join(children) + EMPTY_REFERENCE)
        return self._prepend(_DIGITS[live[0]], children[live[0]]) if live else EMPTY_REFERENCE

    def _take_known_leaf(self, reference: bytes, key: str, depth: int) -> bool:
        """Whether the node is the leaf that `before` describes; if so it counts as replaced."""
        value = self._before.get(key)
        if value is None or reference[0] != 0xA0:
            return False
        leaf = encode_list(rlp_encode_bytes(encode_path(key[depth:], True)) + rlp_encode_bytes(value))
        node_hash = reference[1:]
        if keccak256(leaf) != node_hash:
            return False
        if self.created.pop(node_hash, None) is None:
            self.replaced[node_hash] = None
        return True

    def _prepend(self, path: str, reference: bytes) -> bytes:
        """`path` in front of a subtree; two short nodes in a row are merged into one."""
        if reference == EMPTY_REFERENCE or not path:
            return reference
        if len(self._look(reference)) == 17:
            return self._short(path, False, reference)
        node = self._take(reference)
        rest, leaf = decode_path(node[0])
        return self._short(path + rest, leaf, node[1])

    def _short(self, path: str, leaf: bool, item: bytes) -> bytes:
        return self._reference(rlp_encode_bytes(encode_path(path, leaf)) + item)

    def _reference(self, payload: bytes) -> bytes:
        node = encode_list(payload)
        if len(node) < 32:
            return node
        node_hash = keccak256(node)
        self.created[node_hash] = node
        return b"\xa0" + node_hash

    def _look(self, reference: bytes) -> list[bytes]:
        if reference[0] != 0xA0:
            return split_node(reference)
        node_hash = reference[1:]
        return split_node(self.created.get(node_hash) or self._load(node_hash))

    def _take(self, reference: bytes) -> list[bytes]:
        """The items of a node that is about to be replaced."""
        if reference[0] != 0xA0:
            return split_node(reference)
        node_hash = reference[1:]
        node = self.created.pop(node_hash, None)
        if node is None:
            node = self._load(node_hash)
            self.replaced[node_hash] = None
        return split_node(node)


def _groups(items: Sequence[_Change], low: int, high: int, depth: int) -> Iterator[tuple[int, int, int]]:
    """(digit, start, stop) of the runs in items[low:high] that share the digit at `depth`."""
    while low < high:
        digit = items[low][0][depth]
        stop = low + 1
        while stop < high and items[stop][0][depth] == digit:
            stop += 1
        yield _NUMBER[digit], low, stop
        low = stop


def _root_reference(root: bytes) -> bytes:
    return EMPTY_REFERENCE if root == EMPTY_ROOT else b"\xa0" + root


def _follow(load: Load, reference: bytes) -> bytes:
    """The node that a reference which is not empty names."""
    if reference[0] == 0xA0 and len(reference) == 33:
        return load(reference[1:])
    if reference[0] < 0xC0:
        raise malformed(reference)
    return reference


def _descend(load: Load, root: bytes, path: str) -> Iterator[tuple[bytes, list[bytes], int]]:
    """The nodes from the root along `path`, as far as they go: (node, its items, path digits above it)."""
    reference = _root_reference(root)
    position = 0
    while reference != EMPTY_REFERENCE:
        node = _follow(load, reference)
        items = split_node(node)
        yield node, items, position
        if len(items) == 17:
            if position >= len(path):
                raise malformed(node)
            reference = items[_NUMBER[path[position]]]
            position += 1
            continue
        part, leaf = decode_path(items[0])
        if leaf or not path.startswith(part, position):
            return
        if not part or items[1] == EMPTY_REFERENCE:
            raise malformed(node)
        position += len(part)
        reference = items[1]


def _walk_leaves(load: Load, reference: bytes, path: str) -> Iterator[tuple[str, bytes]]:
    if reference == EMPTY_REFERENCE:
        return
    items = split_node(_follow(load, reference))
    if len(items) == 17:
        for digit, child in zip(_DIGITS, items, strict=False):
            yield from _walk_leaves(load, child, path + digit)
        return
    part, leaf = decode_path(items[0])
    if leaf:
        yield path + part, decode_string(items[1])
    else:
        yield from _walk_leaves(load, items[1], path + part)


def _walk_hashes(load: Load, node: bytes) -> Iterator[bytes]:
    items = split_node(node)
    if len(items) == 2 and decode_path(items[0])[1]:
        return
    for child in items[:16] if len(items) == 17 else items[1:]:
        if child == EMPTY_REFERENCE:
            continue
        if child[0] == 0xA0:
            yield child[1:]
        yield from _walk_hashes(load, _follow(load, child))


def _nothing(node_hash: bytes) -> bytes:
    raise malformed(node_hash)
