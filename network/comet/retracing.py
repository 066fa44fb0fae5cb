"""A ledger that is ahead of its CometBFT: one restored from a backup, or whose CometBFT has lost its data.

CometBFT refuses an application that is ahead of it. So until it has come to the ledger's height, the ledger
says to be where CometBFT is, and answers what CometBFT gives it again from what it holds: nothing is
executed, nothing written, and every block must be the one that the ledger holds. CometBFT comes to it in one
of two ways, both its own: fetching every block since the first from its peers, or by state sync, where a
snapshot that the ledger is past already is accepted for its state root, and its chunks are taken as read.

Where CometBFT is stands in a file beside its settings, renewed with every commit and not synced. It may be
behind what CometBFT holds after a power cut, never ahead: CometBFT then gives the blocks between once more.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, Self

import structlog

from network.comet import abci_pb2 as pb
from network.comet.faults import CometFault
from node.chain.errors import LedgerError
from node.chain.validators import Validator, validator_updates
from node.ledger import Ledger, LedgerSnapshot
from node.ledger.statesync import FORMAT

_log = structlog.get_logger("network.comet.retracing")

MARKER: Final = "retracing.json"


class Retracing:
    """See the module. For the consensus thread; `height` and `version` for any."""

    def __init__(self, file: Path, ledger: Ledger, height: int) -> None:
        """Only for `begin`."""
        self._file = file
        self._ledger = ledger
        self._height = height
        self._pending = 0
        self._offered: tuple[int, int] | None = None

    @classmethod
    def begin(cls, comet: Path, ledger: Ledger) -> Self | None:
        """At a start: whether CometBFT, whose directory this is, is to come after the ledger. None where it
        has all blocks, or the ledger none.
        """
        file = comet / MARKER
        tip = ledger.tip.height
        try:
            height = int(json.loads(file.read_bytes())["height"])
        except FileNotFoundError:
            if (comet / "data" / "blockstore.db").exists() or tip < ledger.genesis.initial_height:
                return None
            height = 0
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CometFault("comet.retracing", f"cannot be read: {error}", str(file)) from error
        if height >= tip:
            file.unlink(missing_ok=True)
            return None
        _log.info("CometBFT comes after the ledger", comet=height, ledger=tip)
        retracing = cls(file, ledger, height)
        retracing._save()
        return retracing

    @property
    def height(self) -> int:
        """What CometBFT is told: 0 before its first block."""
        return self._height

    @property
    def is_done(self) -> bool:
        return self._height >= self._ledger.tip.height

    @property
    def app_hash(self) -> bytes:
        """After the block of `height`; of the genesis state before the first."""
        genesis = self._ledger.genesis
        with self._ledger.snapshot() as snapshot:
            record = snapshot.block(self._height or genesis.initial_height - 1)
        return b"" if record is None else record.state_root

    @property
    def version(self) -> int:
        """Of the rules in force after `height`; of the genesis' until the second block, as always."""
        genesis = self._ledger.genesis
        if self._height <= genesis.initial_height:
            return genesis.rules.version
        with self._ledger.snapshot() as snapshot:
            return _version_at(snapshot, self._height + 1)

    def finalize(self, request: pb.RequestFinalizeBlock) -> pb.ResponseFinalizeBlock:
        """What the block did when it was executed. Raises CometFault comet.other_block; LedgerError
        ledger.history_unavailable.
        """
        height = request.height
        with self._ledger.snapshot() as snapshot:
            record = snapshot.block(height)
            snapshot.require_block(height)
            if record is None or record.hash != request.hash:
                raise CometFault(
                    "comet.other_block",
                    f"the ledger holds another block {height} than the network",
                    request.hash,
                    None if record is None else record.hash,
                )
            updates = validator_updates(_set_at(snapshot, height + 1), _set_at(snapshot, height + 2))
            response = pb.ResponseFinalizeBlock(
                tx_results=[
                    pb.ExecTxResult(
                        code=one.result.code,
                        data=one.result.data,
                        gas_wanted=one.result.gas_wanted,
                        gas_used=one.result.gas_used,
                    )
                    for one in snapshot.receipts(height)
                ],
                validator_updates=[
                    pb.ValidatorUpdate(pub_key=pb.PublicKey(ed25519=one.public_key), power=one.power)
                    for one in updates
                ],
                app_hash=record.state_root,
            )
            version = _version_at(snapshot, height + 1)
            if version != record.rules_version:
                response.consensus_param_updates.version.app = version
        self._pending = height
        return response

    def commit(self) -> None:
        """CometBFT has the block that was given last."""
        self._height = self._pending
        self._save()

    def offer(self, request: pb.RequestOfferSnapshot) -> pb.ResponseOfferSnapshot:
        """A snapshot of a state that the ledger has been through."""
        answer, one = pb.ResponseOfferSnapshot, request.snapshot
        self._offered = None
        if one.format != FORMAT:
            return answer(result=answer.REJECT_FORMAT)
        if self._height or not 0 < one.height <= self._ledger.tip.height:
            return answer(result=answer.REJECT)
        with self._ledger.snapshot() as snapshot:
            try:
                record = snapshot.block(one.height)
            except LedgerError:
                record = None
        if record is None or record.state_root != request.app_hash:
            return answer(result=answer.REJECT)
        self._offered = (one.height, one.chunks)
        return answer(result=answer.ACCEPT)

    def apply(self, request: pb.RequestApplySnapshotChunk) -> pb.ResponseApplySnapshotChunk:
        """Of that snapshot; the ledger needs none of it."""
        answer = pb.ResponseApplySnapshotChunk
        if self._offered is None:
            return answer(result=answer.ABORT)
        height, chunks = self._offered
        if request.index == chunks - 1:
            self._height = height
            self._save()
        return answer(result=answer.ACCEPT)

    def _save(self) -> None:
        if self.is_done:
            self._file.unlink(missing_ok=True)
            _log.info("CometBFT has come to the ledger's height", height=self._height)
            return
        beside = self._file.with_name(self._file.name + ".part")
        beside.write_text(json.dumps({"height": self._height}))
        beside.replace(self._file)


def _set_at(snapshot: LedgerSnapshot, height: int) -> tuple[Validator, ...]:
    return tuple(Validator(one.public_key, one.power) for one in snapshot.validators(height))


def _version_at(snapshot: LedgerSnapshot, height: int) -> int:
    record = snapshot.block(height) if height <= snapshot.tip.height else None
    return snapshot.rules.version if record is None else record.rules_version
