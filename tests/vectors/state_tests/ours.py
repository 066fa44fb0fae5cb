"""A state test through the node's executor.

The tests have money, fees and block hashes; the ledger has none. So this buys and pays gas around `run`,
moves values, brings back the precompiles that are off and BLOCKHASH's answers, and sets no limit of work.
Everything else is the executor as it runs in a node: overlay, journal, intrinsic gas, refunds, creation,
destruction, state root.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import rlp
from eth.exceptions import VMError
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.cancun.computation import CANCUN_PRECOMPILES
from eth.vm.forks.cancun.transactions import CancunTransactionBuilder
from eth_utils import ValidationError
from rlp.exceptions import RLPException

from node.chain.encoding import keccak256
from node.chain.errors import DecodeError, SignatureRefused
from node.chain.signing import sender_of
from node.chain.transaction import Call, EthereumTransaction, decode
from node.execution.accounts import AccountDatabase
from node.execution.executor import CallRequest, Execution, run
from node.execution.fork import State
from node.execution.gas import MAX_INITCODE_BYTES, ethereum_intrinsic_gas
from node.execution.precompiles import PRECOMPILES_OFF
from node.state.account import EMPTY_ACCOUNT, EMPTY_CODE_HASH, Account
from node.state.nodes import EMPTY_ROOT
from node.state.overlay import Overlay
from tests.vectors.state_tests.cases import Case, number, unhex


@dataclass(frozen=True)
class Outcome:
    """What a transaction left. `invalid`: refused before it ran."""

    state_root: bytes
    logs_hash: bytes
    invalid: bool
    detail: object = None

    def difference(self, case: Case) -> str | None:
        """How this is not what Ethereum says, or None."""
        if self.invalid != case.is_invalid:
            return f"{case.id}: {'refused' if self.invalid else 'accepted'}, {self.detail}"
        if self.state_root != unhex(case.post["hash"]):
            return f"{case.id}: state root {self.state_root.hex()}, {self.detail}"
        if self.logs_hash != unhex(case.post["logs"]):
            return f"{case.id}: logs, {self.detail}"
        return None


class Nothing:
    """The view below a test's pre-state."""

    state_root = EMPTY_ROOT

    def __init__(self) -> None:
        self.nodes: dict[bytes, bytes] = {}
        self.accounts: dict[bytes, Account] = {}
        self.values: dict[tuple[bytes, int], int] = {}
        self.codes: dict[bytes, bytes] = {EMPTY_CODE_HASH: b""}

    def account(self, address: bytes) -> Account | None:
        return self.accounts.get(address)

    def storage(self, address: bytes, slot: int) -> int:
        return self.values.get((address, slot), 0)

    def code(self, code_hash: bytes) -> bytes:
        return self.codes[code_hash]

    def load_node(self, owner: bytes, node_hash: bytes) -> bytes:
        return self.nodes[owner + node_hash]

    def slots(self, address: bytes) -> Iterator[tuple[int, int]]:
        for (owner, slot), value in sorted(self.values.items()):
            if owner == address:
                yield slot, value


def with_every_precompile(state_class: type[State]) -> type[State]:
    """The same interpreter with the precompiles that the ledger has switched off."""
    computation = state_class.computation_class
    table = {
        **computation._precompiles,
        **{address: CANCUN_PRECOMPILES[address] for address in PRECOMPILES_OFF},
    }
    frames = type(f"Every{computation.__name__}", (computation,), {"_precompiles": table})
    return type(f"Every{state_class.__name__}", (state_class,), {"computation_class": frames})


def run_ours(case: Case, state_class: type[State]) -> Outcome:
    """`state_class` as `with_every_precompile` gives it."""
    overlay = Overlay(pre_state(case))
    execution = _apply(case, overlay, state_class)
    logs = [[log.address, list(log.topics), log.data] for log in execution.logs] if execution else []
    return Outcome(overlay.seal().state_root, keccak256(rlp.encode(logs)), execution is None, execution)


def is_taken(raw: bytes) -> bool:
    """Whether the ledger's decoder and signature check take the transaction."""
    try:
        sender_of(decode(raw))
    except (DecodeError, SignatureRefused):
        return False
    return True


