"""The stages of a transaction's life in the node, as reports name them; `bench.stage_clock` measures them."""

from __future__ import annotations

RPC = "rpc"
REST = "rest"

STAGES: dict[str, tuple[str, str]] = {
    RPC: ("接收", "HTTP, JSON, dispatch; the watcher's reads"),
    "intake": ("收单", "the thread that takes what was submitted: batches, answers"),
    "decode": ("解码", "transaction bytes to fields, canonical only"),
    "signature": ("验签", "sender recovery, WebAuthn and P-256"),
    "check": ("准入检查", "credential, relying party, gas, nonce"),
    "pool": ("交易池", "keep, offer, take out"),
    "prepare": ("组块", "admission again on the parent state, limits"),
    "finalize": ("再检查", "admission again on the state inside the block"),
    "execute": ("执行", "EVM"),
    "receipts": ("回执", "receipts, blooms, results"),
    "seal": ("状态根", "storage tries, account trie"),
    "encode": ("编码", "rows of the batch, header and commit; listeners"),
    "write": ("写盘", "LevelDB batch, fsync"),
    "block": ("区块", "header, parts, hashes, commit signatures"),
    REST: ("其他", "LevelDB's own threads, pruning, interpreter"),
}
"""Chinese name and what is in it, in the order a transaction meets them."""


Spent = dict[str, dict[str, float]]
"""Seconds by stage: `{"cpu": …, "wall": …}`."""


def spent_between(before: Spent, after: Spent) -> Spent:
    """What was spent from one answer of `StageClock.totals` to the next."""
    return {
        stage: {clock: total - before.get(stage, {}).get(clock, 0.0) for clock, total in totals.items()}
        for stage, totals in after.items()
    }
