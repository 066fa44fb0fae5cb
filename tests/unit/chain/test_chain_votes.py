"""A vote is taken if and only if CometBFT takes it; a transaction's signature only in its one strict form."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace

import pytest
from chain_recordings import VECTORS
from nacl import bindings
from nacl.signing import SigningKey

from node.chain.commit import PRECOMMIT, verify_commit, vote_sign_bytes
from node.chain.errors import ProofError, SignatureRefused
from node.chain.light_block import check_block
from node.chain.schemes.ed25519 import verify_ed25519
from node.chain.schemes.zip215 import verify_vote_signature
from tests.helpers.light_chain import CHAIN_NAME, chain, signing_key

SMALL_ORDER = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
FOUR = {1: 10, 2: 10, 3: 10, 4: 10}


def takes(verify: object, *arguments: bytes) -> bool:
    assert callable(verify)
    try:
        verify(*arguments)
    except SignatureRefused:
        return False
    return True


def test_votes_are_taken_exactly_where_cometbft_takes_them() -> None:
    counts: Counter[tuple[bool, bool]] = Counter()
    for *encoded, taken in json.loads((VECTORS / "signatures.json").read_text()):
        key, message, signature = map(bytes.fromhex, encoded)
        assert takes(verify_vote_signature, key, message, signature) == taken, encoded
        counts[taken, takes(verify_ed25519, key, message, signature)] += 1
    assert counts[True, False] > 200, "most that CometBFT takes are in odd forms"
    assert counts[False, False] > 200
    assert counts[False, True] == 0, "nothing is taken for a transaction that is none for a vote"


def odd_signature(key: SigningKey, message: bytes) -> bytes:
    """By the owner of the key, with a component of small order in R."""
    digest = bytearray(hashlib.sha512(bytes(key)).digest()[:32])
    digest[0] &= 248
    digest[31] = digest[31] & 127 | 64
    reduce = bindings.crypto_core_ed25519_scalar_reduce
    secret = reduce(bytes(digest) + bytes(32))
    nonce = reduce(hashlib.sha512(b"nonce" + message).digest())
    r = bindings.crypto_core_ed25519_add(bindings.crypto_scalarmult_ed25519_base_noclamp(nonce), SMALL_ORDER)
    challenge = reduce(hashlib.sha512(r + bytes(key.verify_key) + message).digest())
    product = bindings.crypto_core_ed25519_scalar_mul(challenge, secret)
    return r + bindings.crypto_core_ed25519_scalar_add(nonce, product)


def test_one_validator_cannot_make_a_final_block_unprovable() -> None:
    block = chain([FOUR], absent={1: [2]})[0]
    commit = block.commit
    place = next(
        place
        for place, one in enumerate(block.validators)
        if one.public_key == bytes(signing_key(1).verify_key)
    )
    entry = commit.signatures[place]
    message = vote_sign_bytes(PRECOMMIT, CHAIN_NAME, 1, commit.round, commit.block_id, entry.time_ns)
    odd = replace(entry, signature=odd_signature(signing_key(1), message))
    entries = (*commit.signatures[:place], odd, *commit.signatures[place + 1 :])
    changed = replace(commit, signatures=entries)
    with pytest.raises(SignatureRefused):
        verify_ed25519(bytes(signing_key(1).verify_key), message, odd.signature)
    verify_commit(CHAIN_NAME, block.validators, commit.block_id, 1, changed)
    check_block(replace(block, commit=changed), CHAIN_NAME)
    # It is still a vote for this block and no other.
    spoilt = replace(odd, time_ns=odd.time_ns + 1)
    entries = (*commit.signatures[:place], spoilt, *commit.signatures[place + 1 :])
    with pytest.raises(ProofError, match=r"^commit[.]bad_signature:"):
        verify_commit(CHAIN_NAME, block.validators, commit.block_id, 1, replace(commit, signatures=entries))


@pytest.mark.parametrize(("key", "signature"), [(31, 64), (33, 64), (32, 63), (32, 65), (0, 0)])
def test_a_vote_has_a_key_of_32_bytes_and_a_signature_of_64(key: int, signature: int) -> None:
    assert not takes(verify_vote_signature, bytes(key), b"vote", bytes(signature))
