"""Repair: damage of every kind, and what is made of it; nothing is destroyed on the way."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import plyvel
import pytest

from node.chain.encoding import keccak256
from node.chain.errors import LedgerError
from node.ledger import Ledger
from node.ledger.check import check_ledger
from node.ledger.repair import BY_EXECUTION, FROM_STATE, Repair, repair_ledger
from node.ledger.retention import Retention
from node.state.database import Batch, Database
from node.state.tables import (
    ACCOUNTS,
    BLOCKS,
    COMMITS,
    HEADERS,
    LOGS_BY_ADDRESS,
    META,
    NODES,
    RECEIPTS,
    SENDERS,
    SLOTS,
    TRANSACTION_HASHES,
    TRANSACTIONS,
    VALIDATORS,
    Table,
)
from tests.helpers.ledger import TOKEN, Chain, mint, transfer

ROOT = Path(__file__).parents[3]
TO = b"\x77" * 20
HEIGHT = 8
STAMP = "20300102-030405"


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight blocks: transfers, new and emptied holders, a failure, junk, an empty block."""
    chain = Chain.create(tmp_path_factory.mktemp("template") / "ledger")
    for height in range(1, HEIGHT):
        nonce = chain.nonce(chain.clerk)
        raws = [
            chain.sign(chain.clerk, [mint(bytes([height]) * 20, 3), transfer(TO, 1)], nonce=nonce),
            chain.sign(chain.clerk, [mint(chain.service.address, 2)], nonce=nonce + 1),
            chain.sign(chain.judge, [transfer(TO, 10**9)]),
        ]
        if height > 1:
            raws.append(chain.sign(chain.service, [transfer(TO, chain.balance(chain.service.address))]))
        chain.add_block([*raws, b"junk %d" % height])
    chain.add_block()
    chain.close()
    return chain.path


@pytest.fixture
def path(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template, tmp_path / "ledger")
    return tmp_path / "ledger"


def fingerprint(path: Path) -> dict[str, str]:
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in path.iterdir()
        if file.name not in ("LOCK", "LOG", "LOG.old")
    }


def repair(path: Path, **options: object) -> Repair:
    return repair_ledger(path, None, lambda _: True, stamp=STAMP, **options)  # type: ignore[arg-type]


def change(path: Path, edit: Callable[[Batch], None]) -> None:
    with Database.open(path) as database:
        batch = Batch()
        edit(batch)
        database.write(batch)


def keys_of(path: Path, table: Table[object, object]) -> list[bytes]:
    with Database.open(path) as database, database.snapshot() as reads:
        cursor = reads.key_cursor(table.prefix)
        keys, suffix = [], cursor.seek(b"")
        while suffix is not None:
            keys.append(table.prefix + suffix)
            suffix = cursor.next()
        cursor.close()
        return keys


def require_whole(path: Path, height: int = HEIGHT) -> None:
    report = check_ledger(path)
    assert report.ok, report.findings
    assert report.height == report.headers == report.commits == height
    chain = Chain.open(path)
    chain.add_block([chain.sign(chain.clerk, [transfer(TO, 1)])])
    chain.close()
    assert check_ledger(path).ok


def test_an_undamaged_ledger_has_nothing_to_repair_and_is_not_touched(path: Path) -> None:
    before = fingerprint(path)
    done = repair(path)
    assert not done.needed, done.damage
    assert done.damaged is None
    assert (done.height, done.recorded, done.transactions) == (HEIGHT, HEIGHT, 4 + 6 * 5)
    assert fingerprint(path) == before
    assert [other.name for other in path.parent.iterdir()] == ["ledger"]


def test_a_repaired_ledger_has_nothing_to_repair(path: Path) -> None:
    change(path, lambda batch: batch.delete(BLOCKS, HEIGHT))
    assert repair(path).damaged is not None
    assert not repair(path).needed


def test_the_damaged_directory_is_kept_as_it_was(path: Path) -> None:
    change(path, lambda batch: batch.delete(RECEIPTS, (3, 1)))
    before = fingerprint(path)
    done = repair(path)
    assert done.damaged == path.with_name(f"ledger.damaged-{STAMP}")
    assert fingerprint(done.damaged) == before
    assert sorted(other.name for other in path.parent.iterdir()) == ["ledger", done.damaged.name]


