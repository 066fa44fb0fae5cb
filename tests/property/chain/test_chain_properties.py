"""Properties of every byte format: what decodes re-encodes to the same bytes, the rest is refused."""

from __future__ import annotations

import rlp
from hypothesis import given, settings
from hypothesis import strategies as st
from trie import HexaryTrie

from node.chain.block import Block, decode_block, encode_block
from node.chain.commit import Commit, CommitSignature, decode_commit, encode_commit
from node.chain.encoding import decode_strict_json, encode_canonical_json, keccak256
from node.chain.errors import DecodeError, ProofError, SignatureRefused
from node.chain.header import BlockId, Header, decode_header, encode_header
from node.chain.merkle import hash_inner, hash_leaf, merkle_proof, merkle_root, verify_merkle_proof
from node.chain.proof import verify_trie_proof
from node.chain.receipt import Log, build_receipt, decode_receipt, encode_receipt
from node.chain.rules import (
    Credential,
    RelyingParty,
    decode_credential,
    decode_relying_party,
    decode_rules,
    encode_credential,
    encode_relying_party,
    encode_rules,
)
from node.chain.signing import SigningContext, check_form, sender_of, verify
from node.chain.transaction import (
    Call,
    EthereumTransaction,
    build_ethereum,
    build_imi,
    decode,
)

address = st.binary(min_size=20, max_size=20)
hash32 = st.binary(min_size=32, max_size=32)
word = st.integers(0, 2**256 - 1)
anything = st.recursive(st.binary(max_size=40), lambda items: st.lists(items, max_size=12), max_leaves=20)
CONTEXT = SigningContext(bytes(32), lambda origin: True, allow_backup_eligible=True)

imi_transactions = st.builds(
    lambda signature, **fields: build_imi(**fields).with_signature(signature),
    chain_id=st.integers(0, 2**64 - 1),
    nonce=st.integers(0, 2**64 - 2),
    valid_until=st.integers(0, 2**48 - 1),
    gas_limit=st.integers(0, 2**63 - 1),
    calls=st.lists(st.builds(Call, address, st.binary(max_size=80)), min_size=1, max_size=5),
    scheme=st.integers(1, 255),
    public_key=st.binary(max_size=70),
    signature=st.binary(max_size=90),
)


@st.composite
def ethereum_transactions(draw: st.DrawFn) -> EthereumTransaction:
    kind = draw(st.integers(0, 2))
    tip = draw(word)
    access = st.lists(st.tuples(address, st.lists(word, max_size=3).map(tuple)), max_size=3).map(tuple)
    unsigned = build_ethereum(
        type=kind,
        chain_id=draw(st.integers(1, 2**64 - 1)),
        nonce=draw(st.integers(0, 2**64 - 2)),
        gas_limit=draw(st.integers(0, 2**63 - 1)),
        to=draw(st.none() | address),
        data=draw(st.binary(max_size=100)),
        value=draw(word),
        max_fee=draw(st.integers(tip, 2**256 - 1)),
        max_priority_fee=tip,
        access_list=draw(access) if kind else (),
    )
    tx = unsigned.with_signature(draw(st.integers(0, 1)), draw(word), draw(word))
    assert tx.signing_hash == unsigned.signing_hash
    return tx


transactions = imi_transactions | ethereum_transactions()


@given(transactions)
def test_transactions_round_trip(tx: object) -> None:
    assert decode(tx.raw) == tx
    assert rlp.encode(rlp.decode(tx.raw[1 if tx.type else 0 :])) == tx.raw[1 if tx.type else 0 :]


