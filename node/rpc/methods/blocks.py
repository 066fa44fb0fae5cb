"""Blocks by number and hash."""

from __future__ import annotations

from node.rpc.blocks import block_of
from node.rpc.formats import Json
from node.rpc.method import Kind, Method, Parameter
from node.rpc.parameters import BlockSelector, parse_block_number, parse_boolean, parse_hash, parse_quantity
from node.rpc.request import Request

_SMALL = 16
_SMALL_BYTES = 32_768
"""Transactions and bytes of a block that is read in the event loop; a larger one in a worker thread."""


async def block(request: Request, selector: BlockSelector, full: bool) -> object:
    height = request.height_of(selector)
    if height is None:
        return None
    record = request.ledger.block(height)
    if record is None or (record.transaction_count <= _SMALL and record.size <= _SMALL_BYTES):
        return _read(request, height, full)
    return await request.work(_read, height, full)


async def block_by_hash(request: Request, block_hash: bytes, full: bool) -> object:
    return await block(request, BlockSelector(hash=block_hash), full)


def transaction_count(request: Request, selector: BlockSelector) -> str | None:
    height = request.height_of(selector)
    if height is None:
        return None
    record = request.ledger.block(height)
    return "0x0" if record is None else hex(record.transaction_count)


def transaction_count_by_hash(request: Request, block_hash: bytes) -> str | None:
    return transaction_count(request, BlockSelector(hash=block_hash))


def uncle_count(request: Request, selector: BlockSelector) -> str | None:
    return None if request.height_of(selector) is None else "0x0"


def uncle_count_by_hash(request: Request, block_hash: bytes) -> str | None:
    return uncle_count(request, BlockSelector(hash=block_hash))


def no_uncle(request: Request, block: object, index: int) -> None:
    return None


def _read(request: Request, height: int, full: bool) -> Json:
    return block_of(request.ledger, request.service.roots, height, full, request.encode_each)


_BLOCK = Parameter("block", parse_block_number)
_HASH = Parameter("hash", parse_hash)
_FULL = Parameter("full", parse_boolean, False)
_INDEX = Parameter("index", parse_quantity)

METHODS = (
    Method("eth_getBlockByNumber", block, (_BLOCK, _FULL), Kind.ASYNC, cost=3),
    Method("eth_getBlockByHash", block_by_hash, (_HASH, _FULL), Kind.ASYNC, cost=3),
    Method("eth_getBlockTransactionCountByNumber", transaction_count, (_BLOCK,)),
    Method("eth_getBlockTransactionCountByHash", transaction_count_by_hash, (_HASH,)),
    Method("eth_getUncleCountByBlockNumber", uncle_count, (_BLOCK,)),
    Method("eth_getUncleCountByBlockHash", uncle_count_by_hash, (_HASH,)),
    Method("eth_getUncleByBlockNumberAndIndex", no_uncle, (_BLOCK, _INDEX)),
    Method("eth_getUncleByBlockHashAndIndex", no_uncle, (_HASH, _INDEX)),
)
