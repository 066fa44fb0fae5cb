"""Synthetic chains for the light client: headers, commits and validator sets signed with throw-away keys.

A validator is a number; a set maps numbers to powers. Nothing runs here: blocks are built as validators would
have signed them, honest or not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from nacl.signing import SigningKey

from node.chain.commit import (
    ABSENT,
    FLAG_NIL,
    PRECOMMIT,
    Commit,
    CommitSignature,
    sign_precommit,
    vote_sign_bytes,
)
from node.chain.genesis import Genesis, build_genesis
from node.chain.header import NIL_BLOCK_ID, BlockId, Header, header_hash
from node.chain.light_block import LightBlock
from node.chain.merkle import EMPTY_ROOT
from node.chain.validators import Validator, sort_validators, validator_address, validators_hash

SECOND = 1_000_000_000
GENESIS_TIME_NS = 1_790_000_000 * SECOND
CHAIN_NAME = "shelian-light-test"

ValidatorSet = Mapping[int, int]
"""Number of a validator to its power."""


@lru_cache(maxsize=512)
def signing_key(number: int) -> SigningKey:
    return SigningKey(hashlib.sha256(f"synthetic validator {number}".encode()).digest())


@lru_cache(maxsize=512)
def public_key(number: int) -> bytes:
    return bytes(signing_key(number).verify_key)


def validators_of(members: ValidatorSet) -> tuple[Validator, ...]:
    return sort_validators(Validator(public_key(number), power) for number, power in members.items())


def _signer(number: int) -> Callable[[bytes], bytes]:
    return lambda message: signing_key(number).sign(message).signature


def commit_for(
    header: Header,
    members: ValidatorSet,
    absent: Iterable[int] = (),
    nil: Iterable[int] = (),
    round: int = 0,
) -> Commit:
    """The commit of `members`, in their order; who is `absent` gave no vote, who is `nil` one for nothing."""
    absent, nil = set(absent), set(nil)
    block_id = BlockId(header_hash(header), 1, hashlib.sha256(b"parts").digest())
    by_key = {public_key(number): number for number in members}
    entries: list[CommitSignature] = []
    for place, validator in enumerate(validators_of(members)):
        number = by_key[validator.public_key]
        time_ns = header.time_ns + SECOND + place
        if number in absent:
            entries.append(ABSENT)
        elif number in nil:
            message = vote_sign_bytes(
                PRECOMMIT, header.chain_name, header.height, round, NIL_BLOCK_ID, time_ns
            )
            signature = signing_key(number).sign(message).signature
            entries.append(CommitSignature(FLAG_NIL, validator.address, time_ns, signature))
        else:
            entries.append(
                sign_precommit(
                    header.chain_name,
                    header.height,
                    round,
                    block_id,
                    time_ns,
                    validator.address,
                    _signer(number),
                )
            )
    return Commit(header.height, round, block_id, tuple(entries))


def header_of(
    height: int,
    members: ValidatorSet,
    following: ValidatorSet,
    last_hash: bytes,
    *,
    chain_name: str = CHAIN_NAME,
    genesis_time_ns: int = GENESIS_TIME_NS,
    first_height: int = 1,
    app_hash: bytes = b"\x11" * 32,
) -> Header:
    last = BlockId(last_hash, 1, hashlib.sha256(b"parts").digest()) if last_hash else NIL_BLOCK_ID
    return Header(
        chain_name=chain_name,
        height=height,
        time_ns=genesis_time_ns + (height - first_height) * 10 * SECOND,
        last_block_id=last,
        last_commit_hash=EMPTY_ROOT,
        data_hash=EMPTY_ROOT,
        validators_hash=validators_hash(validators_of(members)),
        next_validators_hash=validators_hash(validators_of(following)),
        consensus_hash=hashlib.sha256(b"parameters").digest(),
        app_hash=app_hash,
        last_results_hash=EMPTY_ROOT,
        evidence_hash=EMPTY_ROOT,
        proposer_address=validator_address(public_key(min(members))),
        app_version=1,
    )


def chain(
    sets: Sequence[ValidatorSet],
    absent: Mapping[int, Iterable[int]] | None = None,
    nil: Mapping[int, Iterable[int]] | None = None,
    *,
    chain_name: str = CHAIN_NAME,
    genesis_time_ns: int = GENESIS_TIME_NS,
    first_height: int = 1,
    app_hash: bytes = b"\x11" * 32,
) -> tuple[LightBlock, ...]:
    """An honest chain: `sets[i]` decides height `first_height + i`; the last set stays."""
    absent, nil = absent or {}, nil or {}
    blocks: list[LightBlock] = []
    last_hash = b""
    for index, members in enumerate(sets):
        height = first_height + index
        following = sets[index + 1] if index + 1 < len(sets) else members
        header = header_of(
            height,
            members,
            following,
            last_hash,
            chain_name=chain_name,
            genesis_time_ns=genesis_time_ns,
            first_height=first_height,
            app_hash=app_hash,
        )
        commit = commit_for(header, members, absent.get(height, ()), nil.get(height, ()))
        blocks.append(LightBlock(header, commit, validators_of(members)))
        last_hash = commit.block_id.hash
    return tuple(blocks)


def signed(block: LightBlock, members: ValidatorSet, **header: object) -> LightBlock:
    """`block` with fields of its header changed, signed again by all of `members`."""
    changed = replace(block.header, validators_hash=validators_hash(validators_of(members)))
    changed = replace(changed, **header)  # type: ignore[arg-type]
    return LightBlock(changed, commit_for(changed, members), validators_of(members))


def genesis_of(
    members: ValidatorSet,
    *,
    chain_name: str = CHAIN_NAME,
    genesis_time_ns: int = GENESIS_TIME_NS,
    initial_height: int = 1,
    purpose: str = "production",
    ca_certificates: Sequence[str] = ("",),
) -> Genesis:
    """A genesis with one organisation for each CA certificate; the first one runs all validators."""
    hex_of = "0x{}".format
    organisations = range(1, len(ca_certificates) + 1)
    genesis = build_genesis(
        {
            "format": "shelian-genesis/1",
            "chain_name": chain_name,
            "purpose": purpose,
            "genesis_time_ns": genesis_time_ns,
            "initial_height": 1,
            "systems": ["correction"],
            "organisations": [
                {
                    "id": number,
                    "kind": "court",
                    "name": f"示范机构 {number}",
                    "encryption_key": "0x" + "07" * 32,
                    "ca_certificate": ca_certificates[number - 1],
                }
                for number in organisations
            ],
            "validators": [
                {
                    "public_key": hex_of(public_key(number).hex()),
                    "power": power,
                    "organisation": 1,
                    "name": f"validator-{number}",
                }
                for number, power in members.items()
            ],
            "registrars": [
                {
                    "organisation": organisation,
                    "identity": hex_of(f"{organisation * 10 + place:032x}"),
                    "scheme": 2,
                    "public_key": hex_of(public_key(10_000 + organisation * 10 + place).hex()),
                    "relying_party": "0x" + "aa" * 32,
                }
                for organisation in organisations
                for place in (1, 2)
            ],
            "relying_parties": [
                {
                    "id": "0x" + "aa" * 32,
                    "name": "staff",
                    "rp_id": "sign.example",
                    "origins": [],
                    "organisation": 1,
                    "contracts": [],
                    "any_contract": False,
                    "localhost_any_port": False,
                    "from_height": 0,
                    "until_height": 0,
                }
            ],
            "rules": {
                "version": 1,
                "activation_height": 0,
                "block_gas": 40_000_000,
                "transaction_gas": 30_000_000,
                "correction_gas": 10_000_000,
                "identity_gas": 30_000_000,
                "max_transaction_bytes": 131_072,
                "byte_gas": 8,
                "base_gas": 21_000,
                "max_calls": 100,
                "max_validity": 86_400,
                "fork": 1,
                "scheme_gas": [0, 8_000, 9_000, 7_000, 56_000, 17_000, 0, 0],
            },
            "consensus_params": {
                "block_max_bytes": 4_194_304,
                "block_max_gas": -1,
                "evidence_max_age_num_blocks": 100_000,
                "evidence_max_age_duration_ns": 172_800_000_000_000,
                "evidence_max_bytes": 1_048_576,
            },
            "alloc": [],
            "calls": [],
        }
    )
    if initial_height == 1:
        return genesis
    hash = hashlib.sha256(genesis.hash + initial_height.to_bytes(8, "big")).digest()
    return replace(genesis, initial_height=initial_height, hash=hash)
