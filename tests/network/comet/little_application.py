"""A small ABCI application, for tests of what stands around CometBFT: it keeps transactions in memory.

app_hash is sha256 of the one before and the block's transactions (unchanged by an empty block), so two nodes
with one history have one hash. A transaction that begins with ``bad`` is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from network.comet import abci_pb2 as pb


class LittleApplication:
    """Implements `network.comet.server.Handler`. Tests may set what it claims and refuses."""

    def __init__(self) -> None:
        self.height = 0
        self.app_hash = bytes(32)
        self.committed: list[bytes] = []
        self.refused_peers: set[str] = set()
        self.faults: dict[str, str] = {}
        """Method -> what it raises."""
        self._finalized: tuple[int, bytes, list[bytes]] | None = None

    async def check_txs(self, requests: Sequence[pb.RequestCheckTx]) -> list[pb.ResponseCheckTx]:
        return [pb.ResponseCheckTx(code=int(one.tx.startswith(b"bad"))) for one in requests]

    async def info(self, request: pb.RequestInfo) -> pb.ResponseInfo:
        return pb.ResponseInfo(
            app_version=1, last_block_height=self.height, last_block_app_hash=self.app_hash
        )

    async def query(self, request: pb.RequestQuery) -> pb.ResponseQuery:
        return pb.ResponseQuery(code=int(request.path.rpartition("/")[2] in self.refused_peers))

    async def init_chain(self, request: pb.RequestInitChain) -> pb.ResponseInitChain:
        return pb.ResponseInitChain(app_hash=self.app_hash)

    async def prepare_proposal(self, request: pb.RequestPrepareProposal) -> pb.ResponsePrepareProposal:
        return pb.ResponsePrepareProposal(txs=request.txs)

    async def process_proposal(self, request: pb.RequestProcessProposal) -> pb.ResponseProcessProposal:
        return pb.ResponseProcessProposal(status=pb.ResponseProcessProposal.ACCEPT)

    async def extend_vote(self, request: pb.RequestExtendVote) -> pb.ResponseExtendVote:
        raise NotImplementedError

    async def verify_vote_extension(
        self, request: pb.RequestVerifyVoteExtension
    ) -> pb.ResponseVerifyVoteExtension:
        raise NotImplementedError

    async def finalize_block(self, request: pb.RequestFinalizeBlock) -> pb.ResponseFinalizeBlock:
        if "finalize_block" in self.faults:
            raise RuntimeError(self.faults["finalize_block"])
        txs = list(request.txs)
        app_hash = hashlib.sha256(self.app_hash + b"".join(txs)).digest() if txs else self.app_hash
        self._finalized = (request.height, app_hash, txs)
        return pb.ResponseFinalizeBlock(tx_results=[pb.ExecTxResult() for _ in txs], app_hash=app_hash)

    async def commit(self, request: pb.RequestCommit) -> pb.ResponseCommit:
        assert self._finalized is not None
        self.height, self.app_hash, txs = self._finalized
        self.committed += txs
        return pb.ResponseCommit()

    async def list_snapshots(self, request: pb.RequestListSnapshots) -> pb.ResponseListSnapshots:
        return pb.ResponseListSnapshots()

    async def offer_snapshot(self, request: pb.RequestOfferSnapshot) -> pb.ResponseOfferSnapshot:
        raise NotImplementedError

    async def load_snapshot_chunk(self, request: pb.RequestLoadSnapshotChunk) -> pb.ResponseLoadSnapshotChunk:
        raise NotImplementedError

    async def apply_snapshot_chunk(
        self, request: pb.RequestApplySnapshotChunk
    ) -> pb.ResponseApplySnapshotChunk:
        raise NotImplementedError
