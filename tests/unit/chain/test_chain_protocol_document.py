"""The worked examples of docs/PROTOCOL.md are what the code computes."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest
from chain_recordings import load_library, load_recording
from nacl.signing import SigningKey

from node.chain.block import block_id_of, decode_block
from node.chain.commit import commit_hash, decode_commit, precommit_sign_bytes
from node.chain.encoding import encode_timestamp
from node.chain.equivocation import encode_equivocation, read_block_evidence
from node.chain.handover_certificate import HandoverStatement, handover_sign_bytes
from node.chain.header import (
    NIL_BLOCK_ID,
    consensus_hash,
    encode_block_id,
    encode_version,
    header_hash,
)
from node.chain.light_block import LightBlock, encode_light_block
from node.chain.receipt import (
    TransactionResult,
    build_receipt,
    encode_receipt,
    encode_result,
    result_of,
    results_hash,
)
from node.chain.rules import (
    ADMISSION_BASE,
    CREDENTIALS_BASE,
    FIRST_RULES,
    Credential,
    RelyingParty,
    callable_slot,
    credential_slots,
    deployer_slot,
    encode_credential,
    encode_relying_party,
    encode_rules,
    origin_slot,
    peer_slot,
    relying_party_slots,
    rules_slots,
    validator_key_slot,
    validator_organisation_slot,
    validator_power_slot,
)
from node.chain.signing import SigningContext, client_data_prefix, imi_sender, verify
from node.chain.transaction import Call, build_imi
from node.chain.validators import Validator, encode_validator, validator_address, validators_hash
from tests.helpers import sm2_reference

DOCUMENT = Path(__file__).parents[3] / "docs" / "PROTOCOL.md"


def examples() -> dict[str, dict[str, str]]:
    """Name of an example to its lines; everything from fixed inputs."""
    key = SigningKey(hashlib.sha256(b"example").digest())
    public_key = bytes(key.verify_key)
    unsigned = build_imi(
        chain_id=1234,
        nonce=7,
        valid_until=1_800_000_000,
        gas_limit=900_000,
        calls=[Call(bytes.fromhex("0000000000000000000000000000000000005104"), b"\x01\x02\x03\x04")],
        scheme=2,
        public_key=public_key,
    )
    tx = unsigned.with_signature(key.sign(unsigned.signing_hash).signature)
    sender = imi_sender(2, public_key)
    sm2_secret, sm2_k = (int.from_bytes(hashlib.sha256(seed).digest(), "big") for seed in (b"example", b"k"))
    sm2_public_key = sm2_reference.public_key(sm2_secret)
    sm2_unsigned = replace(unsigned, scheme=4, public_key=sm2_public_key)
    sm2_tx = sm2_unsigned.with_signature(sm2_reference.sign(sm2_secret, sm2_unsigned.signing_hash, sm2_k))
    verify(sm2_tx, SigningContext(bytes(32), lambda _: False, allow_backup_eligible=False))
    receipt = encode_receipt(build_receipt(0x49, 1, 50_000, []))
    result = result_of(receipt, 900_000, 50_000)
    party = hashlib.sha256(b"relying party").digest()
    credential = Credential(bytes(range(16)), 1, 2, 1, 0, 1_700_000_000, 0, party)
    row = RelyingParty(
        hashlib.sha256(b"localhost").digest(), 0, 0, 1, any_contract=False, localhost_any_port=True, domain=1
    )
    recorded = load_recording("four-nodes").blocks[3]
    header = recorded.block.header
    library_commit = load_library()["commit"]
    commit = decode_commit(bytes.fromhex(library_commit["encoded"]))
    validator = recorded.validators[0]
    with_evidence = decode_block(bytes.fromhex(load_library()["block"]["encoded"]))
    members = tuple(
        Validator(bytes.fromhex(one["public_key"]), one["power"]) for one in library_commit["validators"]
    )
    light_block = LightBlock(with_evidence.header, commit, members)
    handover = HandoverStatement(b"\x01" * 32, light_block, b"\x02" * 32, b"\x03" * 32, b"\x04" * 32, 11)
    equivocation = read_block_evidence(with_evidence.evidence[0], library_commit["chain_id"], members)

    def words(values: tuple[int, ...]) -> list[str]:
        return [f"{value:064x}" for value in values]

    return {
        "imi-transaction": {
            "raw": tx.raw.hex(),
            "signing_hash": tx.signing_hash.hex(),
            "hash": tx.hash.hex(),
            "sender": sender.hex(),
            "client_data_prefix": client_data_prefix(tx.signing_hash).hex(),
        },
        "sm2-transaction": {
            "public_key": sm2_public_key.hex(),
            "signing_hash": sm2_unsigned.signing_hash.hex(),
            "z": sm2_reference.z_value(sm2_public_key).hex(),
            "e": sm2_reference.message_digest(sm2_public_key, sm2_unsigned.signing_hash).hex(),
            "signature": sm2_tx.signature.hex(),
            "raw": sm2_tx.raw.hex(),
            "sender": imi_sender(4, sm2_public_key).hex(),
        },
        "receipt": {
            "receipt": receipt.hex(),
            "result": encode_result(result).hex(),
            "results_hash": results_hash([result]).hex(),
            "undecodable_result": encode_result(TransactionResult(1, b"", 0, 0)).hex(),
            "no_results_hash": results_hash([]).hex(),
        },
        "header": {
            "version": encode_version(header).hex(),
            "time": encode_timestamp(header.time_ns).hex(),
            "last_block_id": encode_block_id(header.last_block_id).hex(),
            "consensus_hash": consensus_hash(recorded.block_max_bytes, recorded.block_max_gas).hex(),
            "header_hash": header_hash(header).hex(),
            "parts_hash": block_id_of(recorded.block).parts_hash.hex(),
        },
        "validators": {
            "public_key": validator.public_key.hex(),
            "address": validator_address(validator.public_key).hex(),
            "encoded": encode_validator(Validator(validator.public_key, validator.power)).hex(),
            "validators_hash": validators_hash(recorded.validators).hex(),
        },
        "commit": {
            "sign_bytes": precommit_sign_bytes(
                library_commit["chain_id"], 9, 2, commit.block_id, commit.signatures[0].time_ns
            ).hex(),
            "sign_bytes_nil": precommit_sign_bytes(
                library_commit["chain_id"], 9, 2, NIL_BLOCK_ID, commit.signatures[2].time_ns
            ).hex(),
            "commit_hash": commit_hash(commit).hex(),
            "evidence_block_hash": header_hash(with_evidence.header).hex(),
        },
        "light": {
            "light_block_hash": hashlib.sha256(encode_light_block(light_block)).hexdigest(),
            "handover_sign_bytes": handover_sign_bytes(handover).hex(),
            "equivocation": encode_equivocation(equivocation).hex(),
        },
        "slots": {
            "credentials_base": f"{CREDENTIALS_BASE:064x}",
            "admission_base": f"{ADMISSION_BASE:064x}",
            "credential_slot": f"{credential_slots(sender)[0]:064x}",
            "relying_party_slot": f"{relying_party_slots(party)[0]:064x}",
            "origin_slot": f"{origin_slot(party, bytes(32)):064x}",
            "callable_slot": f"{callable_slot(party, sender):064x}",
            "deployer_slot": f"{deployer_slot(sender):064x}",
            "rules_slot_1": f"{rules_slots(1)[0]:064x}",
            "validator_key_slot_0": f"{validator_key_slot(0):064x}",
            "validator_power_slot": f"{validator_power_slot(public_key):064x}",
            "validator_organisation_slot": f"{validator_organisation_slot(public_key):064x}",
            "peer_slot": f"{peer_slot(sender):064x}",
        },
        "words": {
            **{f"credential_{i}": word for i, word in enumerate(words(encode_credential(credential)))},
            **{f"relying_party_{i}": word for i, word in enumerate(words(encode_relying_party(row)))},
            **{f"rules_{i}": word for i, word in enumerate(words(encode_rules(FIRST_RULES)))},
        },
    }


def documented() -> dict[str, dict[str, str]]:
    found = {}
    for name, body in re.findall(
        r"^```example ([a-z0-9-]+)\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL
    ):
        found[name] = dict(re.findall(r"^(\w+) = ([0-9a-f]+)$", body, re.MULTILINE))
    return found


@pytest.mark.parametrize("name", examples())
def test_an_example_of_the_protocol_document_holds(name: str) -> None:
    assert documented()[name] == examples()[name]


def test_the_document_has_no_other_examples() -> None:
    assert documented().keys() == examples().keys()
