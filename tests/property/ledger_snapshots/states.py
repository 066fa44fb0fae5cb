"""Chains whose states are anything at all, and snapshots of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from node.chain.encoding import keccak256
from node.chain.genesis import Genesis
from node.ledger.restore import Restore
from node.ledger.shelf import SavedSnapshot, Shelf
from node.state import trie
from node.state.account import EMPTY_ACCOUNT, decode_account
from node.state.database import Database
from node.state.nodes import EMPTY_ROOT
from node.state.overlay import Overlay
from node.state.snapshot import DatabaseSnapshot
from node.state.tables import ACCOUNTS, CODES, SLOTS
from node.state.views import FlatView
from tests.helpers.ledger import Chain

ADDRESSES = [keccak256(bytes([number]))[12:] for number in range(60)]
FLAT = (ACCOUNTS, SLOTS)


def add_anything(chain: Chain, chance: random.Random, storage: int = 12) -> None:
    """An empty block, to whose state anything happens: accounts made, emptied, deleted and back again, with
    and without code, with `storage` slots or a hundred times as many.
    """

    def change(overlay: Overlay[FlatView]) -> None:
        for address in chance.sample(ADDRESSES, 25):
            kind = chance.random()
            if kind < 0.15:
                overlay.delete_account(address)
                continue
            account = overlay.account(address) or EMPTY_ACCOUNT
            account = account._replace(nonce=chance.choice([0, 1, 2**40]), balance=chance.choice([0, 2**200]))
            if kind < 0.4:
                code = chance.choice([b"\x00", b"\x60\x01" * 200, chance.randbytes(24_576)])
                account = account._replace(code_hash=overlay.add_code(code))
            overlay.set_account(address, account)
            if kind > 0.6:
                for _ in range(storage * (100 if kind > 0.97 else 1)):
                    slot = chance.choice([chance.randrange(20), 2**256 - 1, chance.getrandbits(256)])
                    overlay.set_storage(address, slot, chance.choice([0, 1, 2**255, chance.getrandbits(64)]))

    add_state(chain, change)


def add_state(chain: Chain, change: Callable[[Overlay[FlatView]], None]) -> None:
    """An empty block, after which the state is what `change` makes of it."""
    decided, header, commit, last_commit = chain.decide(())
    finalized = chain.ledger.finalize(decided)
    with chain.ledger.snapshot() as snapshot:
        overlay = Overlay(snapshot.tip_view)
        change(overlay)
        sealed = overlay.seal()
    other = replace(finalized, change=sealed, app_hash=sealed.state_root)
    chain.ledger.commit(other, header, commit, last_commit)


def take(chain: Chain, directory: Path) -> SavedSnapshot:
    with chain.ledger.snapshot() as snapshot:
        return Shelf(directory).create(snapshot, chain.ledger.genesis)


def restore(saved: SavedSnapshot, genesis: Genesis, node: Path, order: random.Random | None = None) -> Path:
    """The ledger's directory below `node`, restored with the chunks in any order."""
    restoring = Restore.begin(node / "ledger", genesis, saved.encoded, saved.manifest.app_hash)
    missing = list(restoring.missing)
    if order is not None:
        order.shuffle(missing)
    for index in missing:
        restoring.add_chunk(index, saved.load_stored(index) or b"")
    witness = saved.load_witness()
    if witness is not None:
        restoring.add_witness(witness)
    restoring.build().put_in_place(node / "ledger", node / "snapshots")
    return node / "ledger"


def files(saved: SavedSnapshot) -> dict[str, bytes]:
    """What two nodes must have alike: everything but the witness."""
    found = {file.name: file.read_bytes() for file in saved.directory.iterdir()}
    found.pop("witness.json", None)
    return found


def flat_rows(reads: DatabaseSnapshot) -> dict[bytes, bytes]:
    """Accounts and slots, and the codes that accounts have."""
    rows: dict[bytes, bytes] = {}
    codes: set[bytes] = set()
    for table in FLAT:
        cursor = reads.key_cursor(table.prefix)
        suffix = cursor.seek(b"")
        while suffix is not None:
            value = reads.get_raw(table.prefix + suffix) or b""
            rows[table.prefix + suffix] = value
            if table is ACCOUNTS:
                codes.add(decode_account(value).code_hash)
            suffix = cursor.next()
        cursor.close()
    for code_hash in codes:
        rows[CODES.prefix + code_hash] = reads.load_code(code_hash)
    return rows


def tip_nodes(reads: DatabaseSnapshot, root: bytes) -> Mapping[bytes, bytes]:
    """Every trie node under a state root, storage and all, found by walking."""
    found: dict[bytes, bytes] = {}

    def walk(owner: bytes, below: bytes) -> None:
        for node_hash in trie.hashes(lambda name: reads.load_node(owner, name), below):
            found[owner + node_hash] = reads.load_node(owner, node_hash)

    walk(b"", root)
    for address, row in reads.scan(ACCOUNTS):
        account = decode_account(row)
        if account.storage_root != EMPTY_ROOT:
            walk(address, account.storage_root)
    return found


def everything(path: Path, root: bytes) -> tuple[Mapping[bytes, bytes], Mapping[bytes, bytes]]:
    with Database.open(path) as database, database.snapshot() as reads:
        return flat_rows(reads), tip_nodes(reads, root)
