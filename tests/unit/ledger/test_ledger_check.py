"""check_ledger finds nothing in a good data directory, and everything that is changed in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from node.chain.commit import decode_commit, encode_commit
from node.chain.errors import LedgerError
from node.chain.header import decode_header, encode_header
from node.chain.rules import FIRST_RULES
from node.ledger.check import check_ledger
from node.ledger.findings import Report
from node.state.database import Batch, Database
from node.state.snapshot import DatabaseSnapshot
from node.state.tables import (
    ACCOUNTS,
    BLOCKS,
    COMMITS,
    HEADERS,
    LOGS_BY_ADDRESS,
    NODES,
    RECEIPTS,
    SENDERS,
    SLOTS,
    TRANSACTION_HASHES,
    TRANSACTIONS,
    VALIDATORS,
    Table,
)
from tests.helpers.ledger import TOKEN, Chain, make_genesis, mint, set_rules, set_validators, transfer
from tests.unit.ledger.test_ledger_membership import OWN

TO = b"\x77" * 20


@pytest.fixture
def path(chain: Chain) -> Path:
    """A closed data directory of six blocks: transfers, a failure, rules and validators that change, junk."""
    chain.add_block(
        [chain.sign(chain.clerk, [mint(TO, 3)]), chain.sign(chain.service, [mint(TO, 4)]), b"junk"]
    )
    chain.add_block([chain.sign(chain.judge, [transfer(TO, 1)])])
    rules = replace(FIRST_RULES, version=2, activation_height=5, byte_gas=9)
    chain.add_block(
        [chain.sign(chain.clerk, [set_rules(rules), set_validators(2, [replace(OWN, power=12)])])]
    )
    for _ in range(3):
        chain.add_block([chain.sign(chain.clerk, [transfer(TO, 1)])])
    chain.close()
    return chain.path


def change(path: Path, edit: Callable[[Batch, DatabaseSnapshot], None]) -> Report:
    """The report after `edit` has put rows into a batch."""
    with Database.open(path) as database:
        batch = Batch()
        with database.snapshot() as reads:
            edit(batch, reads)
        database.write(batch)
    return check_ledger(path)


def codes(report: Report) -> set[str]:
    return {finding.code for finding in report.findings}


def test_a_good_directory_is_good(path: Path) -> None:
    seen: list[tuple[int, int]] = []
    report = check_ledger(path, progress=lambda done, total: seen.append((done, total)))
    assert report.ok, report.findings
    assert (report.height, report.transactions, report.headers, report.commits) == (6, 8, 6, 6)
    assert report.rows > 100
    assert seen == [(height, 6) for height in range(1, 7)]


def test_checking_changes_nothing(path: Path) -> None:
    check_ledger(path)
    assert check_ledger(path).ok


def test_the_genesis_must_be_the_one_expected(path: Path) -> None:
    assert codes(check_ledger(path, make_genesis(Chain.people(), purpose="production"))) == {"check.genesis"}


def test_a_missing_tail_of_headers_is_accepted(path: Path) -> None:
    def edit(batch: Batch, _: DatabaseSnapshot) -> None:
        for height in (5, 6):
            batch.delete(HEADERS, height)
        for height in (4, 5):
            batch.delete(COMMITS, height)

    report = change(path, edit)
    assert report.ok, report.findings
    assert report.headers == 4


def test_a_hole_in_the_headers_is_found(path: Path) -> None:
    assert "check.header_missing" in codes(change(path, lambda batch, _: batch.delete(HEADERS, 3)))


FIELDS = {
    "time_ns": 1, "app_hash": bytes(32), "last_results_hash": bytes(32), "validators_hash": bytes(32),
    "next_validators_hash": bytes(32), "consensus_hash": bytes(32), "data_hash": bytes(32), "app_version": 7,
    "proposer_address": bytes(20), "last_commit_hash": bytes(32), "chain_name": "another",
}  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_of_a_header_is_checked(path: Path, field: str) -> None:
    def edit(batch: Batch, reads: DatabaseSnapshot) -> None:
        header = decode_header(reads.get(HEADERS, 4) or b"")
        batch.put(HEADERS, 4, encode_header(replace(header, **{field: FIELDS[field]})))

    name = {"time_ns": "time"}.get(field, field)
    assert codes(change(path, edit)) >= {f"check.header.{name}", "check.header.hash"}


def test_a_commit_must_be_signed(path: Path) -> None:
    def edit(batch: Batch, reads: DatabaseSnapshot) -> None:
        commit = decode_commit(reads.get(COMMITS, 3) or b"")
        forged = replace(commit.signatures[0], signature=bytes(64))
        batch.put(COMMITS, 3, encode_commit(replace(commit, signatures=(forged,))))

    assert codes(change(path, edit)) >= {"check.commit", "check.header.last_commit_hash"}


def test_the_commit_of_the_tip_must_be_of_the_tip(path: Path) -> None:
    def edit(batch: Batch, reads: DatabaseSnapshot) -> None:
        commit = reads.get(COMMITS, 3) or b""
        batch.rows[b"mseen_commit"] = (6).to_bytes(8, "big") + commit

    assert "check.commit" in codes(change(path, edit))


@pytest.mark.parametrize(
    "table",
    [ACCOUNTS, SLOTS, NODES, RECEIPTS, SENDERS, TRANSACTION_HASHES, LOGS_BY_ADDRESS, VALIDATORS],
    ids=lambda table: table.name,
)
def test_a_row_that_is_gone_is_found(path: Path, table: Table[object, object]) -> None:
    # Of the trie the last nodes only: a root that is gone cannot even be read.
    def edit(batch: Batch, reads: DatabaseSnapshot) -> None:
        cursor = reads.key_cursor(table.prefix)
        keys = [cursor.seek(b"")]
        while keys[-1] is not None:
            keys.append(cursor.next())
        cursor.close()
        batch.rows[table.prefix + (keys[-2] or b"")] = None

    assert "check.row_missing" in codes(change(path, edit))


def test_a_stray_row_is_found(path: Path) -> None:
    def edit(batch: Batch, _: DatabaseSnapshot) -> None:
        batch.put(SENDERS, (TO, 2, 9), b"")
        batch.rows[b"zebra"] = b"of no table"

    report = change(path, edit)
    assert codes(report) == {"check.stray_row"}
    assert len(report.findings) == 2


def test_a_forged_balance_is_found_twice(path: Path) -> None:
    def edit(batch: Batch, reads: DatabaseSnapshot) -> None:
        for key, value in reads.scan(SLOTS, prefix=TOKEN):
            batch.put(SLOTS, key, value + 1)

    assert codes(change(path, edit)) == {"check.row_differs", "check.flat_slot"}


def test_a_forged_transaction_is_found_by_executing_it(path: Path) -> None:
    report = change(path, lambda batch, reads: batch.put(TRANSACTIONS, (1, 1), b"other"))
    assert codes(report) >= {
        "check.app_hash",
        "check.results_hash",
        "check.row_differs",
        "check.header.data_hash",
    }


def test_a_missing_last_block_is_found(path: Path) -> None:
    assert "check.block_missing" in codes(change(path, lambda batch, _: batch.delete(BLOCKS, 6)))


def test_a_directory_with_a_block_missing_below_the_tip_is_not_opened(path: Path) -> None:
    with pytest.raises(LedgerError) as caught:
        change(path, lambda batch, _: batch.delete(BLOCKS, 4))
    assert caught.value.code == "state.corrupt"
