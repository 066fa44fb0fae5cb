"""The pinned EVM: Cancun, as subclasses of py-evm, with the differences of a permissioned ledger.

Differences from Ethereum's Cancun, all by design:
- no money: gas price, base fee and tip are 0, so fees are never bought, refunded or paid;
- BLOCKHASH is 0 (a state-synced node has no old hashes); no system contracts (EIP-4788, EIP-2935);
- some precompiles are off (`node.execution.precompiles`);
- work is counted and limited beside gas (`node.execution.work`).

Differences from stock py-evm, all towards Ethereum or towards bounded time and memory:
- a contract is not created over existing storage (EIP-7610);
- modexp with an empty base follows EIP-198 (0 ** 0 == 1);
- jump destinations are scanned once, forwards (py-evm recurses backwards);
- one set of contracts made in the transaction, shared by all calls of a batch (EIP-6780);
- the initcode word gas (EIP-3860) of a creating transaction is part of its intrinsic gas;
- logs, refunds and destroyed accounts are kept as the transaction goes (py-evm gathers them from all frames
  at the end, so it keeps every frame, and sorts the logs once for each level of calls).
"""

from __future__ import annotations

from typing import Any

from eth.exceptions import OutOfGas
from eth.vm import mnemonics, opcode_values
from eth.vm.code_stream import CodeStream
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.byzantium.opcodes import ensure_no_static
from eth.vm.forks.cancun.computation import CancunComputation
from eth.vm.forks.cancun.logic import selfdestruct_eip6780
from eth.vm.forks.cancun.opcodes import CANCUN_OPCODES
from eth.vm.forks.cancun.state import CancunState
from eth.vm.forks.tangerine_whistle.constants import GAS_SELFDESTRUCT_EIP150
from eth.vm.gas_meter import GasMeter
from eth.vm.opcode import as_opcode

from node.chain.receipt import Log
from node.execution.accounts import AccountDatabase
from node.execution.precompiles import PRECOMPILES
from node.execution.precompiles import PRECOMPILES_OFF as PRECOMPILES_OFF
from node.execution.work import WorkMeter


class FrameGas(GasMeter):  # type: ignore[misc]
    """py-evm's meter without its debug logging. Refunds may be negative until the end (EIP-2200)."""

    def __init__(self, start_gas: int) -> None:
        self.start_gas = start_gas
        self.gas_remaining = start_gas
        self.gas_refunded = 0

    def consume_gas(self, amount: int, reason: str) -> None:
        remaining = self.gas_remaining - amount
        if remaining < 0:
            raise OutOfGas(f"needed {amount}, {self.gas_remaining} left: {reason}")
        self.gas_remaining = remaining

    def return_gas(self, amount: int) -> None:
        self.gas_remaining += amount

    def refund_gas(self, amount: int) -> None:
        self.gas_refunded += amount


class JumpDestinations:
    """Positions of JUMPDEST that are not PUSH data, found by one scan that goes as far as it was asked."""

    __slots__ = ("_code", "_scanned", "_valid")

    def __init__(self, code: bytes) -> None:
        self._code = code
        self._valid = bytearray(len(code))
        self._scanned = 0

    def __contains__(self, position: int) -> bool:
        if position >= self._scanned:
            self._scan(position)
        return bool(self._valid[position])

    def _scan(self, position: int) -> None:
        code, valid, at = self._code, self._valid, self._scanned
        while at <= position:
            opcode = code[at]
            if opcode == opcode_values.JUMPDEST:
                valid[at] = 1
            elif opcode_values.PUSH1 <= opcode <= opcode_values.PUSH32:
                at += opcode - opcode_values.PUSH1 + 1
            at += 1
        # Calls of several threads may share this; each scan ends between two instructions.
        self._scanned = max(at, self._scanned)


class _Code(CodeStream):  # type: ignore[misc]
    """py-evm's code stream; the jump destinations are found on the first jump."""

    __slots__ = ("_destinations",)

    def __init__(self, code: bytes) -> None:
        super().__init__(code)
        self._destinations: JumpDestinations | None = None

    def is_valid_opcode(self, position: int) -> bool:
        # Asked only about positions that hold a JUMPDEST byte.
        if self._destinations is None:
            self._destinations = JumpDestinations(self._raw_code_bytes)
        return position in self._destinations


