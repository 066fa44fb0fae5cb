"""A node's part behind ABCI on a real ledger, which a test can crash and open again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from network.comet import abci_pb2 as pb
from network.comet.application import Application
from network.comet.forwarding import Forwarding
from network.comet.headers import HeaderCursor
from network.comet.peers import PeerFilter
from network.comet.state_sync import StateSync
from network.intake import Intake, Outcome
from node.chain.encoding import keccak256
from node.ledger import Ledger
from node.ledger.shelf import Shelf
from node.txpool import TransactionPool
from tests.helpers.ledger import SECOND_NS, Chain
from tests.network.comet.model_comet import ModelComet, set_time


class Machine:
    """Ledger, pool, intake and application; the ledger must have been created. Belongs to one event loop."""

    def __init__(
        self,
        path: Path,
        comet: ModelComet,
        on_step: Callable[[str], None] | None = None,
        bootstrap: Sequence[str] = (),
    ) -> None:
        self.comet = comet
        self.ledger = Ledger.open(path, on_step=on_step)
        self.chain = Chain(self.ledger)
        self.clock_ahead_ns = SECOND_NS
        self.forwarding = Forwarding()
        self.pool = TransactionPool(self.ledger, on_ready=self.forwarding.ready)
        self.intake = Intake(self.ledger, self.pool, self.now_ns, lambda hashes: None)
        self.cursor = HeaderCursor(self.ledger, comet)
        self.application = Application(
            self.ledger,
            self.pool,
            self.intake.submit,
            self.forwarding,
            self.cursor,
            PeerFilter(self.ledger, bootstrap),
            StateSync(self.ledger, Shelf(path.parent / "snapshots"), self.cursor),
            self.now_ns,
        )

    def now_ns(self) -> int:
        return self.ledger.tip.time_ns + self.clock_ahead_ns

    def close(self) -> None:
        """What kill -9 leaves: nothing more is written."""
        self.application.stop()
        self.intake.stop()
        self.ledger.close()

    @property
    def height(self) -> int:
        return self.ledger.tip.height

    async def submit(self, *raws: bytes) -> list[Outcome]:
        """As JSON-RPC does."""
        return await self.intake.submit(raws)

    async def check(self, *raws: bytes, recheck: bool = False) -> list[int]:
        """CheckTx; the codes."""
        kind = pb.RECHECK if recheck else pb.NEW
        answers = await self.application.check_txs([pb.RequestCheckTx(tx=raw, type=kind) for raw in raws])
        return [answer.code for answer in answers]

    async def propose(self, max_bytes: int = 1 << 20) -> list[bytes]:
        """PrepareProposal for the next height."""
        block = self.comet.decide(())
        request = pb.RequestPrepareProposal(
            max_tx_bytes=max_bytes, height=block.header.height, txs=[b"what CometBFT suggests"]
        )
        set_time(request.time, block.header.time_ns)
        return list((await self.application.prepare_proposal(request)).txs)

    async def judge(self, transactions: Sequence[bytes]) -> bool:
        """ProcessProposal for the next height: whether it was accepted."""
        block = self.comet.decide(transactions)
        request = pb.RequestProcessProposal(txs=transactions, height=block.header.height, hash=block.hash)
        set_time(request.time, block.header.time_ns)
        answer = await self.application.process_proposal(request)
        assert answer.status in (pb.ResponseProcessProposal.ACCEPT, pb.ResponseProcessProposal.REJECT)
        return answer.status == pb.ResponseProcessProposal.ACCEPT

    async def add(self, *transactions: bytes) -> None:
        """A block with these goes through."""
        await self.comet.height(self.application, self.comet.decide(transactions))

    async def fetch_headers(self) -> None:
        """Let the cursor come to the tip."""
        task = asyncio.create_task(self.cursor.run())
        async with asyncio.timeout(20):
            while self.cursor.next_height <= self.height and not task.done() and not self.cursor.alarm:
                await asyncio.sleep(0.002)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def hash_of(raw: bytes) -> bytes:
    return keccak256(raw)
