"""The Merkle tree of CometBFT: RFC 6962 with SHA-256.

A leaf hashes as sha256(0x00 || leaf), an inner node as sha256(0x01 || left || right), no leaves as
sha256(""). With n leaves the left subtree takes the largest power of two below n.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from node.chain.errors import ProofError

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
MAX_DEPTH: Final = 64


@dataclass(frozen=True, slots=True)
class MerkleProof:
    """That a leaf stands at `index` among `total`: `aunts` are the siblings from the leaf upwards."""

    index: int
    total: int
    aunts: tuple[bytes, ...]


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """The root over `leaves`, in order."""
    # Level by level an odd last node moves up unchanged: the same tree as the recursive definition.
    level = [hash_leaf(leaf) for leaf in leaves]
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:
        level = _next_level(level)
    return level[0]


def merkle_proof(leaves: Sequence[bytes], index: int) -> MerkleProof:
    """The path of the leaf at `index`. Raises IndexError for an index that is not there."""
    if not 0 <= index < len(leaves):
        raise IndexError(index)
    level = [hash_leaf(leaf) for leaf in leaves]
    position = index
    aunts = []
    while len(level) > 1:
        sibling = position ^ 1
        if sibling < len(level):
            aunts.append(level[sibling])
        level = _next_level(level)
        position >>= 1
    return MerkleProof(index, len(leaves), tuple(aunts))


def verify_merkle_proof(root: bytes, leaf: bytes, proof: MerkleProof) -> None:
    """Raises ProofError: merkle.bad_position, merkle.bad_path, merkle.wrong_root."""
    if not 0 <= proof.index < proof.total or proof.total >= 1 << MAX_DEPTH:
        raise ProofError("merkle.bad_position", "the leaf lies outside the tree", proof.index, proof.total)
    digest = hash_leaf(leaf)
    position, last = proof.index, proof.total - 1
    aunts = iter(proof.aunts)
    while last:
        if position < last or position & 1:
            aunt = next(aunts, None)
            if aunt is None or len(aunt) != 32:
                raise ProofError(
                    "merkle.bad_path", "the path is too short or holds something else than hashes"
                )
            digest = hash_inner(aunt, digest) if position & 1 else hash_inner(digest, aunt)
        position >>= 1
        last >>= 1
    if next(aunts, None) is not None:
        raise ProofError("merkle.bad_path", "the path is too long", len(proof.aunts))
    if digest != root:
        raise ProofError("merkle.wrong_root", "the path leads to another root", digest, root)


def hash_leaf(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + leaf).digest()


def hash_inner(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _next_level(level: list[bytes]) -> list[bytes]:
    above = [hash_inner(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    if len(level) & 1:
        above.append(level[-1])
    return above