def _opcode_table() -> dict[int, Any]:
    # py-evm wraps SELFDESTRUCT in a deprecation warning; a node's log is not the place for it.
    selfdestruct = as_opcode(
        logic_fn=ensure_no_static(selfdestruct_eip6780),
        mnemonic=mnemonics.SELFDESTRUCT,
        gas_cost=GAS_SELFDESTRUCT_EIP150,
    )
    return {**CANCUN_OPCODES, opcode_values.SELFDESTRUCT: selfdestruct}


class _Created(set[bytes]):
    """Addresses; py-evm appends to it."""

    append = set.add


class Computation(CancunComputation):  # type: ignore[misc]
    """One frame as py-evm runs it: its own loop, over this fork's tables. Nodes run `interpreter.FastState`,
    which is held to computing the same.
    """

    opcodes = _opcode_table()
    _precompiles = PRECOMPILES

    def __init__(self, state: Any, message: Any, transaction_context: Any) -> None:
        super().__init__(state, message, transaction_context)
        self.code = _Code(message.code)

    def _configure_gas_meter(self) -> GasMeter:
        return FrameGas(self.msg.gas)

    @classmethod
    def consume_initcode_gas_cost(cls, computation: Any) -> None:
        """Nothing: part of the intrinsic gas."""

    @property
    def contracts_created(self) -> _Created:
        return self.state.contracts_created  # type: ignore[no-any-return]

    @contracts_created.setter
    def contracts_created(self, value: object) -> None:
        """Nothing: py-evm passes a list from frame to frame; the transaction has one."""

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> bool | None:
        suppressed: bool | None = super().__exit__(exc_type, exc_value, traceback)
        if self._error is not None:
            # A traceback holds this frame, and this frame the error: its memory would stay for the collector.
            self._error.__traceback__ = None
        return suppressed

    @property
    def is_error(self) -> bool:
        return self._error is not None

    def get_gas_remaining(self) -> int:
        error = self._error
        return 0 if error is not None and error.burns_gas else self._gas_meter.gas_remaining

    def add_log_entry(self, account: bytes, topics: tuple[int, ...], data: bytes) -> None:
        encoded = tuple(topic.to_bytes(32, "big") for topic in topics)
        self.state.add_log(Log(account, encoded, data))

    def register_account_for_deletion(self, beneficiary: bytes) -> None:
        self.state.destroy(self.msg.storage_address)

    def add_child_computation(self, child_computation: Any) -> None:
        super().add_child_computation(child_computation)
        self.children.clear()
        if child_computation.is_success:
            self._gas_meter.refund_gas(child_computation.get_gas_refund())

    def get_gas_refund(self) -> int:
        """Of this frame and those below that succeeded; 0 if it failed."""
        return 0 if self.is_error else self._gas_meter.gas_refunded


class State(CancunState):  # type: ignore[misc]
    """py-evm's state over the accounts of one transaction.

    `computation_class` is what runs a frame, and the only thing that knows how: another way to run code (a
    compiler of EVM code to Python, say) is another class there, held to the same results, the same gas and
    the same work.
    """

    computation_class = Computation
    account_db_class = AccountDatabase

    def __init__(
        self, accounts: AccountDatabase, context: ExecutionContext, work: WorkMeter | None = None
    ) -> None:
        """`work` None: unlimited."""
        self._account_db = accounts
        self.execution_context = context
        self.work = work or WorkMeter()
        self.contracts_created = _Created()

    def snapshot(self) -> int:
        return self._account_db.record()

    def revert(self, snapshot: int) -> None:
        self._account_db.discard(snapshot)

    def commit(self, snapshot: int) -> None:
        self._account_db.commit(snapshot)

    def add_log(self, log: Log) -> None:
        self._account_db.add_log(log)

    def destroy(self, address: bytes) -> None:
        """Have the account removed at the end of the transaction."""
        self._account_db.destroy(address)

    def get_transient_storage(self, address: bytes, slot: int) -> bytes:
        return self._account_db.get_transient(address, slot)

    def set_transient_storage(self, address: bytes, slot: int, value: bytes) -> None:
        self._account_db.set_transient(address, slot, value)
