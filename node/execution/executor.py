"""Running transactions and calls: the narrow `Executor`, and py-evm behind it.

There is no money, so a type 0-2 transaction to an address is the same as an IMI batch of one call; both run
through one path: intrinsic gas, nonce, warm addresses (EIP-2929/2930/3651), the calls in order, all or none,
refunds pooled and capped at a fifth (EIP-3529), contracts destroyed in their own transaction removed
(EIP-6780), accounts left empty removed (EIP-161). The nonce is consumed even when a call fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from eth.constants import CREATE_CONTRACT_ADDRESS
from eth.exceptions import ContractCreationCollision, Revert, VMError
from eth.vm.execution_context import ExecutionContext
from eth.vm.message import Message

from node.chain.encoding import keccak256, rlp_encode_bytes, rlp_encode_integer, rlp_encode_list
from node.chain.errors import ShelianError
from node.chain.receipt import Log
from node.chain.rules import COINBASE, Rules
from node.chain.transaction import AccessList, Address, Call, ImiTransaction, Transaction
from node.execution import work
from node.execution.accounts import AccountDatabase
from node.execution.fork import State
from node.execution.gas import intrinsic_gas
from node.execution.interpreter import FastState
from node.execution.work import OutOfWork, Stopped, WorkMeter
from node.state.overlay import Overlay
from node.state.views import StateView

REFUND_QUOTIENT = 5
"""EIP-3529: at most a fifth of the gas used is given back."""

_MIX_HASH = bytes(32)


@dataclass(frozen=True, slots=True)
class BlockContext:
    """What opcodes may know of the block. `timestamp` in whole seconds, `gas_limit` = the rules' block
    gas.
    """

    number: int
    timestamp: int
    gas_limit: int
    chain_id: int


@dataclass(frozen=True, slots=True)
class Execution:
    """What a transaction or call did.

    `output` is the return data of the last call, or the data of the revert; `created` the new contract's
    address;
    `failed_call` the index of the call that failed; `error` says why it failed, in the EVM's words;
    `refund` is the gas given back, already taken off `gas_used`; `work` what was done, in units of
    `node.execution.work`.
    """

    success: bool
    gas_used: int
    logs: tuple[Log, ...]
    output: bytes
    created: Address | None
    failed_call: int | None = None
    error: str = ""
    refund: int = 0
    work: int = 0


@dataclass(frozen=True, slots=True)
class CallRequest:
    """`calls` in order, all or none, or `initcode` as a contract creation.

    `intrinsic_gas` is taken off `gas` first, as it would be of the transaction. Work is limited by the gas
    that is left then, unless `work_limited` is False: the calls of the genesis.
    """

    sender: Address
    calls: tuple[Call, ...]
    gas: int
    initcode: bytes | None = None
    access_list: AccessList = ()
    intrinsic_gas: int = 0
    work_limited: bool = True

    @property
    def work_limit(self) -> int | None:
        """Units of work; None: as much as it likes."""
        return work.work_limit(self.gas, self.intrinsic_gas) if self.work_limited else None


@dataclass(frozen=True, slots=True)
class Estimate:
    """`gas` is the smallest limit that succeeds and `execution` that run; None and the failure if none
    does.
    """

    gas: int | None
    execution: Execution


@dataclass(frozen=True, slots=True)
class CallLimit:
    """When to give a call up: asked about every 0.1 ms."""

    should_stop: Callable[[], bool]


class Executor(Protocol):
    """An EVM. Implementations compute the same, to the last unit of gas."""

    def execute(
        self, overlay: Overlay[Any], context: BlockContext, tx: Transaction, sender: Address, rules: Rules
    ) -> Execution:
        """Run an admitted transaction whose nonce is the sender's, and write its changes into `overlay`."""

    def apply(self, overlay: Overlay[Any], context: BlockContext, request: CallRequest) -> Execution:
        """Run `request` as a transaction and write its changes into `overlay`: the calls of the genesis."""

    def call(
        self, view: StateView, context: BlockContext, request: CallRequest, limit: CallLimit | None = None
    ) -> Execution:
        """Run `request` over `view` and forget its changes."""

    def estimate(
        self, view: StateView, context: BlockContext, request: CallRequest, limit: CallLimit | None = None
    ) -> Estimate:
        """The smallest gas limit up to `request.gas` with which `request` succeeds."""


