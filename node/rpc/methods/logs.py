"""Logs: searched, filtered by polling, and pushed.

A search is served by the ledger's indexes; its range, its work and its answer are bounded, and what is over a
bound is refused with the bound, never cut short in silence.
"""

from __future__ import annotations

import orjson

from node.rpc.blocks import record_of
from node.rpc.config import Limits
from node.rpc.errors import REFUSED, RpcError, invalid, limited, rpc_error
from node.rpc.filters import Filter, FilterKind
from node.rpc.formats import data, stored_log_json
from node.rpc.method import Kind, Method, Parameter
from node.rpc.parameters import (
    LATEST,
    BlockSelector,
    LogFilter,
    parse_filter_id,
    parse_log_filter,
    parse_text,
)
from node.rpc.request import Request
from node.rpc.subscriptions import Topic
from node.state.logs import LogQuery


def logs(request: Request, wanted: LogFilter) -> orjson.Fragment:
    request.caller.check_contracts(wanted.addresses)
    if wanted.block_hash is not None:
        first = last = request.require_height(BlockSelector(hash=wanted.block_hash))
    else:
        first, last = _bounds(request, wanted)
    return _search(request, wanted, first, last)


def new_filter(request: Request, wanted: LogFilter) -> str:
    request.caller.check_contracts(wanted.addresses)
    if wanted.block_hash is not None:
        raise invalid(
            "filter.blockHash", wanted.block_hash, "a range: a block that is there brings nothing new"
        )
    return _add(request, FilterKind.LOGS, wanted)


def new_block_filter(request: Request) -> str:
    return _add(request, FilterKind.BLOCKS)


def new_pending_filter(request: Request) -> str:
    return _add(request, FilterKind.PENDING)


async def filter_changes(request: Request, identity: str) -> object:
    """What came since the last poll."""
    polled = request.service.filters.poll(identity, request.caller.name)
    if polled.kind is FilterKind.PENDING:
        hashes: list[object] = [data(one) for one in polled.hashes]
        polled.hashes.clear()
        return hashes
    first, last = polled.next_height, request.ledger.tip.height
    if first > last:
        return []
    changes: object
    if polled.kind is FilterKind.BLOCKS:
        first = max(first, last - request.service.config.limits.logs + 1)
        changes = [data(record_of(request.ledger, height).hash) for height in range(first, last + 1)]
    else:
        assert polled.query is not None  # noqa: S101 - for the type checker
        stop = _bound(request, polled.query.last, last)
        changes = await request.work(_search, polled.query, first, min(stop, last))
    polled.next_height = max(polled.next_height, last + 1)
    return changes


async def filter_logs(request: Request, identity: str) -> orjson.Fragment:
    """All logs that the filter's range holds."""
    polled = request.service.filters.poll(identity, request.caller.name)
    if polled.query is None:
        raise rpc_error(
            REFUSED, "rpc.unknown_filter", "not a filter of logs", identity, "one of eth_newFilter"
        )
    return await request.work(logs, polled.query)


def uninstall_filter(request: Request, identity: str) -> bool:
    return request.service.filters.remove(identity, request.caller.name)


def subscribe(request: Request, topic: str, options: LogFilter | None) -> str:
    connection = request.caller.connection
    if connection is None or request.in_batch:
        raise rpc_error(
            REFUSED,
            "rpc.no_subscription",
            "subscriptions need a WebSocket and a call of their own",
            None,
            "WebSocket",
        )
    if topic not in {one.value for one in Topic}:
        raise invalid("topic", topic, ", ".join(one.value for one in Topic))
    query = None
    if topic == Topic.LOGS.value:
        query = options or LogFilter(frozenset(), (), None, None, None)
        if query.first is not None or query.last is not None or query.block_hash is not None:
            raise invalid("options", "a range", "address and topics only")
        request.caller.check_contracts(query.addresses)
    elif options is not None:
        raise invalid("options", "an object", f"nothing with {topic}")
    return request.service.hub.subscribe(connection, Topic(topic), query)


def unsubscribe(request: Request, identity: str) -> bool:
    connection = request.caller.connection
    return connection is not None and request.service.hub.unsubscribe(connection, identity)


def _add(request: Request, kind: FilterKind, query: LogFilter | None = None) -> str:
    return request.service.filters.add(
        Filter(kind, request.caller.name, request.ledger.tip.height + 1, query)
    )


def _bounds(request: Request, wanted: LogFilter) -> tuple[int, int]:
    tip = request.ledger.tip.height
    first = _bound(request, wanted.first or LATEST, tip)
    last = _bound(request, wanted.last or LATEST, tip)
    if first > last:
        raise invalid("filter.fromBlock", hex(first), f"not after toBlock {hex(last)}")
    return first, min(last, tip)


def _bound(request: Request, selector: BlockSelector | None, default: int) -> int:
    """A height, which may lie above the tip."""
    if selector is None:
        return default
    if selector.height is not None:
        return selector.height
    return request.require_height(selector)


def _search(request: Request, wanted: LogFilter, first: int, last: int) -> orjson.Fragment:
    limits = request.service.config.limits
    if last - first >= limits.log_blocks:
        raise limited("rpc.log_range", "the range spans too many blocks", last - first + 1, limits.log_blocks)
    parts: list[bytes] = []
    if first <= last:
        _gather(request, LogQuery(first, last, wanted.addresses, wanted.topics), parts)
    return orjson.Fragment(b"[" + b",".join(parts) + b"]")


def _gather(request: Request, query: LogQuery, parts: list[bytes]) -> None:
    """The JSON of every log, one at a time: a log is dropped when its text is made, and text is bounded."""
    limits, ledger = request.service.config.limits, request.ledger
    block_hash, time_ns, height = b"", 0, -1
    room = limits.response_bytes
    for log in ledger.each_log(query, on_rows=request.stop_if_late):
        if log.height != height:
            record = record_of(ledger, log.height)
            block_hash, time_ns, height = record.hash, record.time_ns, log.height
        parts.append(orjson.dumps(stored_log_json(log, block_hash, time_ns)))
        room -= len(parts[-1]) + 1
        if len(parts) > limits.logs or room < 0:
            raise _too_many(query, log.height, limits)


def _too_many(query: LogQuery, height: int, limits: Limits) -> RpcError:
    """`height` is that of the first log that has no room."""
    error = limited(
        "rpc.too_many_logs",
        "more logs than fit one answer; ask for a smaller range",
        None,
        {"logs": limits.logs, "bytes": limits.response_bytes},
    )
    if height > query.from_height and isinstance(error.data, dict):
        error.data["toBlock"] = hex(height - 1)
    return error


_FILTER = Parameter("filter", parse_log_filter)
_ID = Parameter("id", parse_filter_id)

METHODS = (
    Method("eth_getLogs", logs, (_FILTER,), Kind.WORK, cost=20),
    Method("eth_newFilter", new_filter, (_FILTER,), cost=5),
    Method("eth_newBlockFilter", new_block_filter, cost=5),
    Method("eth_newPendingTransactionFilter", new_pending_filter, cost=5),
    Method("eth_getFilterChanges", filter_changes, (_ID,), Kind.ASYNC, cost=5),
    Method("eth_getFilterLogs", filter_logs, (_ID,), Kind.ASYNC, cost=20),
    Method("eth_uninstallFilter", uninstall_filter, (_ID,)),
    Method(
        "eth_subscribe",
        subscribe,
        (Parameter("topic", parse_text), Parameter("options", parse_log_filter, None)),
        cost=5,
    ),
    Method("eth_unsubscribe", unsubscribe, (_ID,)),
)
