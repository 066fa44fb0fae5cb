"""The stages of a transaction's life in the node, as reports name them; `bench.stage_clock` measures them."""

from __future__ import annotations

RPC = "rpc"
ABCI = "abci"
REST = "rest"
COMET = "cometbft"

STAGES: dict[str, tuple[str, str]] = {
    RPC: ("接收", "HTTP, JSON, dispatch; the watcher's reads"),
    "intake": ("收单", "the thread that takes what was submitted: batches, answers"),
    "decode": ("解码", "transaction bytes to fields, canonical only"),
    "signature": ("验签", "sender recovery, WebAuthn and P-256"),
    "check": ("准入检查", "credential, relying party, gas, nonce"),
    "pool": ("交易池", "keep, offer, take out"),
    ABCI: ("共识接口", "ABCI frames and protobuf, forwarding to CometBFT, fetching headers"),
    "prepare": ("组块", "admission again on the parent state, limits"),
    "process": ("审块", "a proposed block's transactions on the parent state"),
    "finalize": ("再检查", "admission again on the state inside the block"),
    "execute": ("执行", "EVM"),
    "receipts": ("回执", "receipts, blooms, results"),
    "seal": ("状态根", "storage tries, account trie"),
    "encode": ("编码", "rows of the batch, header and commit; listeners"),
    "write": ("写盘", "LevelDB batch, fsync"),
    "block": ("区块", "header, parts, hashes, commit signatures"),
    "headers": ("区块头", "CometBFT's headers and commits, verified and saved"),
    REST: ("其他", "LevelDB's own threads, pruning, interpreter"),
    COMET: ("CometBFT", "its whole process: gossip, votes, block store, log"),
}
"""Chinese name and what is in it, in the order a transaction meets them."""
OF_NETWORKS = frozenset((ABCI, "process", "headers", COMET))
"""Stages of a node that CometBFT drives only."""
OF_ONE_NODE = frozenset(("block",))
"""Stages of a node that makes its blocks alone only."""


Spent = dict[str, dict[str, float]]
"""Seconds by stage: `{"cpu": …, "wall": …}`."""


def spent_between(before: Spent, after: Spent) -> Spent:
    """What was spent from one answer of `StageClock.totals` to the next."""
    return {
        stage: {clock: total - before.get(stage, {}).get(clock, 0.0) for clock, total in totals.items()}
        for stage, totals in after.items()
    }