def _apply(case: Case, overlay: Overlay[Nothing], state_class: type[State]) -> Execution | None:
    """What the transaction did, or None if it is invalid in Ethereum."""
    environment = case.environment
    base_fee, gas_limit = number(environment["currentBaseFee"]), number(environment["currentGasLimit"])
    coinbase = unhex(environment["currentCoinbase"])
    try:
        tx = CancunTransactionBuilder.decode(case.raw)
        tx.validate()
    except (ValidationError, RLPException, VMError):
        return None
    sender, creates = tx.sender, tx.to == b""
    if is_taken(case.raw):  # not those from before EIP-155
        ours = decode(case.raw)
        assert isinstance(ours, EthereumTransaction)
        assert sender_of(ours) == sender
        assert (ours.nonce, ours.gas_limit, ours.to or b"", ours.value, ours.data) == (
            tx.nonce, tx.gas, tx.to, tx.value, tx.data,
        )  # fmt: skip
    access_list = tuple((address, tuple(slots)) for address, slots in tx.access_list)
    account = overlay.account(sender) or EMPTY_ACCOUNT
    intrinsic = ethereum_intrinsic_gas(tx.data, creates, access_list)
    valid = (
        tx.nonce == account.nonce
        and account.code_hash == EMPTY_CODE_HASH
        and intrinsic <= tx.gas <= gas_limit
        and tx.max_fee_per_gas >= max(base_fee, tx.max_priority_fee_per_gas)
        and account.balance >= tx.gas * tx.max_fee_per_gas + tx.value
        and not (creates and len(tx.data) > MAX_INITCODE_BYTES)
    )
    if not valid:
        return None
    accounts = AccountDatabase(overlay)
    price = min(tx.max_fee_per_gas, base_fee + tx.max_priority_fee_per_gas)
    accounts.set_balance(sender, account.balance - tx.gas * price)
    calls = () if creates else (Call(tx.to, tx.data),)
    initcode = tx.data if creates else None
    request = CallRequest(sender, calls, tx.gas, initcode, access_list, intrinsic)
    execution = run(state_class(accounts, execution_context(case)), request, tx.value, price)
    accounts.set_balance(sender, accounts.get_balance(sender) + (tx.gas - execution.gas_used) * price)
    accounts.set_balance(coinbase, accounts.get_balance(coinbase) + execution.gas_used * (price - base_fee))
    accounts.clear_empty_accounts()
    return execution


def execution_context(case: Case) -> ExecutionContext:
    """The block of the test. Block hashes are keccak256 of the decimal height."""
    environment = case.environment
    height = number(environment["currentNumber"])
    return ExecutionContext(
        coinbase=unhex(environment["currentCoinbase"]),
        timestamp=number(environment["currentTimestamp"]),
        block_number=height,
        difficulty=0,
        mix_hash=unhex(environment.get("currentRandom", "0x")).rjust(32, b"\0"),
        gas_limit=number(environment["currentGasLimit"]),
        prev_hashes=[keccak256(str(height - 1 - n).encode()) for n in range(min(256, height))],
        chain_id=1,
        base_fee_per_gas=number(environment["currentBaseFee"]),
        excess_blob_gas=number(environment.get("currentExcessBlobGas", "0x0")),
    )


def pre_state(case: Case) -> Nothing:
    """The test's state, as a view that a block can be built on."""
    overlay = Overlay(Nothing())
    for address, fields in case.pre.items():
        code = unhex(fields["code"])
        account = EMPTY_ACCOUNT._replace(nonce=number(fields["nonce"]), balance=number(fields["balance"]))
        if code:
            account = account._replace(code_hash=overlay.add_code(code))
        overlay.set_account(unhex(address), account)
        for slot, value in fields["storage"].items():
            overlay.set_storage(unhex(address), number(slot), number(value))
    change = overlay.seal()
    view = Nothing()
    view.state_root = change.state_root
    view.nodes.update(change.nodes)
    view.accounts.update({address: account for address, account in change.accounts.items() if account})
    view.values.update(change.slots)
    view.codes.update(change.codes)
    return view
