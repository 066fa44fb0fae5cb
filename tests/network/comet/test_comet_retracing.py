"""A CometBFT that comes after the ledger is told what the blocks did when they were executed, no more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from network.comet import abci_pb2 as pb
from network.comet.faults import CometFault
from network.comet.retracing import MARKER, Retracing
from node.chain.header import decode_header, header_hash
from node.chain.validators import Validator, apply_updates, validators_hash
from node.ledger import Ledger
from tests.helpers.history import make_history


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    chain, _ = make_history(tmp_path_factory.mktemp("history"))
    yield chain.ledger
    chain.close()


@pytest.fixture
def comet(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path


def begin(comet: Path, ledger: Ledger) -> Retracing:
    retracing = Retracing.begin(comet, ledger)
    assert retracing is not None
    return retracing


def request(ledger: Ledger, height: int) -> pb.RequestFinalizeBlock:
    with ledger.snapshot() as snapshot:
        header = decode_header(snapshot.header(height) or b"")
        return pb.RequestFinalizeBlock(
            height=height, hash=header_hash(header), txs=snapshot.transactions(height)
        )


def test_each_answer_is_what_the_headers_say(ledger: Ledger, comet: Path) -> None:
    """CometBFT makes the next header of an answer: state root, results, validators, version."""
    retracing = begin(comet, ledger)
    with ledger.snapshot() as snapshot:
        told = tuple(Validator(one.public_key, one.power) for one in snapshot.validators(2))
        headers = {
            height: decode_header(snapshot.header(height) or b"")
            for height in range(1, ledger.tip.height + 1)
        }
        assert retracing.app_hash == headers[1].app_hash
        assert retracing.version == headers[1].app_version
        version = headers[1].app_version
        for height in range(1, ledger.tip.height):
            answer = retracing.finalize(request(ledger, height))
            retracing.commit()
            header = headers[height + 1]
            assert answer.app_hash == header.app_hash == retracing.app_hash
            assert len(answer.tx_results) == len(snapshot.transactions(height))
            updates = [Validator(one.pub_key.ed25519, one.power) for one in answer.validator_updates]
            told = apply_updates(told, updates)
            assert validators_hash(told) == header.next_validators_hash
            if answer.HasField("consensus_param_updates"):
                version = answer.consensus_param_updates.version.app
            assert version == header.app_version
            assert retracing.height == height
            if height > 1:
                assert retracing.version == header.app_version
    assert version == 2
    assert (comet / MARKER).exists()
    retracing.finalize(request(ledger, ledger.tip.height))
    retracing.commit()
    assert retracing.is_done
    assert not (comet / MARKER).exists()


def test_cut_off_it_goes_on_where_it_was(ledger: Ledger, comet: Path) -> None:
    retracing = begin(comet, ledger)
    for height in (1, 2, 3):
        retracing.finalize(request(ledger, height))
        retracing.commit()
    (comet / "data" / "blockstore.db").mkdir()
    assert begin(comet, ledger).height == 3


def test_another_block_is_refused(ledger: Ledger, comet: Path) -> None:
    retracing = begin(comet, ledger)
    other = request(ledger, 3)
    other.height = 2
    for wrong in (other, pb.RequestFinalizeBlock(height=ledger.tip.height + 1, hash=b"\x01" * 32)):
        with pytest.raises(CometFault, match=r"comet\.other_block"):
            retracing.finalize(wrong)


def test_with_its_blocks_there_nothing_is_retraced(ledger: Ledger, comet: Path) -> None:
    (comet / "data" / "blockstore.db").mkdir()
    assert Retracing.begin(comet, ledger) is None
    (comet / MARKER).write_text("{}")
    with pytest.raises(CometFault, match=r"comet\.retracing"):
        Retracing.begin(comet, ledger)


def test_an_empty_ledger_has_nothing_to_come_after(ledger: Ledger, comet: Path, tmp_path: Path) -> None:
    with Ledger.create(tmp_path / "empty", ledger.genesis) as empty:
        assert Retracing.begin(comet, empty) is None


def test_a_snapshot_it_is_past_is_taken_for_its_root_alone(ledger: Ledger, comet: Path) -> None:
    retracing = begin(comet, ledger)
    answer, applied = pb.ResponseOfferSnapshot, pb.ResponseApplySnapshotChunk

    def offer(height: int, root: bytes, format: int = 1) -> int:
        snapshot = pb.Snapshot(height=height, format=format, chunks=2)
        return int(retracing.offer(pb.RequestOfferSnapshot(snapshot=snapshot, app_hash=root)).result)

    with ledger.snapshot() as snapshot:
        record = snapshot.block(9)
    assert record is not None
    assert retracing.apply(pb.RequestApplySnapshotChunk(index=0)).result == applied.ABORT
    assert offer(9, record.state_root, format=7) == answer.REJECT_FORMAT
    assert offer(9, b"\x01" * 32) == answer.REJECT
    assert offer(ledger.tip.height + 1, record.state_root) == answer.REJECT
    assert offer(9, record.state_root) == answer.ACCEPT
    for index in (0, 1):
        assert retracing.height == 0
        assert retracing.apply(pb.RequestApplySnapshotChunk(index=index)).result == applied.ACCEPT
    assert (retracing.height, retracing.app_hash) == (9, record.state_root)
    assert offer(9, record.state_root) == answer.REJECT, "CometBFT has blocks already"
    retracing.finalize(request(ledger, 10))
    retracing.commit()
    assert retracing.height == 10
