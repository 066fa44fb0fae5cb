"""Sending transactions and looking them up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from node.chain.errors import ShelianError
from node.chain.transaction import Address, ImiTransaction, decode
from node.rpc.blocks import receipt_at, receipts_of, transaction_at
from node.rpc.errors import REFUSED, RpcError, limited, rpc_error
from node.rpc.formats import Json, data, transaction_json
from node.rpc.method import Kind, Method, Parameter
from node.rpc.parameters import (
    BlockSelector,
    parse_block,
    parse_block_number,
    parse_count,
    parse_data,
    parse_hash,
    parse_quantity,
)
from node.rpc.request import Request

_NOT_YET = 4
"""EIP-7966: the transaction was accepted, but its receipt did not come in time."""

_SMALL_RECEIPT = 8_192
"""Bytes of a receipt that is read in the event loop; one with more logs is read in a worker thread."""


async def send(request: Request, raw: bytes) -> str:
    _check_scope(request, raw)
    return data(await request.node.submit(raw))


async def send_many(request: Request, calls: Sequence[Sequence[bytes]]) -> list[str | Exception]:
    """`send` of each: they are checked together, their signatures in parallel."""
    refusals = [_scope_refusal(request, raw) for (raw,) in calls]
    allowed = [raw for (raw,), refusal in zip(calls, refusals, strict=True) if refusal is None]
    outcomes = iter(await request.node.submit_many(allowed))
    return [refusal or _hash_or_error(next(outcomes)) for refusal in refusals]


async def send_and_wait(request: Request, raw: bytes, milliseconds: int | None) -> Json:
    """EIP-7966: the receipt. Its error 4 carries the hash: the transaction may still be included."""
    _check_scope(request, raw)
    limits = request.service.config.limits
    hub = request.service.hub
    if hub.waiting() >= limits.receipt_waiters:
        raise limited("rpc.busy", "too many calls wait for receipts", hub.waiting(), limits.receipt_waiters)
    longest = limits.receipt_wait_seconds
    seconds = longest if milliseconds is None else min(milliseconds / 1_000, longest)
    transaction_hash = await request.node.submit(raw)
    if not await hub.wait_for(transaction_hash, seconds):
        raise RpcError(
            _NOT_YET, f"no receipt within {seconds} s; the transaction may still come", data(transaction_hash)
        )
    # This request's own snapshot may be older than the block.
    with request.node.snapshot() as ledger:
        place = ledger.locate(transaction_hash)
        receipt = None
        if place is not None:
            receipt = await asyncio.to_thread(receipt_at, ledger, *place, request.encode_each)
    if receipt is None:
        reason = request.node.dropped(transaction_hash) or {}
        message = f"dropped from the pool: {reason.get('message', 'unknown')}"
        code = str(reason.get("code", "rpc.dropped"))
        raise rpc_error(REFUSED, code, message, reason.get("got"), reason.get("expected"))
    return receipt


def by_hash(request: Request, transaction_hash: bytes) -> Json | None:
    place = request.ledger.locate(transaction_hash)
    if place is not None:
        return transaction_at(request.ledger, *place)
    waiting = request.node.pending(transaction_hash)
    return None if waiting is None else transaction_json(decode(waiting.raw), waiting.sender)


def by_place(request: Request, block: BlockSelector, index: int) -> Json | None:
    height = request.height_of(block)
    return None if height is None or index >= 1 << 32 else transaction_at(request.ledger, height, index)


async def receipt(request: Request, transaction_hash: bytes) -> object:
    ledger = request.ledger
    place = ledger.locate(transaction_hash)
    if place is None:
        return None
    stored = ledger.receipt(*place)
    if stored is None or len(stored.encoded) <= _SMALL_RECEIPT:
        return receipt_at(ledger, *place)
    return await request.work(_receipt, *place)


def block_receipts(request: Request, block: BlockSelector) -> object:
    height = request.height_of(block)
    if height is None:
        return None
    return request.encode_each(receipts_of(request.ledger, height, request.encode_each))


def status(request: Request, transaction_hash: bytes) -> Json:
    """included | pending | dropped (and why) | unknown."""
    place = request.ledger.locate(transaction_hash)
    if place is not None:
        return {"status": "included", "blockNumber": hex(place[0]), "transactionIndex": hex(place[1])}
    if request.node.pending(transaction_hash) is not None:
        return {"status": "pending"}
    reason = request.node.dropped(transaction_hash)
    return {"status": "unknown"} if reason is None else {"status": "dropped", "reason": dict(reason)}


def pool(request: Request) -> Json:
    held = request.node.pool()
    return {"ready": hex(held.ready), "waiting": hex(held.waiting), "bytes": hex(held.bytes)}


def _receipt(request: Request, height: int, index: int) -> Json | None:
    return receipt_at(request.ledger, height, index, request.encode_each)


def _scope_refusal(request: Request, raw: bytes) -> Exception | None:
    try:
        _check_scope(request, raw)
    except (ShelianError, RpcError) as error:
        return error
    return None


def _hash_or_error(outcome: bytes | ShelianError) -> str | Exception:
    return data(outcome) if isinstance(outcome, bytes) else outcome


def _check_scope(request: Request, raw: bytes) -> None:
    """A token limited to some contracts sends to those only, and creates none."""
    if request.caller.scope.contracts is None:
        return
    transaction = decode(raw)
    called: frozenset[Address] | None
    if isinstance(transaction, ImiTransaction):
        called = frozenset(call.to for call in transaction.calls)
    else:
        called = None if transaction.to is None else frozenset({transaction.to})
    request.caller.check_contracts(called)


_RAW = Parameter("raw", parse_data)
_HASH = Parameter("hash", parse_hash)
_INDEX = Parameter("index", parse_quantity)
_TIMEOUT = Parameter("timeoutMs", parse_count, None)

METHODS = (
    Method("eth_sendRawTransaction", send, (_RAW,), Kind.ASYNC, cost=2, many=send_many),
    Method("eth_sendRawTransactionSync", send_and_wait, (_RAW, _TIMEOUT), Kind.ASYNC, cost=4),
    Method("shelian_sendRawTransactionSync", send_and_wait, (_RAW, _TIMEOUT), Kind.ASYNC, cost=4),
    Method("eth_getTransactionByHash", by_hash, (_HASH,)),
    Method(
        "eth_getTransactionByBlockNumberAndIndex", by_place, (Parameter("block", parse_block_number), _INDEX)
    ),
    Method("eth_getTransactionByBlockHashAndIndex", by_place, (Parameter("block", parse_block), _INDEX)),
    Method("eth_getTransactionReceipt", receipt, (_HASH,), Kind.ASYNC),
    Method("eth_getBlockReceipts", block_receipts, (Parameter("block", parse_block),), Kind.WORK, cost=20),
    Method("shelian_getTransactionStatus", status, (_HASH,)),
    Method("shelian_getPool", pool),
)
