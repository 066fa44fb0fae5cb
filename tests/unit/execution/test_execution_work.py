"""Work: counted to the unit, refused as a whole, the same with and without a watch, and never in the way of
an ordinary contract.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from eth.vm import opcode_values

from contracts.budget import measure
from node.chain.encoding import keccak256
from node.chain.rules import SYSTEM
from node.chain.transaction import Call
from node.execution import CallLimit, CallRequest, Execution
from node.execution import work as prices
from node.execution.work import NOT_LIMITED, OutOfWork, WorkMeter, least_gas, work_limit
from node.ledger.check import check_ledger
from node.state.account import EMPTY_ACCOUNT
from node.state.overlay import Overlay
from tests.helpers.ledger import TOKEN, Chain, mint, statuses, transfer
from tests.unit.execution.test_execution_executor import (
    CONTEXT,
    EXECUTOR,
    OTHER,
    SENDER,
    Empty,
    apply,
    at,
    world,
)

FOREVER = "5b5f56"
"""JUMPDEST, PUSH0, JUMP: 1 + 2 + 8 gas and 140 + 50 + 50 units of work."""
BURN_GAS = Call(TOKEN, keccak256(b"burnGas()")[:4])
MODEXP = (5).to_bytes(20, "big")


def calling(target: str, then: str) -> str:
    """Code that calls a contract with all gas and goes on after it, whatever became of it."""
    return f"5f5f5f5f5f73{target * 20}5af150{then}"


@pytest.mark.parametrize(
    ("code", "work"),
    [
        ("", 100),
        ("600160020100", 50 + 50 + 140 + 100),
        ("6001600201", 50 + 50 + 140 + 100),  # a STOP is understood
        ("5b5b00", 140 + 140 + 100),
        # 7 times round: PUSH1 7, then JUMPDEST, PUSH1 1, SWAP1, SUB, DUP1, PUSH1 2, JUMPI, and STOP
        ("60075b6001900380600257", 50 + 7 * (140 + 50 + 80 + 140 + 50 + 50 + 120) + 100),
        # MSTORE of one word at 33: three words of memory
        ("5f602152", 50 + 50 + 400 + 3 * 10 + 100),
        ("5f60215200", 50 + 50 + 400 + 3 * 10 + 100),
        # KECCAK256 of 33 bytes
        ("60215f2050", 50 + 50 + 1_500 + 2 * 10 + 2 * 100 + 50 + 100),
        # CALLDATACOPY of 64 bytes, twice: memory grows once
        ("60405f5f3760405f5f37", 2 * (3 * 50 + 3_500 + 2 * 5) + 2 * 10 + 100),
        # MCOPY of 32 bytes from 0 to 32
        ("60205f60205e", 3 * 50 + 2_500 + 2 * 10 + 5 + 100),
        # EXP with exponents 0, 255 and 256
        ("5f60020a5060ff60020a5061010060020a50", 3 * (150 + 2_500) + 3 * 3_500 + 100),
        # SLOAD cold, then warm
        ("5f545f545050", 50 + 500 + 15_000 + 50 + 500 + 50 + 50 + 100),
        # SSTORE of 1, of 2, of 0 again: only the first changes what was before; the slot is cold once
        ("60015f5560025f555f5f55", 3 * (100 + 900) + 15_000 + 35_000 + 100),
        # SSTORE of what is there
        ("5f5f55", 100 + 900 + 15_000 + 100),
        # LOG1 of 33 bytes
        ("5f60215fa1", 3 * 50 + 10_000 + 2 * 10 + 2 * 300 + 100),
        # BALANCE of a cold account, then of the same
        ("60ee3160ee315050", 2 * (50 + 1_500) + 20_000 + 2 * 50 + 100),
        # CALL of nobody at a cold address, with 33 bytes in and 64 out, over memory of 2 words
        ("60405f60215f5f60ee5af1", 6 * 50 + 500 + 32_000 + 2 * 10 + 4 * 5 + 20_000 + 100 + 100),
        # IDENTITY of 33 bytes by STATICCALL: a precompile is warm
        ("5f5f60215f60045afa", 5 * 50 + 500 + 32_000 + 2 * 10 + 2 * 5 + 2 * 5 + 100),
        # CREATE with initcode of one byte, a STOP: at a new, thus cold, address
        ("60015f5ff0", 3 * 50 + 50_000 + 10 + 5 + 20_000 + 900 + 100 + 100),
    ],
)
def test_the_work_of_a_program_is_exact(code: str, work: int) -> None:
    assert apply(world(c1=code), at("c1")).work == work


def test_each_call_of_a_batch_but_the_first_is_charged() -> None:
    assert apply(world(), at("ee")).work == 100
    assert apply(world(), at("ee"), at("ed"), at("ee")).work == 3 * 100 + 2 * 60_000


def test_new_code_is_charged_by_its_words() -> None:
    # PUSH1 33, PUSH0, RETURN: 33 zero bytes, two words of memory and of code; 4 bytes of initcode
    execution = EXECUTOR.apply(world(), CONTEXT, CallRequest(SENDER, (), 200_000, bytes.fromhex("60215ff3")))
    assert execution.success
    assert execution.work == 4 * 900 + 50 + 50 + 700 + 2 * 10 + 2 * 300


def test_a_transaction_that_may_do_nothing_more_reaches_whoever_has_no_code() -> None:
    assert apply(world(), at("ee"), gas=21_000, intrinsic_gas=21_000).success


def test_the_limit_follows_the_gas_after_the_intrinsic_gas() -> None:
    assert work_limit(50_000, 21_000) == 100_000 + 290_000
    assert work_limit(20_000, 21_000) == 100_000
    assert least_gas(390_000, 21_000) == 50_000
    assert least_gas(390_001, 21_000) == 50_001
    assert least_gas(7, 21_000) == 21_000
    assert CallRequest(SENDER, (), 1, work_limited=False).work_limit is None


def check_exhausted(overlay: Overlay[Empty], execution: Execution, gas: int, failed_call: int = 0) -> None:
    assert (execution.success, execution.gas_used, execution.failed_call) == (False, gas, failed_call)
    assert execution.error.startswith("out of work: ")
    assert (execution.logs, execution.output, execution.created, execution.refund) == ((), b"", None, 0)
    assert overlay.account(SENDER) == EMPTY_ACCOUNT._replace(nonce=1)
    assert overlay.storage(b"\xc1" * 20, 0) == 0


@pytest.mark.parametrize(
    ("codes", "gas"),
    [
        ({"c1": "60015f55" + FOREVER.replace("5f", "6004")}, 100_000),
        # in a frame below; the one above would have gone on and ended well
        ({"c1": "60015f55" + calling("c2", "00"), "c2": FOREVER}, 100_000),
        ({"c1": "60015f55" + calling("c2", "00"), "c2": calling("c3", "00"), "c3": FOREVER}, 100_000),
        # ecrecover again and again: 110,000 units for 3,000 gas
        ({"c1": "60015f555b5f5f60805f60015afa50600456"}, 300_000),
        # the initcode is too long for its gas: 900 units a byte
        ({"c1": "60015f556150005f5ff000"}, 200_000),
    ],
)
def test_who_runs_out_of_work_has_done_nothing_and_pays_all_gas(codes: dict[str, str], gas: int) -> None:
    overlay = world(**codes)
    check_exhausted(overlay, apply(overlay, at("c1"), gas=gas), gas)
    # Gas alone would have been enough for something to last, or would have run out in the same place.
    overlay = world(**codes)
    assert not apply(overlay, at("c1"), gas=gas, work_limited=False).error.startswith("out of work")


def test_work_that_runs_out_in_the_second_call_undoes_the_first() -> None:
    overlay = world(c2=FOREVER)
    check_exhausted(overlay, apply(overlay, mint(OTHER, 1), at("c2"), gas=200_000), 200_000, failed_call=1)


def test_a_creation_that_runs_out_of_work_creates_nothing() -> None:
    overlay = world()
    request = CallRequest(SENDER, (), 100_000, bytes.fromhex(FOREVER))
    execution = EXECUTOR.apply(overlay, CONTEXT, request)
    check_exhausted(overlay, execution, 100_000)
    assert overlay.account(keccak256(b"\xd6\x94" + SENDER + b"\x80")[12:]) is None


def modexp(base: int, exponent: int, modulus: int, content: bytes = b"\xff" * 40) -> Execution:
    data = b"".join(size.to_bytes(32, "big") for size in (base, exponent, modulus)) + content
    return apply(world(), Call(MODEXP, data), gas=30_000_000)


def test_modexp_touches_nothing_that_is_not_paid() -> None:
    huge = 1 << 255
    for sizes in ((huge, 1, 1), (1, huge, 1), (1, 1, huge), (huge, huge, huge), (0, huge, 1)):
        assert modexp(*sizes).error.startswith("OutOfGas")
    # Affordable in gas: an exponent of 80 million bits, 27 million gas; in time it is 10 s.
    assert modexp(1, 10_000_000, 1).error.startswith("out of work")
    assert modexp(0, huge, 0).success
    assert modexp(1, 1, 1).work == 30_000 + 45 * 200 + 150 * 7


def test_blake2f_that_cannot_be_paid_is_out_of_gas_and_not_out_of_work() -> None:
    data = b"\xff\xff\xff\xff" + bytes(208) + b"\1"
    execution = apply(world(), Call((9).to_bytes(20, "big"), data), gas=1_000_000)
    assert execution.error.startswith("OutOfGas")
    assert execution.work == 0
    paid = apply(world(), Call((9).to_bytes(20, "big"), bytes(3) + b"\x0c" + data[4:]), gas=1_000_000)
    assert (paid.success, paid.work) == (True, 80_000 + 12 * 20)


class Asked:
    """Never says stop, and counts how often it was asked."""

    times = 0

    def __call__(self) -> bool:
        self.times += 1
        return False


def test_a_watch_changes_nothing() -> None:
    overlay = world(c1=FOREVER, c2=calling("c1", "00"))
    for calls in ((at("c1"),), (at("c2"),), (mint(OTHER, 1), transfer(OTHER, 0))):
        request = CallRequest(SENDER, calls, 300_000)
        asked = Asked()
        watched = EXECUTOR.call(overlay, CONTEXT, request, CallLimit(asked))
        assert watched == EXECUTOR.call(overlay, CONTEXT, request)
        assert asked.times


def test_the_meter_asks_at_once_and_then_about_every_hundred_thousand_units() -> None:
    asked = Asked()
    meter = WorkMeter(1_000_000, asked)
    times = []
    for _ in range(100):
        meter.charge(10_000)
        times.append(asked.times)
    assert times[:24] == [1] * 11 + [2] * 11 + [3] * 2
    assert meter.done == 1_000_000
    with pytest.raises(OutOfWork):
        meter.charge(1)
    assert WorkMeter().left == NOT_LIMITED


def test_an_estimate_allows_the_work() -> None:
    # 2,000 times round: more work than its gas allows at 10 units each
    overlay = world(c1="6107d05b6001900380600357")
    request = CallRequest(SENDER, (at("c1"),), 30_000_000, intrinsic_gas=21_000)
    estimate = EXECUTOR.estimate(overlay, CONTEXT, request)
    assert estimate.gas is not None
    assert estimate.gas > estimate.execution.gas_used
    assert estimate.gas == least_gas(estimate.execution.work, 21_000)
    request = CallRequest(SENDER, (at("c1"),), estimate.gas, intrinsic_gas=21_000)
    assert EXECUTOR.call(overlay, CONTEXT, request).success
    request = CallRequest(SENDER, (at("c1"),), estimate.gas - 1, intrinsic_gas=21_000)
    assert EXECUTOR.call(overlay, CONTEXT, request).error.startswith("out of work")


def test_the_system_contracts_never_need_gas_for_their_work() -> None:
    """With the gas limit that an estimate gives (what is used before refunds), all work is allowed."""
    shares = {
        f"{entry.contract}.{entry.function} {entry.note}": entry.cost.work
        / work_limit(entry.cost.gas_limit, 0)
        for entry in measure()
    }
    assert max(shares.values()) < 1, sorted(shares.items(), key=lambda share: share[1])[-5:]
    assert sorted(shares.values())[len(shares) // 2] < 0.75


def test_the_protocol_names_every_price() -> None:
    text = (Path(__file__).parents[3] / "docs" / "PROTOCOL.md").read_text(encoding="utf-8")
    section = text.partition("### Work")[2].partition("\n## ")[0]
    told = {
        name: int(price.replace(",", ""))
        for price, names in re.findall(r"^\| ([0-9,]+) \| ([A-Z][^|]+) \|$", section, re.MULTILINE)
        for name in names.split()
    }
    for names, count in (("PUSH0–PUSH32", 33), ("DUP1–DUP16", 16), ("SWAP1–SWAP16", 16)):
        first, price = names.partition("–")[0], told.pop(names)
        told |= {f"{first[:-1]}{int(first[-1]) + number}": price for number in range(count)}
    told["SHA3"], told["DIFFICULTY"] = told.pop("KECCAK256"), told.pop("PREVRANDAO")
    assert {getattr(opcode_values, name): price for name, price in told.items()} == prices.OPCODES
    numbers = {int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", section)}
    constants = {value for name, value in vars(prices).items() if name.isupper() and isinstance(value, int)}
    assert constants - {NOT_LIMITED, prices.WORK_BETWEEN_QUESTIONS} <= numbers


def test_a_block_with_a_transaction_that_ran_out_of_work(tmp_path: Path) -> None:
    chain = Chain.create(tmp_path / "ledger")
    burning = chain.sign(chain.clerk, [transfer(OTHER, 5), BURN_GAS], nonce=0, gas_limit=300_000)
    after = chain.sign(chain.clerk, [transfer(OTHER, 7)], nonce=1)
    finalized = chain.add_block([burning, after])
    assert statuses(finalized) == [0, 1]
    assert finalized.results[0].gas_used == 300_000
    assert chain.balance(OTHER) == 7
    assert chain.nonce(chain.clerk) == 2
    with chain.ledger.snapshot() as snapshot:
        request = CallRequest(SYSTEM, (BURN_GAS,), 300_000)
        assert EXECUTOR.call(snapshot.state(), CONTEXT, request).error.startswith("out of work")
    chain.close()
    report = check_ledger(tmp_path / "ledger")
    assert report.ok, report.findings
