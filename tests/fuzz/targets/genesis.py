"""A genesis file: refused with a documented GenesisError, or one genesis with one hash.

What is accepted, encoded and read again is the same genesis; the hash is that of the canonical text, the
chain id follows from it; the standard library's parser reads the same document.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from node.chain.errors import GenesisError
from node.chain.genesis import decode_genesis, encode_genesis
from tests.fuzz.mutators import mutate_json as mutate
from tests.fuzz.refusals import check_refusal
from tests.helpers.ledger import make_genesis

__all__ = ["mutate", "one_input", "seeds"]


def one_input(data: bytes) -> None:
    try:
        genesis = decode_genesis(data)
    except GenesisError as error:
        check_refusal(error)
        return
    document = json.loads(data)
    document.pop("evm_chain_id", None)
    assert json.loads(genesis.canonical) == document
    assert genesis.hash == hashlib.sha256(genesis.canonical).digest()
    assert genesis.evm_chain_id == 1 + (int.from_bytes(genesis.hash[:8], "big") >> 13) < 1 << 52
    assert decode_genesis(encode_genesis(genesis)) == genesis


def seeds() -> Iterator[bytes]:
    whole = json.loads(make_genesis([]).canonical)
    small = {**whole, "alloc": [], "calls": [{"to": "0x" + "51" * 20, "data": "0x0102"}]}
    yield json.dumps(small, ensure_ascii=False).encode()
    yield json.dumps({**small, "purpose": "production", "systems": ["sharing"], "relying_parties": [
        {**small["relying_parties"][0], "localhost_any_port": True}]}).encode()  # fmt: skip
    yield encode_genesis(decode_genesis(json.dumps(small).encode()))
    yield b'{"format":"shelian-genesis/1"}'
