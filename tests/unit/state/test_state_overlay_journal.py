"""What execution relies on in an overlay besides values: code identity, one journal, stacking."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.chain.encoding import keccak256
from node.chain.errors import LedgerError
from node.state.account import EMPTY_ACCOUNT, EMPTY_CODE_HASH
from node.state.database import Batch, Database
from node.state.nodes import EMPTY_ROOT
from node.state.overlay import Overlay, StateChange, add_state_change
from node.state.views import FlatView

CONTRACT, OTHER = b"\x0c" * 20, b"\x0d" * 20
CODE = b"\x60\x01\x60\x02"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database.create(tmp_path / "ledger") as opened:
        yield opened


def write(database: Database, height: int, change: StateChange) -> None:
    batch = Batch()
    add_state_change(batch, height, change)
    database.write(batch, sync=False)


def with_contract(database: Database) -> bytes:
    """The state root after a block that made CONTRACT with code and slots 1 and 2."""
    with database.snapshot() as snapshot:
        overlay = Overlay(FlatView(snapshot, EMPTY_ROOT))
        overlay.set_account(CONTRACT, EMPTY_ACCOUNT._replace(nonce=1, code_hash=overlay.add_code(CODE)))
        overlay.set_storage(CONTRACT, 1, 11)
        overlay.set_storage(CONTRACT, 2, 22)
        change = overlay.seal()
    write(database, 1, change)
    return change.state_root


def test_code_is_the_same_object_each_time(database: Database) -> None:
    root = with_contract(database)
    with database.snapshot() as first, database.snapshot() as second:
        code = FlatView(first, root).code(keccak256(CODE))
        assert code == CODE
        assert FlatView(second, root).code(keccak256(CODE)) is code
        assert Overlay(FlatView(second, root)).code(keccak256(CODE)) is code
        assert FlatView(first, root).code(EMPTY_CODE_HASH) == b""
        with pytest.raises(LedgerError, match=r"state\.code_missing"):
            Overlay(FlatView(first, root)).code(bytes(32))


def test_code_nobody_has_at_the_end_is_not_stored(database: Database) -> None:
    with database.snapshot() as snapshot:
        overlay = Overlay(FlatView(snapshot, EMPTY_ROOT))
        mark = overlay.checkpoint()
        overlay.set_account(CONTRACT, EMPTY_ACCOUNT._replace(code_hash=overlay.add_code(CODE)))
        assert overlay.code(keccak256(CODE)) is CODE
        overlay.revert(mark)
        assert overlay.seal().codes == {}
        overlay.set_account(OTHER, EMPTY_ACCOUNT._replace(code_hash=overlay.add_code(CODE)))
        assert overlay.seal().codes == {keccak256(CODE): CODE}


def test_a_foreign_dictionary_is_restored_by_the_same_journal(database: Database) -> None:
    warm: dict[bytes, bool] = {}
    transient = {b"slot": 1}
    with database.snapshot() as snapshot:
        overlay = Overlay(FlatView(snapshot, EMPTY_ROOT))
        outer = overlay.checkpoint()
        overlay.remember(warm, CONTRACT)
        warm[CONTRACT] = True
        inner = overlay.checkpoint()
        overlay.remember(transient, b"slot")
        transient[b"slot"] = 2
        overlay.set_storage(CONTRACT, 1, 5)
        overlay.revert(inner)
        assert (warm, transient) == ({CONTRACT: True}, {b"slot": 1})
        overlay.revert(outer)
        assert warm == {}


def test_an_inner_commit_at_the_same_place_can_still_be_undone_outside(database: Database) -> None:
    with database.snapshot() as snapshot:
        overlay = Overlay(FlatView(snapshot, EMPTY_ROOT))
        outer = overlay.checkpoint()
        inner = overlay.checkpoint()
        overlay.set_storage(CONTRACT, 1, 5)
        overlay.commit(inner)
        overlay.revert(outer)
        assert overlay.storage(CONTRACT, 1) == 0


def test_what_is_written_back_is_no_change(database: Database) -> None:
    root = with_contract(database)
    with database.snapshot() as snapshot:
        overlay = Overlay(FlatView(snapshot, root))
        account = overlay.account(CONTRACT)
        assert account is not None
        overlay.set_account(CONTRACT, account._replace(nonce=9))
        overlay.set_storage(CONTRACT, 1, 99)
        overlay.set_storage(CONTRACT, 1, 11)
        overlay.set_account(CONTRACT, account)
        overlay.storage(OTHER, 5)
        assert overlay.seal() == StateChange(root, {}, {}, {}, {}, ())


def test_a_wipe_reaches_slots_that_were_never_read_and_can_be_undone(database: Database) -> None:
    root = with_contract(database)
    with database.snapshot() as snapshot:
        overlay = Overlay(FlatView(snapshot, root))
        assert overlay.storage(CONTRACT, 1) == 11
        mark = overlay.checkpoint()
        overlay.wipe_storage(CONTRACT)
        overlay.set_storage(CONTRACT, 3, 33)
        assert [overlay.storage(CONTRACT, slot) for slot in (1, 2, 3)] == [0, 0, 33]
        change = overlay.seal()
        assert change.slots == {(CONTRACT, 1): 0, (CONTRACT, 2): 0, (CONTRACT, 3): 33}
        overlay.revert(mark)
        assert [overlay.storage(CONTRACT, slot) for slot in (1, 2, 3)] == [11, 22, 0]
        assert overlay.seal().state_root == root


def test_a_wiped_account_that_is_filled_as_it_was_is_no_change(database: Database) -> None:
    root = with_contract(database)
    with database.snapshot() as snapshot:
        overlay = Overlay(FlatView(snapshot, root))
        overlay.wipe_storage(CONTRACT)
        overlay.set_storage(CONTRACT, 2, 22)
        overlay.set_storage(CONTRACT, 1, 11)
        assert overlay.seal() == StateChange(root, {}, {}, {}, {}, ())


def test_an_account_that_comes_back_in_the_same_block_has_empty_storage(database: Database) -> None:
    root = with_contract(database)
    with database.snapshot() as snapshot:
        overlay = Overlay(FlatView(snapshot, root))
        overlay.delete_account(CONTRACT)
        assert overlay.account(CONTRACT) is None
        overlay.set_account(CONTRACT, EMPTY_ACCOUNT._replace(balance=1))
        assert overlay.storage(CONTRACT, 1) == 0
        change = overlay.seal()
    assert change.accounts == {CONTRACT: EMPTY_ACCOUNT._replace(balance=1)}
    write(database, 2, change)
    with database.snapshot() as snapshot:
        assert list(FlatView(snapshot, change.state_root).slots(CONTRACT)) == []


def test_storage_without_an_account_is_dropped(database: Database) -> None:
    with database.snapshot() as snapshot:
        overlay = Overlay(FlatView(snapshot, EMPTY_ROOT))
        overlay.set_storage(CONTRACT, 1, 5)
        assert overlay.seal() == StateChange(EMPTY_ROOT, {}, {}, {}, {}, ())


def test_an_overlay_on_an_overlay_is_a_trial(database: Database) -> None:
    root = with_contract(database)
    with database.snapshot() as snapshot:
        block = Overlay(FlatView(snapshot, root))
        block.set_storage(CONTRACT, 1, 100)
        trial = Overlay(block)
        trial.set_storage(CONTRACT, 1, 200)
        trial.set_storage(CONTRACT, 2, 0)
        assert trial.storage(CONTRACT, 1) == 200
        assert trial.account(CONTRACT) == block.account(CONTRACT)
        assert [block.storage(CONTRACT, slot) for slot in (1, 2)] == [100, 22]
