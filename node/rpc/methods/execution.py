"""Calls that change nothing: eth_call, gas estimates.

A call "at" a block sees its state, number and time; `pending` sees the tip's state as the next block would
run it, now. Every one of them runs in a worker thread, is asked every few hundred opcodes whether its time is
over, and has a gas cap. Sender is whoever the caller says: nothing is signed and nothing is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from eth_abi.abi import decode as decode_abi
from eth_abi.exceptions import DecodingError

from node.chain.errors import ShelianError
from node.chain.rules import Rules
from node.chain.transaction import Address, Call
from node.execution import BlockContext, CallLimit, CallRequest, Execution
from node.execution.gas import ethereum_intrinsic_gas
from node.rpc.blocks import record_of
from node.rpc.errors import REFUSED, RpcError, invalid, rpc_error
from node.rpc.formats import data
from node.rpc.method import Kind, Method, Parameter
from node.rpc.methods.state import state_at
from node.rpc.parameters import (
    LATEST,
    PENDING,
    BlockSelector,
    CallObject,
    parse_address,
    parse_block,
    parse_call,
    parse_data,
    parse_no_overrides,
    parse_quantity,
)
from node.rpc.request import Request, reverted

_ERROR = bytes.fromhex("08c379a0")
_PANIC = bytes.fromhex("4e487b71")


@dataclass(frozen=True, slots=True)
class ImiCalls:
    """What shelian_estimateImiGas asks about. `size` is the length of the signed transaction in bytes."""

    sender: Address
    calls: tuple[Call, ...]
    scheme: int
    size: int


def call(request: Request, wanted: CallObject, block: BlockSelector, overrides: None) -> str:
    _check_contract(request, wanted)
    with _time_limit(request) as limit:
        execution = request.node.executor.call(
            state_at(request, block),
            context_at(request, block),
            _call_request(wanted, request.service.config.limits.call_gas, intrinsic=0),
            limit,
        )
    if not execution.success:
        raise _failed(execution)
    return data(execution.output)


def estimate_gas(request: Request, wanted: CallObject, block: BlockSelector, overrides: None) -> str:
    _check_contract(request, wanted)
    rules = request.ledger.rules
    gas = min(rules.transaction_gas, request.service.config.limits.call_gas)
    intrinsic = ethereum_intrinsic_gas(wanted.data, wanted.to is None)
    return _estimate(request, block, _call_request(wanted, gas, intrinsic))


def estimate_imi_gas(request: Request, wanted: ImiCalls, block: BlockSelector) -> str:
    """The least gas limit with which a 0x49 transaction of these calls succeeds."""
    request.caller.check_contracts(frozenset(one.to for one in wanted.calls))
    rules = request.ledger.rules
    _check_imi(wanted, rules)
    return _estimate(
        request,
        block,
        CallRequest(
            sender=wanted.sender,
            calls=wanted.calls,
            gas=min(rules.transaction_gas, request.service.config.limits.call_gas),
            intrinsic_gas=rules.imi_intrinsic_gas(wanted.scheme, wanted.size),
        ),
    )


def context_at(request: Request, block: BlockSelector) -> BlockContext:
    """What opcodes see of the block; for `pending`, of the one that may come next."""
    ledger, genesis = request.ledger, request.node.genesis
    record = record_of(ledger, request.require_height(block))
    number, time_ns = record.height, record.time_ns
    if block.tag == "pending":
        number, time_ns = number + 1, max(time_ns, request.node.now_ns())
    return BlockContext(number, time_ns // 1_000_000_000, ledger.rules.block_gas, genesis.evm_chain_id)


def parse_imi_calls(name: str, value: object) -> ImiCalls:
    if not isinstance(value, dict) or set(value) != {"from", "calls", "scheme", "size"}:
        raise invalid(name, value, "an object with from, calls, scheme, size")
    calls = value["calls"]
    if not isinstance(calls, list) or not calls:
        raise invalid(f"{name}.calls", calls, "a list of {to, data}")
    parsed = []
    for index, one in enumerate(calls):
        if not isinstance(one, dict) or set(one) != {"to", "data"}:
            raise invalid(f"{name}.calls[{index}]", one, "{to, data}")
        parsed.append(
            Call(
                parse_address(f"{name}.calls[{index}].to", one["to"]),
                parse_data(f"{name}.calls[{index}].data", one["data"]),
            )
        )
    return ImiCalls(
        parse_address(f"{name}.from", value["from"]),
        tuple(parsed),
        parse_quantity(f"{name}.scheme", value["scheme"]),
        parse_quantity(f"{name}.size", value["size"]),
    )


def _check_imi(wanted: ImiCalls, rules: Rules) -> None:
    if len(wanted.calls) > rules.max_calls:
        raise invalid("request.calls", len(wanted.calls), f"at most {rules.max_calls}")
    if wanted.scheme == 0 or not rules.scheme_enabled(wanted.scheme):
        raise invalid("request.scheme", wanted.scheme, "a scheme that the rules in force allow")
    if not 0 < wanted.size <= rules.max_transaction_bytes:
        raise invalid("request.size", wanted.size, f"1 to {rules.max_transaction_bytes} bytes")


def _check_contract(request: Request, wanted: CallObject) -> None:
    request.caller.check_contracts(None if wanted.to is None else frozenset({wanted.to}))


def _call_request(wanted: CallObject, most_gas: int, intrinsic: int) -> CallRequest:
    gas = most_gas if wanted.gas is None else min(wanted.gas, most_gas)
    if wanted.to is None:
        return CallRequest(wanted.sender, (), gas, initcode=wanted.data, intrinsic_gas=intrinsic)
    return CallRequest(wanted.sender, (Call(wanted.to, wanted.data),), gas, intrinsic_gas=intrinsic)


def _estimate(request: Request, block: BlockSelector, wanted: CallRequest) -> str:
    with _time_limit(request) as limit:
        found = request.node.executor.estimate(
            state_at(request, block), context_at(request, block), wanted, limit
        )
    if found.gas is None:
        raise _failed(found.execution)
    return hex(found.gas)


@contextmanager
def _time_limit(request: Request) -> Iterator[CallLimit]:
    """The executor's limit; its way of saying that it stopped becomes ours. Raises RpcError `rpc.timeout`."""
    try:
        yield CallLimit(request.should_stop)
    except ShelianError as error:
        if error.code != "call.stopped":
            raise
        raise request.service.workers.timeout() from None


