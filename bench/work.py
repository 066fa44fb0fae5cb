"""Gas that means time: what the worst programs cost, and whether their work says so.

    python -m bench.work [--json FILE] [--write] [--rows N] [--only TEXT]

Each program of `bench.worst_cases` runs as a call with the gas of the largest transaction (the better of two
runs), and as a full block through `Ledger.finalize`, on a LevelDB with `--rows` accounts and as many slots of
the contracts that read them; then come blocks full of small transactions. Time is CPU time of this process,
all threads; how much memory a program needs at most is taken in a process of its own, with tracemalloc.
`--write` puts the
tables into docs/WORK.md.

Exits with 1 if a block took longer than it may.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench.machine import machine_facts
from bench.worst_cases import ROWS_FROM, Helpers, WorstCase, worst_cases
from node.chain.encoding import keccak256, rlp_encode_bytes, rlp_encode_integer, rlp_encode_list
from node.chain.rules import DOMAIN_SERVICE, FIRST_RULES, IDENTITY_REGISTRY
from node.chain.signing import ED25519
from node.chain.transaction import Call
from node.execution import BlockContext, CallRequest, Execution, PyEvmExecutor
from node.execution.gas import ethereum_intrinsic_gas
from node.execution.work import WORK_PER_GAS
from node.ledger import FinalizedBlock
from node.state.account import EMPTY_ACCOUNT, EMPTY_CODE_HASH, encode_account
from node.state.database import Batch, Database
from node.state.tables import ACCOUNTS, SLOTS
from tests.helpers.ledger import SERVICE, TOKEN, Chain, person, sign_ethereum, statuses, transfer, write_slots

DOCUMENT: Final = Path(__file__).parent.parent / "docs" / "WORK.md"
START: Final = "<!-- work: written by python -m bench.work --write -->"
END: Final = "<!-- end of work -->"

BLOCK_MS: Final = 500
"""What a full block may take, alone on the machine."""

_TRIAL_GAS: Final = 1_000_000
_SENDER: Final = b"\xaa" * 20
_SLOTS_A_CALL: Final = 900


@dataclass(frozen=True, slots=True)
class Measured:
    """One program. `ms` of CPU for one call with the gas of a transaction, `block_ms` for a block of two."""

    name: str
    gas: int
    work: int
    ended_by: str
    ms: float
    block_gas: int
    block_ms: float
    peak_mb: int | None


@dataclass(frozen=True, slots=True)
class MeasuredBlock:
    """One block of transactions that people send; `succeeded` by their receipts."""

    name: str
    transactions: int
    succeeded: int
    gas: int
    ms: float


class World:
    """A chain with the programs on it, and rows to read."""

    def __init__(self, path: Path, rows: int, only: str = "") -> None:
        self._path = path
        self._caller = person("caller", ED25519, DOMAIN_SERVICE, SERVICE)
        self._owner = Chain.people()[3].address
        slots = _filled_slots(min(rows, 50_000))
        self._chain = Chain.create(path, more_people=[self._caller], calls=slots)
        self._nonce = 0
        self._gas_a_unit: dict[str, float] = {}
        self.helpers = Helpers(*(int.from_bytes(self._deploy(code), "big") for code in Helpers.codes()))
        self.cases = [case for case in worst_cases(self.helpers) if only in case.name]
        self.addresses = {case.name: self._deploy(case.code) for case in self.cases}
        self._chain.close()
        _add_rows(path, rows, [self.addresses[case.name] for case in self.cases if "LOAD" in case.name])
        self._chain = Chain.open(path)

    def close(self) -> None:
        self._chain.close()

    def call(self, case: WorstCase, gas: int = FIRST_RULES.transaction_gas) -> tuple[Execution, float]:
        """One run with the gas limit of a transaction, and its ms."""
        ledger = self._chain.ledger
        context = BlockContext(ledger.tip.height + 1, self._chain.next_time_ns // 10**9, gas, 1)
        call = self.prepared(case, gas)
        intrinsic = ethereum_intrinsic_gas(call.data, is_creation=False)
        request = CallRequest(_SENDER, (call,), gas, intrinsic_gas=intrinsic)
        with ledger.snapshot() as snapshot:
            view = snapshot.state()
            return _timed(lambda: PyEvmExecutor().call(view, context, request))

    def prepared(self, case: WorstCase, gas: int) -> Call:
        """The call of the program; one whose changes are to last stops just before gas or work ends."""
        address = self.addresses[case.name]
        if not case.lasting:
            return Call(address, case.data)
        left = gas - ethereum_intrinsic_gas(bytes(32), is_creation=False) - 1_000
        if case.name not in self._gas_a_unit:
            tried = Call(address, (left - _TRIAL_GAS).to_bytes(32, "big"))
            with self._chain.ledger.snapshot() as snapshot:
                context = BlockContext(1, self._chain.next_time_ns // 10**9, gas, 1)
                execution = PyEvmExecutor().call(
                    snapshot.state(), context, CallRequest(_SENDER, (tried,), left, work_limited=False)
                )
            self._gas_a_unit[case.name] = (execution.gas_used + execution.refund) / execution.work
        spent = min(left, int(self._gas_a_unit[case.name] * WORK_PER_GAS * left)) * 97 // 100 - _TRIAL_GAS
        return Call(address, (left - spent).to_bytes(32, "big"))

    def block(self, case: WorstCase) -> tuple[FinalizedBlock, float]:
        """A block of two transactions that take its gas, finalized and thrown away, and its ms."""
        limits = (FIRST_RULES.transaction_gas, FIRST_RULES.block_gas - FIRST_RULES.transaction_gas)
        return self.finalized(self._signed([(self.prepared(case, limit), limit) for limit in limits]))

    def finalized(self, raws: Sequence[bytes]) -> tuple[FinalizedBlock, float]:
        decided = self._chain.decide(raws)[0]
        return _timed(lambda: self._chain.ledger.finalize(decided))

    def transaction_blocks(self) -> Iterator[tuple[str, list[bytes]]]:
        """Blocks that are full of transactions rather than of opcodes."""
        chain, whole, base = self._chain, FIRST_RULES.block_gas, FIRST_RULES.base_gas
        nobody = Call(b"\x77" * 20, b"")
        yield "transactions of 21,000 gas", self._signed([(nobody, base)] * (whole // base))
        burn = Call(TOKEN, keccak256(b"burnGas()")[:4])
        yield (
            "22,000 gas each, with all the work they may do",
            self._signed([(burn, 22_000)] * (whole // 22_000)),
        )
        if deep := self.addresses.get("recursion with logs"):
            yield (
                "recursions as deep as they go",
                self._signed([(Call(deep, b""), 1_050_000)] * (whole // 1_050_000)),
            )
        data = b"\xff" * 120_000
        gas = ethereum_intrinsic_gas(data, is_creation=False)
        yield "transactions of 120 kB", self._signed([(Call(nobody.to, data), gas)] * (whole // gas))
        slots = int.from_bytes(keccak256(b"slots"), "big")
        pairs = [(slots * number % (1 << 256), 1) for number in range(1, 871)]
        call = Call(IDENTITY_REGISTRY, write_slots(pairs))
        yield "870 new slots each, in a large trie", self._signed([(call, whole // 2)] * 2)
        for name, who, calls, gas in (
            ("transfers, Ed25519", chain.clerk, [transfer(self._owner, 0)], 45_000),
            ("transfers, passkey", chain.officer, [transfer(self._owner, 0)], 50_000),
            ("batches of 100 transfers, passkey", chain.officer, [transfer(self._owner, 0)] * 100, 1_600_000),
            ("batches of 100 calls of nobody, Ed25519", self._caller, [nobody] * 100, 54_000),
        ):
            count = whole // gas
            yield name, [chain.sign(who, calls, nonce=nonce, gas_limit=gas) for nonce in range(count)]

    def _signed(self, calls: Sequence[tuple[Call, int]]) -> list[bytes]:
        """A transaction of the service for each call and gas limit."""
        chain = self._chain
        return [
            sign_ethereum(
                chain.service,
                chain_id=chain.ledger.genesis.evm_chain_id,
                nonce=self._nonce + index,
                gas_limit=gas,
                to=call.to,
                data=call.data,
            )
            for index, (call, gas) in enumerate(calls)
        ]

    def _deploy(self, runtime: bytes) -> bytes:
        chain = self._chain
        init = b"\x61" + len(runtime).to_bytes(2, "big") + bytes.fromhex("80600a5f395ff3") + runtime
        chain.add_block([chain.deploy(chain.service, init, nonce=self._nonce, gas_limit=30_000_000)])
        address = _created(chain.service.address, self._nonce)
        self._nonce += 1
        return address


def _created(sender: bytes, nonce: int) -> bytes:
    return keccak256(rlp_encode_list((rlp_encode_bytes(sender), rlp_encode_integer(nonce))))[12:]


def _filled_slots(count: int) -> list[Call]:
    """Calls of the genesis that give the slot writer at the registry's address that many slots."""
    numbers = [int.from_bytes(keccak256(number.to_bytes(8, "big")), "big") for number in range(count)]
    parts = (numbers[at : at + _SLOTS_A_CALL] for at in range(0, count, _SLOTS_A_CALL))
    return [Call(IDENTITY_REGISTRY, write_slots((number, 1) for number in part)) for part in parts]


