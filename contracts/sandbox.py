"""The system contracts alone, in memory, on the node's own EVM: for tests and for the opcode budget.

No blocks, no signatures, no admission: whoever is named as the sender sends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from contracts.bindings import (
    anchors,
    consortium,
    correction_cases,
    correction_documents,
    identity_registry,
    love_bank,
    sharing_orders,
)
from contracts.genesis import GenesisSpec, genesis_calls, genesis_codes
from contracts.system import SYSTEM
from node.chain.errors import LedgerError, ShelianError
from node.chain.receipt import Log
from node.chain.transaction import Call
from node.execution import BlockContext, CallRequest, Execution, PyEvmExecutor
from node.execution.accounts import AccountDatabase
from node.execution.executor import _execution_context, run
from node.execution.fork import Computation, State
from node.state.account import EMPTY_ACCOUNT, Account
from node.state.overlay import Overlay

BINDINGS = (
    consortium,
    identity_registry,
    correction_cases,
    correction_documents,
    love_bank,
    sharing_orders,
    anchors,
)
GAS = 30_000_000


class CallFailed(ShelianError):
    """A call reverted; `got` is the decoded custom error."""


class _Nothing:
    """The view below the first overlay: no accounts at all."""

    def account(self, address: bytes) -> Account | None:
        return None

    def storage(self, address: bytes, slot: int) -> int:
        return 0

    def code(self, code_hash: bytes) -> bytes:
        raise LedgerError("state.code_missing", "no code with this hash", code_hash)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run of calls took: opcodes executed in all frames, gas without the intrinsic part, work.

    `gas_limit` is the gas used before refunds: the least with which the calls succeed.
    """

    opcodes: int
    gas: int
    gas_limit: int
    work: int


@dataclass
class Sandbox:
    """Mutable: the state moves with every call of `send`; `now` is the block time in seconds."""

    overlay: Overlay[Any]
    now: int
    number: int = 0
    executor: PyEvmExecutor = field(default_factory=PyEvmExecutor)

    @classmethod
    def create(cls, spec: GenesisSpec, now: int) -> Sandbox:
        """The state after the genesis calls; CallFailed if one of them fails."""
        sandbox = cls(Overlay(_Nothing()), now)
        for address, code in genesis_codes(spec.systems):
            account = EMPTY_ACCOUNT._replace(nonce=1, code_hash=sandbox.overlay.add_code(code))
            sandbox.overlay.set_account(address, account)
        for call in genesis_calls(spec):
            sandbox.send(SYSTEM, call)
        sandbox.number = 1
        return sandbox

    def fork(self) -> Sandbox:
        """A sandbox that starts here and leaves this one as it is."""
        return replace(self, overlay=Overlay(self.overlay))

    def context(self) -> BlockContext:
        return BlockContext(self.number, self.now, 40_000_000, 1)

    def send(self, sender: bytes, *calls: Call) -> Execution:
        """Runs the calls as one transaction, all or none; CallFailed with the decoded error."""
        execution = self.executor.apply(self.overlay, self.context(), CallRequest(sender, calls, GAS))
        if not execution.success:
            failed = calls[execution.failed_call or 0]
            raise CallFailed("contracts.reverted", execution.error, explain(failed.to, execution.output))
        return execution

    def events(self, execution: Execution) -> list[object]:
        """The decoded events of a run, in order."""
        return [event for log in execution.logs if (event := decode_any_event(log)) is not None]

    def read(self, call: Call, sender: bytes = bytes(20)) -> bytes:
        """The return data of a view function."""
        request = CallRequest(sender, (call,), GAS)
        execution = self.executor.call(self.overlay, self.context(), request)
        if not execution.success:
            raise CallFailed("contracts.reverted", execution.error, explain(call.to, execution.output))
        return execution.output

    def measure(self, sender: bytes, *calls: Call) -> Cost:
        """What the calls would take; nothing changes. CallFailed if they fail."""
        counter = [0]
        state = _counting_state(counter)(
            AccountDatabase(Overlay(self.overlay)), _execution_context(self.context())
        )
        execution = run(state, CallRequest(sender, calls, GAS))
        if not execution.success:
            failed = calls[execution.failed_call or 0]
            raise CallFailed("contracts.reverted", execution.error, explain(failed.to, execution.output))
        request = CallRequest(sender, calls, GAS)
        work = self.executor.call(self.overlay, self.context(), request).work
        return Cost(counter[0], execution.gas_used, execution.gas_used + execution.refund, work)


def explain(address: bytes, output: bytes) -> object:
    """The custom error of the contract at `address`, or of any other it called, or the raw output."""
    for binding in sorted(BINDINGS, key=lambda binding: address != binding.ADDRESS):
        try:
            return binding.decode_error(output)
        except ShelianError:
            continue
    return output


def decode_any_event(log: Log) -> object | None:
    """The event of whichever system contract made the log."""
    for binding in BINDINGS:
        decode: Callable[[Log], object | None] = binding.decode_event
        event = decode(log)
        if event is not None:
            return event
    return None


def _counting_state(counter: list[int]) -> type[State]:
    """The node's EVM with a counter of opcodes: the table of operations is wrapped, nothing else."""

    def counted(operation: Any) -> Any:
        def execute(computation: Any) -> Any:
            counter[0] += 1
            return operation(computation)

        return execute

    class Counting(Computation):
        opcodes = {number: counted(operation) for number, operation in Computation.opcodes.items()}  # noqa: RUF012

    class CountingState(State):
        computation_class = Counting

    return CountingState