class PyEvmExecutor:
    """The pinned Cancun fork of py-evm (`node.execution.fork`)."""

    def execute(
        self, overlay: Overlay[Any], context: BlockContext, tx: Transaction, sender: Address, rules: Rules
    ) -> Execution:
        if isinstance(tx, ImiTransaction):
            request = CallRequest(sender, tx.calls, tx.gas_limit, None, (), intrinsic_gas(tx, rules))
        else:
            calls = () if tx.to is None else (Call(tx.to, tx.data),)
            initcode = tx.data if tx.to is None else None
            intrinsic = intrinsic_gas(tx, rules)
            request = CallRequest(sender, calls, tx.gas_limit, initcode, tx.access_list, intrinsic)
        return self.apply(overlay, context, request)

    def apply(self, overlay: Overlay[Any], context: BlockContext, request: CallRequest) -> Execution:
        execution = _run_total(_state(overlay, context, request), request)
        overlay.settle()
        return execution

    def call(
        self, view: StateView, context: BlockContext, request: CallRequest, limit: CallLimit | None = None
    ) -> Execution:
        """See `Executor`. Raises ShelianError call.stopped when the limit says so."""
        should_stop = limit.should_stop if limit else None
        try:
            return _run_total(_state(Overlay(view), context, request, should_stop), request)
        except Stopped:
            raise ShelianError("call.stopped", "the call took too long and was stopped") from None

    def estimate(
        self, view: StateView, context: BlockContext, request: CallRequest, limit: CallLimit | None = None
    ) -> Estimate:
        """See `Executor`. A binary search, of at most two runs more than `request.gas` has bits; exact unless
        less gas is enough where more is not. Raises ShelianError call.stopped.
        """
        widest = self.call(view, context, request, limit)
        if not widest.success:
            return Estimate(None, widest)
        # It cannot do with less than it used before the refund or than allows its work, and mostly does with
        # exactly that.
        least = widest.gas_used + widest.refund
        if request.work_limited:
            least = max(least, work.least_gas(widest.work, request.intrinsic_gas))
        fails, succeeds, best = least - 1, request.gas, widest
        guess = fails + 1
        while succeeds - fails > 1:
            execution = self.call(view, context, replace(request, gas=guess), limit)
            if execution.success:
                succeeds, best = guess, execution
            else:
                fails = guess
            guess = (fails + succeeds) // 2
        return Estimate(succeeds, best)


def _state(
    overlay: Overlay[Any],
    context: BlockContext,
    request: CallRequest,
    should_stop: Callable[[], bool] | None = None,
) -> State:
    meter = WorkMeter(request.work_limit, should_stop)
    return FastState(AccountDatabase(overlay), _execution_context(context), meter)


def _run_total(state: State, request: CallRequest) -> Execution:
    """`run`, but for errors of the EVM's own: those end the transaction, like an invalid opcode, not the
    node.

    None is known. What comes from below (the database, memory, the stack) is not the transaction's doing and
    is raised.
    """
    accounts: AccountDatabase = state._account_db
    checkpoint = accounts.record()
    try:
        return run(state, request)
    except (ShelianError, Stopped, OSError, MemoryError, RecursionError):
        raise
    except Exception as error:
        accounts.discard(checkpoint)
        accounts.increment_nonce(request.sender)
        return _failure(state, request, None, f"{type(error).__name__}: {error}")


def _failure(state: State, request: CallRequest, failed_call: int | None, error: str) -> Execution:
    """A transaction that took all of its gas."""
    return Execution(False, request.gas, (), b"", None, failed_call, error, 0, state.work.done)


def _execution_context(context: BlockContext) -> ExecutionContext:
    return ExecutionContext(
        coinbase=COINBASE,
        timestamp=context.timestamp,
        block_number=context.number,
        difficulty=0,
        mix_hash=_MIX_HASH,
        gas_limit=context.gas_limit,
        prev_hashes=(),
        chain_id=context.chain_id,
        base_fee_per_gas=0,
        excess_blob_gas=0,
    )