@given(transactions, st.data())
def test_a_changed_transaction_is_refused_or_another_one(tx: object, data: st.DataObject) -> None:
    raw = bytearray(tx.raw)
    start = data.draw(st.integers(0, len(raw) - 1))
    raw[start : start + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    try:
        mutant = decode(bytes(raw))
        assert mutant.raw == bytes(raw)
        assert (mutant == tx) == (mutant.raw == tx.raw)
        check_form(mutant)
        sender_of(mutant)
        verify(mutant, CONTEXT)
    except (DecodeError, SignatureRefused):
        return


@given(
    st.binary(max_size=300)
    | st.tuples(st.sampled_from([b"", b"\x01", b"\x02", b"\x49"]), anything.map(rlp.encode))
)
def test_arbitrary_bytes_decode_or_are_refused(raw: bytes | tuple[bytes, bytes]) -> None:
    raw = raw if isinstance(raw, bytes) else b"".join(raw)
    for parse in (decode, decode_receipt, decode_block, decode_header, decode_commit):
        try:
            parse(raw)
        except DecodeError:
            continue


logs = st.builds(Log, address, st.lists(hash32, max_size=4).map(tuple), st.binary(max_size=40))


@given(
    st.sampled_from([0, 1, 2, 0x49]), st.integers(0, 1), st.integers(0, 2**64 - 1), st.lists(logs, max_size=4)
)
def test_receipts_round_trip(kind: int, status: int, gas: int, listed: list[Log]) -> None:
    receipt = build_receipt(kind, status, gas, listed)
    assert decode_receipt(encode_receipt(receipt)) == receipt


times = st.integers(-62_135_596_800 * 10**9, 2**62)
block_ids = st.builds(BlockId, hash32 | st.just(b""), st.integers(0, 2**32 - 1), hash32 | st.just(b""))
commits = st.builds(
    Commit,
    st.integers(0, 2**62),
    st.integers(0, 2**31 - 1),
    block_ids,
    st.lists(
        st.builds(CommitSignature, st.integers(1, 3), address | st.just(b""), times, st.binary(max_size=64)),
        max_size=4,
    ).map(tuple),
)
headers = st.builds(
    Header,
    st.text("abcdef-0123456789", min_size=1, max_size=50),
    st.integers(1, 2**62),
    times,
    block_ids,
    *[hash32] * 8,
    address,
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
)


@given(headers, commits, st.lists(st.binary(max_size=60), max_size=5).map(tuple))
def test_blocks_round_trip(header: Header, commit: Commit, raw: tuple[bytes, ...]) -> None:
    block = Block(header, raw, commit)
    assert decode_block(encode_block(block)) == block
    assert decode_header(encode_header(header)) == header
    assert decode_commit(encode_commit(commit)) == commit


@given(headers, commits, st.data())
def test_a_changed_block_is_refused_or_another_one(
    header: Header, commit: Commit, data: st.DataObject
) -> None:
    encoded = bytearray(encode_block(Block(header, (b"tx",), commit)))
    start = data.draw(st.integers(0, len(encoded) - 1))
    encoded[start : start + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        assert encode_block(decode_block(bytes(encoded))) == bytes(encoded)
    except DecodeError:
        return


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if len(leaves) == 1:
        return hash_leaf(leaves[0])
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hash_inner(naive_root(leaves[:split]), naive_root(leaves[split:]))


@given(st.lists(st.binary(max_size=5), min_size=1, max_size=70), st.data())
def test_merkle_trees_are_the_recursive_definition(leaves: list[bytes], data: st.DataObject) -> None:
    root = merkle_root(leaves)
    assert root == naive_root(leaves)
    index = data.draw(st.integers(0, len(leaves) - 1))
    verify_merkle_proof(root, leaves[index], merkle_proof(leaves, index))


@given(
    st.dictionaries(st.binary(min_size=1, max_size=4), st.binary(min_size=1, max_size=40), min_size=1),
    st.data(),
)
@settings(deadline=None)
def test_trie_proofs_agree_with_the_trie(entries: dict[bytes, bytes], data: st.DataObject) -> None:
    trie = HexaryTrie({})
    for key, value in entries.items():
        trie[key] = value
    key = data.draw(st.sampled_from(sorted(entries)) | st.binary(min_size=1, max_size=4))
    encoded = [rlp.encode(node) for node in trie.get_proof(key)]
    nodes = [node for index, node in enumerate(encoded) if index == 0 or len(node) >= 32]
    assert verify_trie_proof(trie.root_hash, key, nodes) == entries.get(key)


@given(anything.map(rlp.encode), st.binary(max_size=4))
def test_any_root_node_is_followed_or_refused(node: bytes, key: bytes) -> None:
    try:
        verify_trie_proof(keccak256(node), key, [node])
    except ProofError:
        return


@given(word, word, word)
def test_words_of_storage_never_raise(first: int, second: int, third: int) -> None:
    rules = decode_rules(3, first, second, third)
    assert rules is None or encode_rules(rules) == (first, second, third)
    credential = decode_credential(first, second)
    assert credential is None or encode_credential(credential) == (first, second)
    decode_relying_party(first, second)


@given(
    st.builds(
        Credential,
        st.binary(min_size=16, max_size=16),
        st.integers(0, 255),
        st.integers(0, 255),
        st.integers(1, 255),
        st.integers(0, 255),
        st.integers(0, 2**48 - 1),
        st.integers(0, 2**48 - 1),
        hash32,
    ),
    st.builds(
        RelyingParty,
        hash32,
        st.integers(0, 2**64 - 1),
        st.integers(0, 2**64 - 1),
        st.integers(0, 2**16 - 1),
        st.booleans(),
        st.booleans(),
        st.integers(0, 255),
    ),
)
def test_rows_round_trip(credential: Credential, party: RelyingParty) -> None:
    assert decode_credential(*encode_credential(credential)) == credential
    assert decode_relying_party(*encode_relying_party(party)) == party


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    lambda items: (
        st.lists(items, max_size=4) | st.dictionaries(st.text("ab{[中", max_size=3), items, max_size=4)
    ),
    max_leaves=10,
)


@given(json_values)
def test_canonical_json_round_trips(value: object) -> None:
    assert decode_strict_json(encode_canonical_json(value), 1 << 20) == value


@given(st.binary(max_size=60) | st.text('{}[]":,0123e-.ntf ', max_size=60).map(str.encode))
def test_arbitrary_bytes_are_json_or_refused(data: bytes) -> None:
    try:
        decode_strict_json(data, 1 << 20)
    except DecodeError:
        return