def test_nothing_changes_without_consent(path: Path) -> None:
    change(path, lambda batch: batch.delete(RECEIPTS, (3, 1)))
    before = fingerprint(path)
    done = repair_ledger(path, None, lambda _: False, stamp=STAMP)
    assert done.needed
    assert done.damaged is None
    assert fingerprint(path) == before
    assert [other.name for other in path.parent.iterdir()] == ["ledger"]


# Rows whose content can be had from others: no block is lost.
DERIVED = [
    BLOCKS, HEADERS, RECEIPTS, VALIDATORS, SENDERS, TRANSACTION_HASHES, LOGS_BY_ADDRESS, ACCOUNTS, SLOTS,
    NODES,
]  # fmt: skip


@pytest.mark.parametrize("table", DERIVED, ids=lambda table: table.name)
def test_rows_that_follow_from_others_come_back(path: Path, table: Table[object, object]) -> None:
    keys = keys_of(path, table)
    gone = random.Random(table.name).sample(keys, max(1, len(keys) // 3))
    if table is BLOCKS:
        gone = keys[-1:]
    change(path, lambda batch: batch.rows.update(dict.fromkeys(gone)))
    done = repair(path)
    assert done.height == HEIGHT
    assert not done.dropped
    assert {damage.table for damage in done.damage} == {table.name}
    assert sum(damage.rows or 0 for damage in done.damage) <= len(gone)
    require_whole(path)


def test_a_wrong_balance_is_put_right(path: Path) -> None:
    with Database.open(path) as database:
        batch = Batch()
        with database.snapshot() as reads:
            for key, value in reads.scan(SLOTS, prefix=TOKEN):
                batch.put(SLOTS, key, value + 1)
        database.write(batch)
    done = repair(path)
    assert (done.way, done.oldest, done.height) == (FROM_STATE, HEIGHT, HEIGHT)
    assert [(damage.code, damage.table) for damage in done.damage] == [("repair.row_differs", "slots")]
    require_whole(path)


def test_where_the_state_cannot_be_had_blocks_are_executed_again(path: Path) -> None:
    (first, *_) = keys_of(path, ACCOUNTS)
    change(path, lambda batch: batch.rows.update({first: None}))
    done = repair(path)
    assert (done.way, done.oldest, done.height) == (BY_EXECUTION, 0, HEIGHT)
    require_whole(path)


def test_older_states_stay_when_asked_for(path: Path) -> None:
    change(path, lambda batch: batch.delete(RECEIPTS, (3, 1)))
    done = repair(path, keep_states=True)
    assert (done.way, done.oldest) == (BY_EXECUTION, 0)
    with Ledger.open(path) as ledger, ledger.snapshot() as snapshot:
        assert snapshot.state(2).account(TOKEN) is not None


@pytest.mark.parametrize(
    ("table", "key"), [(TRANSACTIONS, (5, 1)), (COMMITS, 5)], ids=["transaction", "commit"]
)
def test_a_lost_transaction_or_commit_ends_the_chain_before_it(
    path: Path, table: Table[object, object], key: object
) -> None:
    change(path, lambda batch: batch.delete(table, key))
    done = repair(path)
    assert done.height == 4
    assert [dropped.height for dropped in done.dropped] == [5, 6, 7, 8]
    kept = 4 if table is TRANSACTIONS else 5
    assert [len(dropped.transactions) for dropped in done.dropped] == [kept, 5, 5, 0]
    with Database.open(done.damaged or Path()) as database, database.snapshot() as reads:
        stored = {value for _, value in reads.scan(TRANSACTIONS)}
    for dropped in done.dropped:
        assert {raw for _, raw in dropped.transactions} <= stored
        assert dropped.hashes == tuple(keccak256(raw) for _, raw in dropped.transactions)
    require_whole(path, 4)


def test_going_back_to_a_height(path: Path) -> None:
    done = repair(path, to=3)
    assert done.height == 3
    assert [dropped.height for dropped in done.dropped] == [4, 5, 6, 7, 8]
    assert not done.damage
    require_whole(path, 3)


@pytest.mark.parametrize("name", [b"tip", b"seen_commit", b"genesis"])
def test_single_rows_of_meta(path: Path, name: bytes) -> None:
    with Ledger.open(path) as ledger:
        genesis = ledger.genesis
    change(path, lambda batch: batch.delete(META, name))
    if name == b"genesis":
        with pytest.raises(LedgerError, match=r"repair\.no_genesis"):
            repair(path)
    done = repair_ledger(path, genesis, lambda _: True, stamp=STAMP)
    # Without the commit that was seen for it the last block is not known to be signed.
    height = HEIGHT - (name == b"seen_commit")
    assert done.height == height
    require_whole(path, height)


@pytest.mark.parametrize("file", ["MANIFEST-*", "CURRENT"])
def test_lost_files_of_leveldb(path: Path, file: str) -> None:
    next(path.glob(file)).unlink()
    with pytest.raises(LedgerError, match=r"state\.corrupt"):
        Ledger.open(path)
    done = repair(path)
    assert done.height == HEIGHT
    assert [damage.code for damage in done.damage][:1] == ["repair.unopenable"]
    require_whole(path)


def test_a_lost_log(path: Path) -> None:
    """All blocks were in it: nothing is left but the chain's beginning."""
    for log in path.glob("*.log"):
        log.write_bytes(log.read_bytes()[: log.stat().st_size // 2])
    done = repair(path)
    assert done.height < HEIGHT
    require_whole(path, done.height)


@pytest.mark.parametrize("seed", range(6))
def test_flipped_bits_in_tables(path: Path, template: Path, seed: int) -> None:
    database = plyvel.DB(str(path))
    database.compact_range()
    database.close()
    rng = random.Random(seed)
    table = max(path.glob("*.ldb"), key=lambda file: file.stat().st_size)
    raw = bytearray(table.read_bytes())
    for _ in range(3):
        raw[rng.randrange(len(raw) * 9 // 10)] ^= 1 << rng.randrange(8)
    table.write_bytes(raw)
    with Ledger.open(template) as ledger:
        genesis = ledger.genesis
    done = repair_ledger(path, genesis, lambda _: True, stamp=STAMP)
    assert done.needed
    require_whole(path, done.height)


def test_a_running_node_is_left_alone(path: Path) -> None:
    program = (
        "import sys; from node.state.database import Database; held = Database.open(sys.argv[1]);"
        "print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as node:
        assert node.stdout is not None
        assert node.stdout.readline() == "open\n"
        with pytest.raises(LedgerError, match=r"state\.locked"):
            repair(path)
        node.communicate("")


@pytest.fixture(params=[Retention(recent=3), Retention(recent=2, every=3, keep=1)], ids=str)
def pruned(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Eight blocks, old states given up on the way but for the last block's steps."""
    chain = Chain.create(tmp_path / "ledger")
    chain.ledger.retention = request.param
    for height in range(1, HEIGHT + 1):
        while chain.ledger.prune():
            pass
        chain.add_block([chain.sign(chain.clerk, [mint(bytes([height % 3]) * 20, height)])])
    chain.close()
    return chain.path


def test_an_undamaged_ledger_without_old_states_has_nothing_to_repair(pruned: Path) -> None:
    done = repair(pruned)
    assert not done.needed, done.damage


@pytest.mark.parametrize("keep_states", [False, True])
def test_a_ledger_without_old_states_is_repaired(pruned: Path, keep_states: bool) -> None:
    change(pruned, lambda batch: batch.delete(RECEIPTS, (3, 0)))
    with Ledger.open(pruned) as ledger:
        before = ledger.history
    done = repair(pruned, keep_states=keep_states)
    assert [(damage.code, damage.table) for damage in done.damage] == [("repair.row_missing", "receipts")]
    # A receipt that is gone can only be had by executing the blocks.
    assert (done.way, done.height) == (BY_EXECUTION, HEIGHT)
    with Ledger.open(pruned) as ledger:
        assert (ledger.history.oldest, ledger.history.snapshots) == (before.oldest, before.snapshots)
    assert check_ledger(pruned).ok


def test_a_wrong_balance_in_a_ledger_without_old_states_is_put_right(pruned: Path) -> None:
    with Database.open(pruned) as database:
        batch = Batch()
        with database.snapshot() as reads:
            for key, value in reads.scan(SLOTS, prefix=TOKEN):
                batch.put(SLOTS, key, value + 1)
        database.write(batch)
    done = repair(pruned)
    assert (done.way, done.height) == (FROM_STATE, HEIGHT)
    assert check_ledger(pruned).ok
