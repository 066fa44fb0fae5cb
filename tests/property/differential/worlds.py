"""EVMs side by side: the node's, on its interpreter and on py-evm's loop, over its overlay and LevelDB; and
py-evm as it comes, over its own account database and trie. All take the same transactions in the same blocks;
what they did is compared.

Stock py-evm is changed in two places only, where it is known to differ (docs/CONFORMANCE.md): the
precompiles that the ledger has switched off are off there too, and modexp with an empty base gives what
EIP-198 says. The ledger's limit of work does not apply here; Ethereum has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth.constants import BLANK_ROOT_HASH
from eth.db.atomic import AtomicDB
from eth.db.backends.memory import MemoryDB
from eth.precompiles.modexp import extract_lengths
from eth.vm.forks.cancun.computation import CANCUN_PRECOMPILES, CancunComputation
from eth.vm.forks.cancun.state import CancunState
from eth.vm.forks.cancun.transactions import CancunTransactionBuilder
from eth.vm.spoof import SpoofTransaction

from node.chain.transaction import AccessList, Call
from node.execution.accounts import AccountDatabase
from node.execution.executor import BlockContext, CallRequest, _execution_context, run
from node.execution.fork import State
from node.execution.gas import ethereum_intrinsic_gas
from node.execution.interpreter import FastState
from node.execution.precompiles import MODEXP, PRECOMPILES_OFF
from node.state.account import EMPTY_ACCOUNT
from node.state.database import Batch, Database
from node.state.nodes import EMPTY_ROOT
from node.state.overlay import Overlay, add_state_change
from node.state.views import FlatView

CHAIN_ID = 5
INTERPRETERS: tuple[type[State], ...] = (FastState, State)
"""What a node runs, and py-evm's own loop over the node's state."""


@dataclass(frozen=True)
class Contents:
    """An account to begin with."""

    nonce: int = 0
    balance: int = 0
    code: bytes = b""
    storage: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Sending:
    """A transaction from an account without code: a call, or with `to` None a creation of `data`."""

    sender: bytes
    to: bytes | None
    data: bytes
    gas: int
    value: int = 0
    access_list: AccessList = ()


@dataclass(frozen=True)
class Ending:
    """What a transaction did. The wording of an error is not compared."""

    success: bool
    gas_used: int
    output: bytes
    logs: tuple[tuple[bytes, tuple[bytes, ...], bytes], ...]


GENESIS_TIME = 1_800_000_000


def block(number: int, start: int = GENESIS_TIME) -> BlockContext:
    """A block a second, after `start`."""
    return BlockContext(number, start + number, 40_000_000, CHAIN_ID)


class OurWorld:
    """The node's executor; each block is sealed and written to LevelDB."""

    def __init__(self, folder: Path, state_class: type[State]) -> None:
        self._state_class = state_class
        self._database = Database.create(folder)
        self._height = 0
        self.state_root = EMPTY_ROOT

    def close(self) -> None:
        self._database.close()

    @property
    def interpreter(self) -> str:
        return self._state_class.__name__

    def fill(self, contents: dict[bytes, Contents]) -> None:
        """The first block: accounts as given."""

        def write(overlay: Overlay[FlatView]) -> None:
            for address, account in contents.items():
                code_hash = overlay.add_code(account.code)
                overlay.set_account(
                    address,
                    EMPTY_ACCOUNT._replace(nonce=account.nonce, balance=account.balance, code_hash=code_hash),
                )
                for slot, value in account.storage:
                    overlay.set_storage(address, slot, value)

        self._add_block(write)

    @contextmanager
    def fork(self, state_class: type[State]) -> Iterator[OurFork]:
        """A world that starts here, writes nothing, and leaves this one as it is."""
        with self._database.snapshot() as snapshot:
            yield OurFork(Overlay(FlatView(snapshot, self.state_root)), state_class)

    def run_block(self, context: BlockContext, sendings: Sequence[Sending]) -> list[Ending]:
        endings: list[Ending] = []
        self._add_block(
            lambda overlay: endings.extend(run_ours(overlay, context, sendings, self._state_class))
        )
        return endings

    def _add_block(self, write: Any) -> None:
        self._height += 1
        with self._database.snapshot() as snapshot:
            overlay = Overlay(FlatView(snapshot, self.state_root))
            write(overlay)
            change = overlay.seal()
        batch = Batch()
        add_state_change(batch, self._height, change)
        self._database.write(batch, sync=False)
        self.state_root = change.state_root


class OurFork:
    """Blocks above a world, in one overlay. Sealing changes nothing, so there is a root after each."""

    def __init__(self, overlay: Overlay[FlatView], state_class: type[State]) -> None:
        self._overlay = overlay
        self._state_class = state_class

    @property
    def interpreter(self) -> str:
        return self._state_class.__name__

    @property
    def state_root(self) -> bytes:
        return self._overlay.seal().state_root

    def run_block(self, context: BlockContext, sendings: Sequence[Sending]) -> list[Ending]:
        return run_ours(self._overlay, context, sendings, self._state_class)


