"""A trie built in pieces is the trie that one update makes, whatever its keys are."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from node.chain.encoding import keccak256
from node.state import building, trie
from node.state.building import TrieBuilder
from node.state.nodes import EMPTY_ROOT, malformed

SHAPES = {
    "nothing": lambda chance: [],
    "one key": lambda chance: [chance.randbytes(32)],
    "two keys that differ in the last digit": lambda chance: [bytes(31) + b"\x00", bytes(31) + b"\x01"],
    "hashes": lambda chance: [keccak256(bytes([number % 256, number // 256])) for number in range(900)],
    "keys under one first byte": lambda chance: [b"\x07" + chance.randbytes(31) for _ in range(200)],
    "long common beginnings": lambda chance: [
        bytes([first] * 20) + chance.randbytes(12) for first in range(0, 256, 17) for _ in range(5)
    ],
    "every first byte once": lambda chance: [bytes([first]) + chance.randbytes(31) for first in range(256)],
}


@pytest.mark.parametrize("in_memory", [5, 64, 1 << 15])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_trie_of_one_update(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: int, shape: str, seed: int
) -> None:
    monkeypatch.setattr(building, "IN_MEMORY", in_memory)
    monkeypatch.setattr(building, "_BUFFER", 150)
    chance = random.Random(seed)
    keys = list(dict.fromkeys(SHAPES[shape](chance)))
    chance.shuffle(keys)
    items = {key: chance.randbytes(chance.choice([1, 2, 33, 100])) or b"\x01" for key in keys}
    nodes: dict[bytes, bytes] = {}
    builder = TrieBuilder(nodes.update, tmp_path)
    for key, value in items.items():
        builder.put(key, value)
    root = builder.root()
    expected = trie.update(_nothing, EMPTY_ROOT, dict(items))
    assert root == expected.root
    assert nodes == expected.nodes, "no node too few, and none left over from a step on the way"
    assert list(tmp_path.iterdir()) == []


def _nothing(node_hash: bytes) -> bytes:
    raise malformed(node_hash)