def _add_rows(path: Path, count: int, contracts: Sequence[bytes]) -> None:
    """Accounts, and slots of these contracts, written as rows: to be read, not to be proven."""
    account = encode_account(EMPTY_ACCOUNT._replace(nonce=1, code_hash=EMPTY_CODE_HASH))
    with Database.open(path) as database:
        for first in range(0, count, 50_000):
            batch = Batch()
            for number in range(ROWS_FROM + first, ROWS_FROM + min(first + 50_000, count)):
                batch.rows[ACCOUNTS.prefix + number.to_bytes(20, "big")] = account
                for contract in contracts:
                    batch.put(SLOTS, (contract, number), 1)
            database.write(batch)


def _timed(run: Callable[[], Any]) -> tuple[Any, float]:
    started = time.process_time_ns()
    result = run()
    return result, (time.process_time_ns() - started) / 1e6


def measure(world: World, case: WorstCase) -> Measured:
    execution, ms = world.call(case)
    ms = min(ms, world.call(case)[1])
    if execution.error.startswith("out of work"):
        ended_by = "work"
    else:
        ended_by = "itself" if execution.success else "gas"
    finalized, block_ms = world.block(case)
    peak = _peak(case.name) if case.peak else None
    gas = execution.gas_used + execution.refund
    return Measured(case.name, gas, execution.work, ended_by, ms, finalized.gas_used, block_ms, peak)