def _failed(execution: Execution) -> RpcError:
    if execution.error != "execution reverted":
        return rpc_error(REFUSED, "rpc.execution_failed", execution.error, execution.gas_used, "success")
    return reverted(execution.output, revert_reason(execution.output))


def revert_reason(output: bytes) -> str:
    """The text of Error(string), the number of Panic(uint256), else nothing: custom errors need the
    contract's ABI.
    """
    try:
        if output[:4] == _ERROR:
            return str(decode_abi(["string"], output[4:])[0])
        if output[:4] == _PANIC:
            return f"panic 0x{decode_abi(['uint256'], output[4:])[0]:02x}"
    except (DecodingError, UnicodeDecodeError, OverflowError):
        # A contract may put anything behind the selector; the data itself is in the answer.
        pass
    return ""


_CALL = Parameter("call", parse_call)
_OVERRIDES = Parameter("overrides", parse_no_overrides, None)

METHODS = (
    Method(
        "eth_call", call, (_CALL, Parameter("block", parse_block, LATEST), _OVERRIDES), Kind.WORK, cost=10
    ),
    Method(
        "eth_estimateGas",
        estimate_gas,
        (_CALL, Parameter("block", parse_block, PENDING), _OVERRIDES),
        Kind.WORK,
        cost=20,
    ),
    Method(
        "shelian_estimateImiGas",
        estimate_imi_gas,
        (Parameter("request", parse_imi_calls), Parameter("block", parse_block, PENDING)),
        Kind.WORK,
        cost=20,
    ),
)