def run(state: State, request: CallRequest, value: int = 0, gas_price: int = 0) -> Execution:
    """Run `request` in `state`, leaving its changes in the state's accounts.

    `value` (moved with each call) and `gas_price` (what GASPRICE tells) are 0 on this ledger; Ethereum's
    state tests set them.
    """
    accounts: AccountDatabase = state._account_db
    sender = request.sender
    if request.gas < request.intrinsic_gas:
        return _failure(state, request, None, "out of gas: intrinsic gas")
    nonce = accounts.get_nonce(sender)
    accounts.set_nonce(sender, nonce + 1)
    created = None if request.initcode is None else contract_address(sender, nonce)
    _warm_up(accounts, request, created, state.coinbase)
    transaction = state.transaction_context_class(gas_price=gas_price, origin=sender)
    checkpoint = accounts.record()
    gas, refund, index, output = request.gas - request.intrinsic_gas, 0, 0, b""
    try:
        for index, message in enumerate(_messages(accounts, request, created)):
            if index:  # the intrinsic gas pays for the first
                state.work.charge(work.FURTHER_CALL)
            message.gas = gas
            message.value = value
            frame = _apply(state, message, transaction)
            gas, output = frame.get_gas_remaining(), frame.output
            if frame.is_error:
                accounts.discard(checkpoint)
                return Execution(
                    False,
                    request.gas - gas,
                    (),
                    output,
                    None,
                    index,
                    _reason(frame.error),
                    0,
                    state.work.done,
                )
            refund += frame.get_gas_refund()
    except OutOfWork:
        accounts.discard(checkpoint)
        limit = f"more than {request.work_limit} units for {request.gas} gas"
        return _failure(state, request, index, f"out of work: {limit}")
    used = request.gas - gas
    refund = min(refund, used // REFUND_QUOTIENT)
    accounts.delete_destroyed()
    accounts.clear_empty_accounts()
    return Execution(True, used - refund, accounts.logs, output, created, refund=refund, work=state.work.done)


def _messages(accounts: AccountDatabase, request: CallRequest, created: Address | None) -> Iterable[Message]:
    """The top frames, each built when its turn comes: a call may have put code where the next one goes."""
    if request.initcode is not None:
        yield Message(
            gas=0,
            to=CREATE_CONTRACT_ADDRESS,
            sender=request.sender,
            value=0,
            data=b"",
            code=request.initcode,
            create_address=created,
        )
    for call in request.calls:
        yield Message(
            gas=0, to=call.to, sender=request.sender, value=0, data=call.data, code=accounts.get_code(call.to)
        )


def _apply(state: State, message: Message, transaction: Any) -> Any:
    computation = state.computation_class
    if not message.is_create:
        return computation.apply_message(state, message, transaction)
    try:
        if state.has_code_or_nonce(message.storage_address):
            raise ContractCreationCollision("there is a contract already")
        return computation.apply_create_message(state, message, transaction)
    except VMError as error:
        # A collision, or initcode above EIP-3860's limit: py-evm raises before there is a frame.
        frame = computation(state, message, transaction)
        frame.error = error
        return frame


def _warm_up(
    accounts: AccountDatabase, request: CallRequest, created: Address | None, coinbase: Address
) -> None:
    accounts.mark_address_warm(request.sender)
    accounts.mark_address_warm(coinbase)
    if created is not None:
        accounts.mark_address_warm(created)
    for call in request.calls:
        accounts.mark_address_warm(call.to)
    for address, slots in request.access_list:
        accounts.mark_address_warm(address)
        for slot in slots:
            accounts.mark_storage_warm(address, slot)


def contract_address(sender: Address, nonce: int) -> Address:
    """Of the contract that a transaction of this sender and nonce creates (Yellow Paper, 7)."""
    return keccak256(rlp_encode_list((rlp_encode_bytes(sender), rlp_encode_integer(nonce))))[12:]


def _reason(error: VMError) -> str:
    if isinstance(error, Revert):
        return "execution reverted"
    return f"{type(error).__name__}: {error}"
