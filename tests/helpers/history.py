"""A chain with every kind of row, its snapshot in the middle, and ledgers that begin there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from node.chain.commit import decode_commit
from node.chain.header import decode_header, header_hash
from node.chain.rules import FIRST_RULES, STATUS_REVOKED
from node.chain.validators import Validator
from node.ledger import DecidedBlock, Ledger
from node.ledger.past import PastBlock, past_blocks
from node.ledger.shelf import SavedSnapshot
from tests.helpers.ledger import (
    OTHER_TOKEN,
    TOKEN,
    Chain,
    mint,
    person,
    set_credential,
    set_rules,
    set_validators,
    transfer,
    validator_key,
)
from tests.property.ledger_snapshots.states import restore, take

CREATED_CODE = bytes.fromhex("600a600c600039600a6000f3602a60005260206000f3")
"""Initcode of a contract that answers 42."""


def make_history(directory: Path, after: int = 3) -> tuple[Chain, SavedSnapshot]:
    """A chain of some twenty blocks, a snapshot, and `after` blocks more. Among the transactions: reverted
    ones, a contract creation, bytes that are no transaction, one included twice, some that were not
    admissible; the validators and the rules change.
    """
    chain = Chain.create(directory / "source" / "ledger")
    clerk, resident, officer = chain.clerk, chain.resident, chain.officer
    key = bytes(validator_key().verify_key)
    first = chain.sign(clerk, [transfer(resident.address, 5)])
    stranger = person("nobody", 1)
    deployer = chain.service
    chain.add_block([first])
    chain.add_block()
    chain.add_block([chain.sign(clerk, [transfer(resident.address, 7), mint(b"\x07" * 20, 9)])])
    chain.add_block([chain.sign(resident, [transfer(b"\x01" * 20, 10**9)]), b"\x00 no transaction"])
    chain.add_block([chain.deploy(deployer, CREATED_CODE)])
    chain.add_block([chain.deploy(deployer, b"\xfe")])
    chain.add_block([chain.sign(clerk, [set_validators(2, [Validator(key, 7)])])])
    chain.add_block([first, chain.sign(stranger, [mint(TOKEN, 1)])])  # used already; not registered
    chain.add_block()
    wrong_chain = chain.sign(clerk, [mint(b"\x02" * 20, 1)], chain_id=99)
    chain.add_block([wrong_chain, chain.sign(resident, [mint(b"\x02" * 20, 1, OTHER_TOKEN)])])
    rules = replace(FIRST_RULES, version=2, activation_height=13, block_gas=50_000_000)
    chain.add_block([chain.sign(clerk, [set_rules(rules)])])
    for _ in range(3):
        chain.add_block([chain.sign(clerk, [mint(bytes([chain.ledger.tip.height]) * 20, 3)])])
    revoked = officer.credential(status=STATUS_REVOKED)
    chain.add_block([chain.sign(clerk, [set_validators(3, [Validator(key, 9)])])])
    chain.add_block(
        [
            chain.sign(clerk, [set_credential(officer.address, revoked)]),
            chain.sign(officer, [mint(b"\x03" * 20, 1)]),
        ]
    )
    saved = take(chain, directory / "source" / "snapshots")
    for number in range(after):
        chain.add_block([first, chain.sign(clerk, [mint(bytes([number]) * 20, 1)])] if number else [])
    return chain, saved


def begin_at(saved: SavedSnapshot, source: Ledger, node: Path) -> Ledger:
    """A ledger below `node` that began at the snapshot and has followed to the source's tip."""
    ledger = Ledger.open(restore(saved, source.genesis, node))
    follow(ledger, source)
    return ledger


def follow(ledger: Ledger, source: Ledger) -> None:
    """Commit the source's blocks up to its tip."""
    with source.snapshot() as snapshot:
        for height in range(ledger.tip.height + 1, source.tip.height + 1):
            header = decode_header(snapshot.header(height) or b"")
            block = DecidedBlock(
                height,
                header.time_ns,
                header_hash(header),
                header.proposer_address,
                snapshot.transactions(height),
            )
            ledger.commit(
                ledger.finalize(block),
                header,
                decode_commit(snapshot.commit(height) or b""),
                decode_commit(snapshot.commit(height - 1) or b"") if height > 1 else None,
            )


def served(source: Ledger, start: int, count: int, most_bytes: int = 1 << 20) -> list[PastBlock]:
    """What a node that has all of it answers."""
    with source.snapshot() as snapshot:
        return list(past_blocks(snapshot, start, count, most_bytes, lambda: None))


def fill_in(ledger: Ledger, source: Ledger, count: int, batches: int = 1_000) -> None:
    """Fill in from the source in batches of `count`, until all is there."""
    for _ in range(batches):
        with ledger.snapshot() as snapshot:
            first = snapshot.first_block
        if first == 0:
            return
        ledger.fill_in(served(source, first - 1, count))
