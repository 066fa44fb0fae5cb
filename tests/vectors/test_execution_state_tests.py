"""Ethereum's own state tests (GeneralStateTests, Cancun posts) through the node's executor.

Provenance: ethereum/tests, develop of 2024-10-24, cases with a Cancun post state only, as one archive beside
the repository: ../shared/vectors/ethereum-state-tests-cancun.tar.xz. It is data to read, not part of the
repository.

The tests have money, fees and blob transactions; the ledger has none. So a shim in this file buys and pays
gas around `run`, moves values, brings back the two precompiles that are off and BLOCKHASH's answers.
Everything else is the executor as it runs in a node: overlay, journal, intrinsic gas, refunds, creation,
destruction, state root.

Left out: blob transactions (type 3), which are refused before execution.
"""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
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
from node.execution.fork import PRECOMPILES_OFF, Computation, State
from node.execution.gas import MAX_INITCODE_BYTES, ethereum_intrinsic_gas
from node.state.account import EMPTY_ACCOUNT, EMPTY_CODE_HASH, Account
from node.state.nodes import EMPTY_ROOT
from node.state.overlay import Overlay

ARCHIVE = Path(__file__).parents[3] / "shared" / "vectors" / "ethereum-state-tests-cancun.tar.xz"
FAST_CASES = 200
PARTS = 8

SECONDS_EACH = ("static_Call50000", "CannotBeDos", "Calldepth")
"""Not in the slice."""


@dataclass(frozen=True)
class Case:
    name: str
    environment: dict[str, str]
    pre: dict[str, dict[str, Any]]
    post: dict[str, Any]


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


class EthereumComputation(Computation):
    _precompiles = {  # noqa: RUF012 (py-evm's own form)
        **Computation._precompiles,
        **{address: CANCUN_PRECOMPILES[address] for address in PRECOMPILES_OFF},
    }


class EthereumState(State):
    computation_class = EthereumComputation


@pytest.mark.slow
def test_a_slice_of_the_state_tests_gives_ethereums_roots_and_logs() -> None:
    quick = [file for file in load_files().items() if not any(word in file[0] for word in SECONDS_EACH)]
    files = quick[:: len(quick) // FAST_CASES]
    chosen = [case for file in files for case in list(cases_of(*file))[:1]]
    assert len(chosen) >= FAST_CASES * 9 // 10
    assert failures(chosen) == []


@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
def test_all_state_tests_give_ethereums_roots_and_logs(part: int) -> None:
    files = list(load_files().items())[part::PARTS]
    assert failures([case for file in files for case in cases_of(*file)]) == []


def failures(cases: list[Case]) -> list[str]:
    """Names of cases that end differently from Ethereum, and how."""
    return [f"{case.name}: {how}" for case in cases if (how := difference(case)) is not None]


def difference(case: Case) -> str | None:
    view = pre_state(case)
    overlay = Overlay(view)
    refused, execution = apply(case, overlay)
    root = overlay.seal().state_root
    logs = [] if execution is None else [[log.address, list(log.topics), log.data] for log in execution.logs]
    if ("expectException" in case.post) != refused:
        return f"refused: {refused}"
    if root != unhex(case.post["hash"]):
        return f"root {root.hex()}, {execution}"
    return None if keccak256(rlp.encode(logs)) == unhex(case.post["logs"]) else f"logs {execution}"


def apply(case: Case, overlay: Overlay[Nothing]) -> tuple[bool, Execution | None]:
    """Whether the transaction is invalid in Ethereum, and what it did if it is not."""
    environment = case.environment
    base_fee, gas_limit = number(environment["currentBaseFee"]), number(environment["currentGasLimit"])
    coinbase = unhex(environment["currentCoinbase"])
    raw = unhex(case.post["txbytes"])
    try:
        tx = CancunTransactionBuilder.decode(raw)
        tx.validate()
    except (ValidationError, RLPException, VMError):
        return True, None
    sender, creates = tx.sender, tx.to == b""
    if is_accepted(
        raw
    ):  # the tests still have transactions from before EIP-155, which the ledger does not take
        ours = decode(raw)
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
        return True, None
    accounts = AccountDatabase(overlay)
    price = min(tx.max_fee_per_gas, base_fee + tx.max_priority_fee_per_gas)
    accounts.set_balance(sender, account.balance - tx.gas * price)
    height = number(environment["currentNumber"])
    context = ExecutionContext(
        coinbase=coinbase,
        timestamp=number(environment["currentTimestamp"]),
        block_number=height,
        difficulty=0,
        mix_hash=unhex(environment.get("currentRandom", "0x")).rjust(32, b"\0"),
        gas_limit=gas_limit,
        prev_hashes=[keccak256(str(height - 1 - n).encode()) for n in range(min(256, height))],
        chain_id=1,
        base_fee_per_gas=base_fee,
        excess_blob_gas=number(environment.get("currentExcessBlobGas", "0x0")),
    )
    calls = () if creates else (Call(tx.to, tx.data),)
    initcode = tx.data if creates else None
    request = CallRequest(sender, calls, tx.gas, initcode, access_list, intrinsic)
    execution = run(EthereumState(accounts, context), request, tx.value, price)
    accounts.set_balance(sender, accounts.get_balance(sender) + (tx.gas - execution.gas_used) * price)
    accounts.set_balance(coinbase, accounts.get_balance(coinbase) + execution.gas_used * (price - base_fee))
    accounts.clear_empty_accounts()
    return False, execution


def is_accepted(raw: bytes) -> bool:
    try:
        sender_of(decode(raw))
    except (DecodeError, SignatureRefused):
        return False
    return True


def pre_state(case: Case) -> Nothing:
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


@lru_cache(maxsize=1)
def load_files() -> dict[str, bytes]:
    """The test files by name, in order."""
    if not ARCHIVE.is_file():
        message = f"Ethereum's state tests are not at {ARCHIVE}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    files = {}
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            if member.name.endswith(".json"):
                stream = archive.extractfile(member)
                assert stream is not None
                files[member.name] = stream.read()
    return dict(sorted(files.items()))


def cases_of(file: str, content: bytes) -> Iterator[Case]:
    for name, test in json.loads(content).items():
        if "maxFeePerBlobGas" not in test["transaction"]:
            for post in test["post"].get("Cancun", ()):
                yield Case(f"{Path(file).name} {name} {post['indexes']}", test["env"], test["pre"], post)


def unhex(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def number(text: str) -> int:
    return int(text, 16) if text not in ("", "0x") else 0