def _peak(name: str) -> int:
    command = [sys.executable, "-m", "bench.work", "--peak", name]
    return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def print_peak(name: str) -> None:
    """By how many MB the memory of this process grew at most while the program ran."""
    with tempfile.TemporaryDirectory() as directory:
        world = World(Path(directory) / "ledger", 100, only=name)
        tracemalloc.start()
        world.call(next(case for case in world.cases if case.name == name))
        print(round(tracemalloc.get_traced_memory()[1] / 1e6))
        world.close()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.work", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/WORK.md")
    parser.add_argument("--rows", type=int, default=100_000, help="accounts and slots in the database")
    parser.add_argument("--only", default="", help="programs with this in their names")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.peak:
        print_peak(options.peak)
        return 0
    programs: list[Measured] = []
    blocks: list[MeasuredBlock] = []
    with tempfile.TemporaryDirectory() as directory:
        world = World(Path(directory) / "ledger", options.rows, options.only)
        for case in world.cases:
            programs.append(measure(world, case))
            print(_program_row(programs[-1]), flush=True)
        for name, raws in world.transaction_blocks():
            finalized, ms = world.finalized(raws)
            succeeded = sum(status or 0 for status in statuses(finalized))
            blocks.append(MeasuredBlock(name, len(raws), succeeded, finalized.gas_used, ms))
            print(_block_row(blocks[-1]), flush=True)
        world.close()
    machine = machine_facts()
    if options.json:
        figures = {"machine": machine, "rows": options.rows, "programs": [asdict(one) for one in programs]}
        options.json.write_text(json.dumps(figures | {"blocks": [asdict(one) for one in blocks]}, indent=1))
    if options.write:
        text = DOCUMENT.read_text(encoding="utf-8")
        DOCUMENT.write_text(updated(text, report(programs, blocks, machine, options.rows)), encoding="utf-8")
    slow = [one.name for one in programs if one.block_ms > BLOCK_MS]
    slow += [one.name for one in blocks if one.ms > BLOCK_MS]
    print(f"longer than {BLOCK_MS} ms: {', '.join(slow) or 'none'}")
    return 1 if slow else 0


def report(
    programs: Sequence[Measured], blocks: Sequence[MeasuredBlock], machine: dict[str, Any], rows: int
) -> str:
    """The tables in Markdown."""
    day = datetime.now(UTC).date().isoformat()
    lines = [
        f"{day}, commit {machine['commit']}, {machine['cores']} cores of {machine['cpu']}, "
        f"Python {machine['python']}, {rows:,} rows; load average at the end {machine['load_average'][0]}.",
        "",
        "| program | gas | work | ended by | CPU ms | ns a unit | full block, CPU ms | memory, MB |",
        "|---|---:|---:|---|---:|---:|---:|---:|",
        *map(_program_row, programs),
        "",
        "| block of | transactions | succeeded | gas | CPU ms |",
        "|---|---:|---:|---:|---:|",
        *map(_block_row, blocks),
    ]
    return "\n".join(lines)


def updated(text: str, tables: str) -> str:
    """The document with the tables between its markers; ValueError if a marker is missing."""
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise ValueError(f"{DOCUMENT.name} has no place for the tables")
    return f"{before}{START}\n\n{tables}\n\n{END}{after}"


def _program_row(one: Measured) -> str:
    peak = "" if one.peak_mb is None else str(one.peak_mb)
    return (
        f"| {one.name} | {one.gas:,} | {one.work:,} | {one.ended_by} | {one.ms:.0f} "
        f"| {one.ms * 1e6 / max(one.work, 1):.2f} | {one.block_ms:.0f} | {peak} |"
    )


def _block_row(one: MeasuredBlock) -> str:
    return f"| {one.name} | {one.transactions:,} | {one.succeeded:,} | {one.gas:,} | {one.ms:.0f} |"


if __name__ == "__main__":
    sys.exit(main())
