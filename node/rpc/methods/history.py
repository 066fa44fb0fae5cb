"""Whole blocks for a node that began at a later one and fills in what is below (`node.ledger.backfill`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import orjson

from node.ledger.past import PastBlock, past_blocks
from node.rpc.errors import limited
from node.rpc.formats import Json, data
from node.rpc.method import Kind, Method, Parameter
from node.rpc.parameters import parse_count
from node.rpc.request import Request

MOST_BLOCKS: Final = 256
MOST_BYTES: Final = 1 << 20
"""Of blocks in one answer, before they become text twice as long; one block at least."""


def history(request: Request, start: int, count: int) -> orjson.Fragment:
    """Blocks from `start` downwards, at most `count`, fewer where they are large.

    Each with its header, the commit that the next block carries for it, transactions, encoded receipts, and
    its validators where the next block's are others.
    """
    if not 0 < count <= MOST_BLOCKS:
        raise limited("rpc.history_count", "too many blocks", count, MOST_BLOCKS)

    def each() -> Iterator[Json]:
        for block in past_blocks(request.ledger, start, count, MOST_BYTES, request.stop_if_late):
            yield _block_json(block)

    return request.encode_each(each())


def _block_json(block: PastBlock) -> Json:
    return {
        "header": data(block.header),
        "commit": data(block.commit),
        "transactions": [data(raw) for raw in block.transactions],
        "receipts": [data(encoded) for encoded in block.receipts],
        "validators": None
        if block.signers is None
        else [{"publicKey": data(one.public_key), "power": hex(one.power)} for one in block.signers],
    }


METHODS = (
    Method(
        "shelian_getHistory",
        history,
        (Parameter("from", parse_count), Parameter("count", parse_count)),
        Kind.WORK,
        cost=50,
    ),
)