def run_ours(
    overlay: Overlay[FlatView], context: BlockContext, sendings: Sequence[Sending], state_class: type[State]
) -> list[Ending]:
    """The transactions through the node's `run`, with nothing around it."""
    endings = []
    for sending in sendings:
        creates = sending.to is None
        intrinsic = ethereum_intrinsic_gas(sending.data, creates, sending.access_list)
        calls = () if sending.to is None else (Call(sending.to, sending.data),)
        initcode = sending.data if creates else None
        request = CallRequest(sending.sender, calls, sending.gas, initcode, sending.access_list, intrinsic)
        state = state_class(AccountDatabase(overlay), _execution_context(context))
        execution = run(state, request, sending.value)
        overlay.settle()
        logs = tuple((log.address, tuple(log.topics), log.data) for log in execution.logs)
        endings.append(Ending(execution.success, execution.gas_used, execution.output, logs))
    return endings


def _modexp(computation: Any) -> Any:
    computation = CANCUN_PRECOMPILES[MODEXP](computation)
    base, exponent, modulus = extract_lengths(computation.msg.data_as_bytes)
    if base == 0 and modulus:
        data = computation.msg.data_as_bytes[96:]
        power = int.from_bytes(data[:exponent].ljust(exponent, b"\0"), "big")
        limit = int.from_bytes(data[exponent : exponent + modulus].ljust(modulus, b"\0"), "big")
        computation.output = (pow(0, power, limit) if limit else 0).to_bytes(modulus, "big")
    return computation


class StockComputation(CancunComputation):  # type: ignore[misc]
    _precompiles = {  # noqa: RUF012 (py-evm's own form)
        **{address: run for address, run in CANCUN_PRECOMPILES.items() if address not in PRECOMPILES_OFF},
        MODEXP: _modexp,
    }


class StockState(CancunState):  # type: ignore[misc]
    computation_class = StockComputation


class StockWorld:
    """py-evm's own; each block is persisted."""

    def __init__(self) -> None:
        self._rows = MemoryDB()
        self.state_root = BLANK_ROOT_HASH

    def fork(self) -> StockWorld:
        """A world that starts here and leaves this one as it is."""
        world = StockWorld()
        world._rows = MemoryDB(dict(self._rows.kv_store))
        world.state_root = self.state_root
        return world

    def fill(self, contents: dict[bytes, Contents]) -> None:
        state = self._state(block(0))
        for address, account in contents.items():
            state.set_nonce(address, account.nonce)
            state.set_balance(address, account.balance)
            if account.code:
                state.set_code(address, account.code)
            for slot, value in account.storage:
                state.set_storage(address, slot, value)
        state.persist()
        self.state_root = state.state_root

    def run_block(self, context: BlockContext, sendings: Sequence[Sending]) -> list[Ending]:
        state = self._state(context)
        endings = [self._run(state, sending) for sending in sendings]
        state.persist()
        self.state_root = state.state_root
        return endings

    def _state(self, context: BlockContext) -> Any:
        return StockState(AtomicDB(self._rows), _execution_context(context), self.state_root)

    def _run(self, state: Any, sending: Sending) -> Ending:
        # What py-evm's VM does around each transaction of a block.
        state.lock_changes()
        state.clear_transient_storage()
        unsigned = CancunTransactionBuilder.new_unsigned_dynamic_fee_transaction(
            CHAIN_ID,
            state.get_nonce(sending.sender),
            0,
            0,
            sending.gas,
            sending.to or b"",
            sending.value,
            sending.data,
            sending.access_list,
        )
        frame = state.apply_transaction(SpoofTransaction(unsigned, from_=sending.sender))
        used = sending.gas - frame.get_gas_remaining()
        refund = 0 if frame.is_error else min(frame.get_gas_refund(), used // 5)
        logs = tuple(
            (address, tuple(topic.to_bytes(32, "big") for topic in topics), data)
            for address, topics, data in frame.get_log_entries()
        )
        return Ending(not frame.is_error, used - refund, frame.output, logs)


def compare(
    ours: Sequence[OurWorld | OurFork],
    stock: StockWorld,
    blocks: Iterable[Sequence[Sending]],
    what: str,
    now: int = GENESIS_TIME,
) -> int:
    """Runs the blocks in all worlds; `what` names the seed. Gives how many transactions succeeded."""
    successes = 0
    for world in ours:
        assert world.state_root == stock.state_root, f"{what}: roots differ before the first transaction"
    for number, sendings in enumerate(blocks, 1):
        context = block(number, now)
        theirs = stock.run_block(context, sendings)
        successes += sum(ending.success for ending in theirs)
        for world in ours:
            mine, where = world.run_block(context, sendings), f"{what}: {world.interpreter}"
            for place, sending in enumerate(sendings):
                assert mine[place] == theirs[place], (
                    f"{where}: transaction {place} of block {number}: {sending}"
                )
            assert world.state_root == stock.state_root, f"{where}: state root after block {number}"
    return successes
