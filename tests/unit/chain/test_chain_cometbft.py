"""Our bytes are CometBFT's: recordings of real v0.40.0 networks and values its own library computed."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import pairwise

import pytest
from chain_recordings import RecordedBlock, Recording, load_library, load_recording

from node.chain.block import (
    block_id_of,
    data_hash,
    decode_block,
    encode_block,
    evidence_hash,
    split_parts,
    verify_block,
)
from node.chain.commit import (
    ABSENT,
    FLAG_ABSENT,
    FLAG_COMMIT,
    FLAG_NIL,
    Commit,
    commit_hash,
    decode_commit,
    encode_commit,
    verify_commit,
)
from node.chain.errors import DecodeError, ProofError
from node.chain.header import (
    NIL_BLOCK_ID,
    BlockId,
    consensus_hash,
    decode_header,
    encode_header,
    header_hash,
)
from node.chain.merkle import MerkleProof, merkle_proof, merkle_root, verify_merkle_proof
from node.chain.receipt import TransactionResult, decode_result, encode_result, results_hash
from node.chain.validators import (
    Validator,
    decode_validator,
    encode_validator,
    sort_validators,
    validators_hash,
)

RECORDINGS = {name: load_recording(name) for name in ("single-node", "four-nodes")}
LIBRARY = load_library()
BLOCKS = [
    pytest.param(recording, block, id=f"{name}-{block.block.header.height}")
    for name, recording in RECORDINGS.items()
    for block in recording.blocks
]
each_block = pytest.mark.parametrize(("recording", "recorded"), BLOCKS)


@each_block
def test_block_id_is_the_recorded_one(recording: Recording, recorded: RecordedBlock) -> None:
    assert block_id_of(recorded.block) == recorded.block_id
    assert header_hash(recorded.block.header) == recorded.block_id.hash


@each_block
def test_every_hash_in_the_header_is_computed_alike(recording: Recording, recorded: RecordedBlock) -> None:
    header = recorded.block.header
    assert header.data_hash == data_hash(recorded.block.transactions)
    assert header.evidence_hash == evidence_hash(())
    assert header.last_commit_hash == commit_hash(recorded.block.last_commit)
    assert header.validators_hash == validators_hash(recorded.validators)
    assert header.consensus_hash == consensus_hash(recorded.block_max_bytes, recorded.block_max_gas)
    verify_block(recorded.block)


@each_block
def test_blocks_headers_and_commits_survive_a_round_trip(
    recording: Recording, recorded: RecordedBlock
) -> None:
    assert decode_block(encode_block(recorded.block)) == recorded.block
    assert decode_header(encode_header(recorded.block.header)) == recorded.block.header
    assert decode_commit(encode_commit(recorded.commit)) == recorded.commit


@each_block
def test_every_recorded_commit_verifies(recording: Recording, recorded: RecordedBlock) -> None:
    height = recorded.block.header.height
    verify_commit(recording.chain_name, recorded.validators, recorded.block_id, height, recorded.commit)


@each_block
def test_addresses_and_order_of_validators(recording: Recording, recorded: RecordedBlock) -> None:
    assert tuple(validator.address for validator in recorded.validators) == recorded.addresses
    assert sort_validators(reversed(recorded.validators)) == recorded.validators
    assert recorded.block.header.proposer_address in recorded.addresses


@pytest.mark.parametrize("name", RECORDINGS)
def test_each_block_carries_the_commit_results_and_next_validators_of_its_parent(name: str) -> None:
    blocks = RECORDINGS[name].blocks
    assert len(blocks) >= 6
    for parent, child in pairwise(blocks):
        assert child.block.header.last_block_id == parent.block_id
        assert child.block.last_commit.block_id == parent.block_id
        assert child.block.header.last_results_hash == results_hash(parent.results)
        assert child.block.header.validators_hash == parent.block.header.next_validators_hash


def test_the_recordings_hold_the_cases_that_matter() -> None:
    single, four = RECORDINGS["single-node"].blocks, RECORDINGS["four-nodes"].blocks
    assert any(block.block_id.part_count > 1 and len(block.block.transactions) > 1 for block in single)
    assert {entry.flag for block in four for entry in block.commit.signatures} == {FLAG_ABSENT, FLAG_COMMIT}
    assert any(block.commit.round > 0 for block in four)
    assert len({block.validators for block in four}) > 1
    library_commit = decode_commit(bytes.fromhex(LIBRARY["commit"]["encoded"]))
    assert FLAG_NIL in {entry.flag for entry in library_commit.signatures}


# ---- what the library computed


def test_results_with_every_field_encode_and_hash_as_in_the_library() -> None:
    vector = LIBRARY["results"]
    results = [
        TransactionResult(r["code"], bytes.fromhex(r["data"]), r["gas_wanted"], r["gas_used"])
        for r in vector["results"]
    ]
    root = bytes.fromhex(vector["hash"])
    assert results_hash(results) == root
    for index, (result, expected) in enumerate(zip(results, vector["results"], strict=True)):
        encoded = encode_result(result)
        assert encoded.hex() == expected["encoded"]
        assert decode_result(encoded) == result
        aunts = tuple(bytes.fromhex(aunt) for aunt in expected["aunts"])
        verify_merkle_proof(root, encoded, MerkleProof(index, len(results), aunts))


@pytest.mark.parametrize("tree", LIBRARY["merkle"], ids=lambda tree: f"{len(tree['leaves'])}-leaves")
def test_trees_and_paths_as_in_the_library(tree: dict[str, list[str]]) -> None:
    leaves = [bytes.fromhex(leaf) for leaf in tree["leaves"]]
    root = merkle_root(leaves)
    assert root.hex() == tree["root"]
    for index, aunts in enumerate(tree["aunts"]):
        proof = merkle_proof(leaves, index)
        assert [aunt.hex() for aunt in proof.aunts] == aunts
        verify_merkle_proof(root, leaves[index], proof)


def library_commit() -> tuple[str, tuple[Validator, ...], BlockId, Commit]:
    vector = LIBRARY["commit"]
    validators = tuple(Validator(bytes.fromhex(v["public_key"]), v["power"]) for v in vector["validators"])
    block_id = BlockId(
        bytes.fromhex(vector["block_id"]["hash"]),
        vector["block_id"]["total"],
        bytes.fromhex(vector["block_id"]["parts_hash"]),
    )
    return vector["chain_id"], validators, block_id, decode_commit(bytes.fromhex(vector["encoded"]))


def test_a_commit_with_nil_and_absent_votes_verifies_and_hashes_as_in_the_library() -> None:
    chain_name, validators, block_id, commit = library_commit()
    assert validators_hash(validators).hex() == LIBRARY["commit"]["validators_hash"]
    assert sort_validators(validators) == validators
    assert commit_hash(commit).hex() == LIBRARY["commit"]["hash"]
    verify_commit(chain_name, validators, block_id, 9, commit)


def test_a_block_with_evidence_as_in_the_library() -> None:
    vector = LIBRARY["block"]
    encoded = bytes.fromhex(vector["encoded"])
    block = decode_block(encoded)
    assert encode_block(block) == encoded
    assert len(block.evidence) == 1
    assert block.transactions == (b"one", b"", b"three")
    assert encode_header(block.header).hex() == vector["header"]
    assert data_hash(block.transactions).hex() == vector["data_hash"]
    assert evidence_hash(block.evidence).hex() == vector["evidence_hash"]
    expected = BlockId(
        bytes.fromhex(vector["hash"]), vector["parts_total"], bytes.fromhex(vector["parts_hash"])
    )
    assert block_id_of(block) == expected
    verify_block(block)


# ---- mutations


def changed(value: object) -> object:
    if isinstance(value, bytes):
        return value[:-1] + bytes((value[-1] ^ 1,)) if value else bytes(32)
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return value + "x"
    assert isinstance(value, BlockId)
    return replace(value, parts_hash=changed(value.parts_hash))


def test_a_change_of_any_header_field_changes_the_hash() -> None:
    for recorded in RECORDINGS["four-nodes"].blocks[1:4]:
        header = recorded.block.header
        for field in fields(header):
            mutant = replace(header, **{field.name: changed(getattr(header, field.name))})
            assert header_hash(mutant) != recorded.block_id.hash, field.name


def test_a_change_of_any_commit_field_is_refused() -> None:
    chain_name, validators, block_id, commit = library_commit()

    def refused(mutant: Commit, code: str) -> None:
        with pytest.raises(ProofError) as caught:
            verify_commit(chain_name, validators, block_id, 9, mutant)
        assert caught.value.code == code

    refused(replace(commit, height=10), "commit.wrong_height")
    refused(replace(commit, round=3), "commit.bad_signature")
    for field in fields(block_id):
        other = replace(block_id, **{field.name: changed(getattr(block_id, field.name))})
        refused(replace(commit, block_id=other), "commit.wrong_block")
    for index, entry in enumerate(commit.signatures):
        before, after = commit.signatures[:index], commit.signatures[index + 1 :]
        refused(replace(commit, signatures=before + after), "commit.wrong_count")
        for field, code in (
            ("validator_address", "commit.wrong_validator"),
            ("time_ns", "commit.bad_signature"),
            ("signature", "commit.bad_signature"),
        ):
            mutant = replace(entry, **{field: changed(getattr(entry, field))})
            refused(
                replace(commit, signatures=(*before, mutant, *after)),
                "commit.bad_entry" if entry == ABSENT else code,
            )
        flipped = {FLAG_ABSENT: FLAG_COMMIT, FLAG_COMMIT: FLAG_NIL, FLAG_NIL: FLAG_COMMIT}[entry.flag]
        refused(
            replace(commit, signatures=(*before, replace(entry, flag=flipped), *after)),
            "commit.wrong_validator" if entry == ABSENT else "commit.bad_signature",
        )
        refused(replace(commit, signatures=(*before, replace(entry, flag=7), *after)), "commit.bad_entry")


def test_the_commit_is_bound_to_chain_validators_and_block() -> None:
    chain_name, validators, block_id, commit = library_commit()
    for arguments, code in (
        (("other-chain", validators, block_id, 9, commit), "commit.bad_signature"),
        ((chain_name, (), block_id, 9, commit), "commit.no_validators"),
        ((chain_name, validators[::-1], block_id, 9, commit), "commit.wrong_validator"),
        (
            (chain_name, validators, NIL_BLOCK_ID, 9, replace(commit, block_id=NIL_BLOCK_ID)),
            "commit.wrong_block",
        ),
        (
            (
                chain_name,
                (validators[0],) * 2,
                block_id,
                9,
                replace(commit, signatures=(commit.signatures[0],) * 2),
            ),
            "commit.repeated_validator",
        ),
    ):
        with pytest.raises(ProofError) as caught:
            verify_commit(*arguments)
        assert caught.value.code == code


def test_exactly_two_thirds_are_not_enough() -> None:
    chain_name, validators, block_id, commit = library_commit()
    validators = tuple(replace(validator, power=2 * validator.power) for validator in validators)
    for_block = sum(
        validator.power
        for validator, entry in zip(validators, commit.signatures, strict=True)
        if entry.flag == FLAG_COMMIT
    )
    absent = next(index for index, entry in enumerate(commit.signatures) if entry == ABSENT)
    nil_power = next(
        validator.power
        for validator, entry in zip(validators, commit.signatures, strict=True)
        if entry.flag == FLAG_NIL
    )

    def with_absent_power(power: int) -> tuple[Validator, ...]:
        return (*validators[:absent], replace(validators[absent], power=power), *validators[absent + 1 :])

    exactly = for_block // 2 - nil_power
    with pytest.raises(ProofError, match="no_quorum"):
        verify_commit(chain_name, with_absent_power(exactly), block_id, 9, commit)
    verify_commit(chain_name, with_absent_power(exactly - 1), block_id, 9, commit)


def test_a_block_whose_content_is_not_the_headers_is_refused() -> None:
    block = RECORDINGS["four-nodes"].blocks[3].block
    assert block.transactions
    for mutant, code in (
        (replace(block, transactions=block.transactions[:-1]), "block.wrong_data_hash"),
        (
            replace(block, last_commit=replace(block.last_commit, signatures=())),
            "block.wrong_last_commit_hash",
        ),
        (
            replace(block, evidence=decode_block(bytes.fromhex(LIBRARY["block"]["encoded"])).evidence),
            "block.wrong_evidence_hash",
        ),
    ):
        with pytest.raises(ProofError) as caught:
            verify_block(mutant)
        assert caught.value.code == code


def test_no_changed_byte_of_a_stored_block_goes_unnoticed() -> None:
    encoded = bytes.fromhex(LIBRARY["block"]["encoded"])
    block_id = block_id_of(decode_block(encoded))
    for position in range(len(encoded)):
        mutant = encoded[:position] + bytes((encoded[position] ^ 0x41,)) + encoded[position + 1 :]
        try:
            decoded = decode_block(mutant)
        except DecodeError:
            continue
        assert encode_block(decoded) == mutant
        assert block_id_of(decoded) != block_id


def test_stored_blocks_have_one_form() -> None:
    encoded = bytes.fromhex(LIBRARY["block"]["encoded"])
    for mutant in (
        encoded + b"\x28\x01",  # a field more
        encoded + b"\x12\x00",  # a field twice
        encoded[:-1],
        b"",
        b"\xff" * 40,
    ):
        with pytest.raises(DecodeError):
            decode_block(mutant)


def test_validators_have_one_form() -> None:
    validator = library_commit()[1][0]
    encoded = encode_validator(validator)
    assert decode_validator(encoded) == validator
    for mutant in (encoded + b"\x10\x01", encoded[:-1], encoded.replace(b"\x0a\x20", b"\x0a\x1f")):
        with pytest.raises(DecodeError):
            decode_validator(mutant)


def test_parts_are_of_65536_bytes() -> None:
    assert [len(part) for part in split_parts(bytes(65_536 * 2 + 1))] == [65_536, 65_536, 1]
    assert [len(part) for part in split_parts(bytes(65_536))] == [65_536]
