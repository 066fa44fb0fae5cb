"""The node's interpreter and py-evm's own loop give the same result for any code: gas, output, logs, state.

Programs are made of pieces that find on the stack what they need: any opcode over chosen or random numbers,
calls and creations among three contracts, a person and the precompiles, jumps, loops, ends of every kind; and
of plain random bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

from eth.vm import opcode_values as op
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.chain.transaction import Call
from node.execution.accounts import AccountDatabase
from node.execution.executor import BlockContext, CallRequest, Execution, _execution_context, run
from node.execution.fork import Computation, State
from node.execution.interpreter import FastState
from node.execution.program import ARITIES
from node.execution.work import WorkMeter
from node.state.account import EMPTY_ACCOUNT, EMPTY_CODE_HASH, Account
from node.state.nodes import EMPTY_ROOT
from node.state.overlay import Overlay

SENDER, PERSON, FIRST, SECOND, THIRD = (bytes([number]) * 20 for number in (0xAA, 0xAB, 0xC1, 0xC2, 0xC3))
CONTEXT = BlockContext(number=7, timestamp=1_800_000_000, gas_limit=30_000_000, chain_id=5)
GAS = 400_000
BALANCE = 1_000
STORED = {0: 1, 1: 0, 2: (1 << 256) - 1}


class Nothing:
    """The view below."""

    state_root = EMPTY_ROOT

    def account(self, address: bytes) -> Account | None:
        return None

    def storage(self, address: bytes, slot: int) -> int:
        return 0

    def code(self, code_hash: bytes) -> bytes:
        assert code_hash == EMPTY_CODE_HASH
        return b""

    def load_node(self, owner: bytes, node_hash: bytes) -> bytes:
        raise AssertionError("the trie is empty")

    def slots(self, address: bytes) -> Iterator[tuple[int, int]]:
        return iter(())


def world_of(codes: list[bytes]) -> Overlay[Nothing]:
    overlay = Overlay(Nothing())
    for address, code in zip((FIRST, SECOND, THIRD), codes, strict=True):
        code_hash = overlay.add_code(code)
        overlay.set_account(address, EMPTY_ACCOUNT._replace(nonce=1, balance=BALANCE, code_hash=code_hash))
        for slot, value in STORED.items():
            overlay.set_storage(address, slot, value)
    overlay.set_account(SENDER, EMPTY_ACCOUNT._replace(balance=BALANCE))
    return overlay


def outcome(
    state_class: type[State],
    codes: list[bytes],
    data: bytes,
    initcode: bytes | None,
    work: WorkMeter | None = None,
) -> tuple[Execution, bytes]:
    overlay = world_of(codes)
    state = state_class(AccountDatabase(overlay), _execution_context(CONTEXT), work)
    calls = () if initcode is not None else (Call(FIRST, data), Call(SECOND, b""), Call(FIRST, b"\x01"))
    execution = run(state, CallRequest(SENDER, calls, GAS, initcode), value=1)
    return execution, overlay.seal().state_root


def push(value: int, size: int = 0) -> bytes:
    size = size or max(1, (value.bit_length() + 7) // 8)
    return bytes([op.PUSH1 - 1 + size]) + value.to_bytes(size, "big")


def code_in_memory(code: bytes) -> bytes:
    """Writes `code` to memory from 0 on."""
    words = [code[at : at + 32].ljust(32, b"\0") for at in range(0, len(code), 32)]
    return b"".join(
        push(int.from_bytes(word, "big"), 32) + push(32 * index) + bytes([op.MSTORE])
        for index, word in enumerate(words)
    )


SPECIAL = [255, 256, 31, 32, 33, 64, 1 << 32, 1 << 64, 1 << 255, (1 << 255) - 1, (1 << 256) - 1]
SMALL = st.integers(0, 40)
NUMBERS = st.one_of(SMALL, SMALL, st.sampled_from(SPECIAL), st.integers(0, (1 << 256) - 1))
ADDRESSES = st.one_of(
    st.sampled_from([int.from_bytes(a, "big") for a in (FIRST, SECOND, THIRD, PERSON, SENDER)]),
    st.integers(0, 10),
    st.integers(1 << 160, (1 << 256) - 1),
)
JUMPS = (op.JUMP, op.JUMPI)
CALLS = (op.CALL, op.CALLCODE, op.DELEGATECALL, op.STATICCALL)
CREATES = (op.CREATE, op.CREATE2)
TAKES_ADDRESS = (op.BALANCE, op.EXTCODESIZE, op.EXTCODECOPY, op.EXTCODEHASH, op.SELFDESTRUCT)
ENDINGS = (op.STOP, op.RETURN, op.REVERT, op.SELFDESTRUCT, 0xFE, 0x0C)


@st.composite
def operations(draw: st.DrawFn) -> bytes:
    """An opcode that is not a jump, call or creation, mostly with what it takes."""
    opcode = draw(st.sampled_from(sorted(set(ARITIES) - set(JUMPS + CALLS + CREATES + ENDINGS))))
    arguments = [draw(st.one_of(SMALL, NUMBERS)) for _ in range(ARITIES[opcode][0])]
    if opcode in TAKES_ADDRESS:
        arguments[0] = draw(ADDRESSES)
    if draw(st.integers(0, 9)) == 0:
        return bytes([opcode])
    return b"".join(push(argument) for argument in reversed(arguments)) + bytes([opcode])


@st.composite
def calls(draw: st.DrawFn) -> bytes:
    opcode = draw(st.sampled_from(CALLS))
    gas = draw(st.sampled_from([0, 100, 2_300, 3_000, 30_000, 1 << 255]))
    areas = [draw(st.sampled_from([0, 1, 32, 64, 96, 130, 213])) for _ in range(4)]
    value = [draw(st.sampled_from([0, 0, 0, 1, BALANCE + 5]))] if opcode in CALLS[:2] else []
    arguments = [gas, draw(ADDRESSES), *value, *areas]
    after = draw(st.sampled_from([b"", bytes([op.POP]), bytes([op.RETURNDATASIZE, op.SSTORE])]))
    return b"".join(push(argument) for argument in reversed(arguments)) + bytes([opcode]) + after


RUNTIMES = st.sampled_from(
    [b"", b"\xef", bytes([op.CALLER, op.SELFDESTRUCT]), bytes([op.CALLVALUE, op.PUSH0, op.SSTORE])]
)


@st.composite
def creations(draw: st.DrawFn) -> bytes:
    """CREATE or CREATE2 of short code, and often a call to what came out."""
    runtime = draw(RUNTIMES)
    ending = draw(st.sampled_from([op.RETURN, op.RETURN, op.RETURN, op.REVERT]))
    init = code_in_memory(runtime) + push(len(runtime)) + push(0) + bytes([ending])
    init = draw(st.sampled_from([init, init, bytes([op.ADDRESS, op.SELFDESTRUCT]), b"\xfe"]))
    opcode = draw(st.sampled_from(CREATES))
    salt = push(draw(st.integers(0, 1))) if opcode == op.CREATE2 else b""
    value = push(draw(st.sampled_from([0, 0, 1, BALANCE + 1])))
    create = code_in_memory(init) + salt + push(len(init)) + push(0) + value + bytes([opcode])
    call = push(0) * 5 + bytes([op.DUP6, op.GAS, op.CALL])
    return create + draw(st.sampled_from([b"", call, call + call]))


@st.composite
def endings(draw: st.DrawFn) -> bytes:
    arguments = push(draw(st.sampled_from([0, 5, 40]))) + push(draw(st.sampled_from([0, 1, 33])))
    return arguments + bytes([draw(st.sampled_from(ENDINGS))])


LOOP = bytes([op.JUMPDEST]) + push(1) + bytes([op.ADD, op.DUP1]) + push(9) + bytes([op.GT])
JUMP_SOMEWHERE = st.tuples(st.integers(0, 1), st.integers(0, 90), st.sampled_from(JUMPS)).map(
    lambda jump: push(jump[0]) + push(jump[1]) + bytes([jump[2]])
)
PIECES = st.one_of(
    operations(),
    operations(),
    operations(),
    NUMBERS.map(push),
    calls(),
    creations(),
    JUMP_SOMEWHERE,
    st.just(bytes([op.JUMPDEST])),
    st.just(push(4) + LOOP),
    st.sampled_from(sorted(ARITIES)).map(lambda opcode: bytes([opcode])),
    st.sampled_from([push(0) + push(0) + push(0), bytes([op.DUP1])]),
)
CODES = st.one_of(
    st.tuples(st.lists(PIECES, max_size=25).map(b"".join), st.one_of(endings(), st.just(b""))).map(b"".join),
    st.binary(max_size=60),
)


def check_agreement(codes: list[bytes], data: bytes = b"", initcode: bytes | None = None) -> Execution:
    stock, stock_root = outcome(State, codes, data, initcode)
    fast, fast_root = outcome(FastState, codes, data, initcode)
    assert (fast.success, fast.gas_used, fast.refund) == (stock.success, stock.gas_used, stock.refund)
    assert (fast.output, fast.logs, fast.created) == (stock.output, stock.logs, stock.created)
    assert (fast.failed_call, fast_root) == (stock.failed_call, stock_root)
    return fast


@settings(max_examples=250, deadline=None)
@given(st.lists(CODES, min_size=3, max_size=3), st.binary(max_size=64))
@example([bytes([op.JUMPDEST, op.PUSH0, op.PUSH0, op.JUMP]), b"", b""], b"")  # the stack fills up
@example([bytes([op.PUSH32, 1]), b"", b""], b"")  # data that ends with the code
@example([push(3, 1) + bytes([op.JUMP, op.PUSH1, op.JUMPDEST]), b"", b""], b"")  # into data
@example([push(0) + bytes([op.MSIZE, op.MSTORE, op.MSIZE, op.MLOAD, op.PC, op.GAS]), b"", b""], b"")
def test_both_interpreters_agree(codes: list[bytes], data: bytes) -> None:
    check_agreement(codes, data)


@settings(max_examples=60, deadline=None)
@given(CODES, CODES)
def test_both_interpreters_agree_on_creations(initcode: bytes, other: bytes) -> None:
    check_agreement([other, b"", b""], initcode=initcode)


@settings(max_examples=80, deadline=None)
@given(st.lists(CODES, min_size=3, max_size=3), st.binary(max_size=64), st.data())
def test_work_is_enough_or_the_whole_transaction_fails(
    codes: list[bytes], data: bytes, choose: st.DataObject
) -> None:
    free, root = outcome(FastState, codes, data, None)
    watched = WorkMeter(free.work, lambda: False)
    assert outcome(FastState, codes, data, None, watched) == (free, root)
    limit = choose.draw(st.integers(0, free.work - 1))
    short, short_root = outcome(FastState, codes, data, None, WorkMeter(limit))
    assert (short.success, short.gas_used, short.logs, short.output) == (False, GAS, (), b"")
    assert short.error.startswith("out of work")
    untouched = world_of(codes)
    untouched.set_account(SENDER, EMPTY_ACCOUNT._replace(balance=BALANCE, nonce=1))
    assert short_root == untouched.seal().state_root


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(ARITIES)), st.lists(NUMBERS, min_size=18, max_size=18))
def test_each_opcode_over_any_numbers_gives_the_same_word(opcode: int, numbers: list[int]) -> None:
    arguments = numbers[: ARITIES[opcode][0]]
    code = b"".join(push(number) for number in reversed(arguments)) + bytes([opcode])
    code += push(0) + bytes([op.MSTORE]) + push(32) + push(0) + bytes([op.RETURN])
    check_agreement([code, b"", b""], b"\xff" * 40)


def test_the_stack_that_each_opcode_needs_and_leaves_is_what_py_evm_takes_and_gives() -> None:
    assert ARITIES.keys() == Computation.opcodes.keys()
    for opcode, (takes, gives) in ARITIES.items():
        if opcode in (*JUMPS, *ENDINGS):
            continue
        data = bytes(opcode - op.PUSH0) if op.PUSH0 <= opcode <= op.PUSH32 else b""
        for height in (takes - 1, takes, 1024 - max(gives - takes, 0), 1025 - max(gives - takes, 0)):
            if not 0 <= height <= 1024:
                continue
            code = push(0) * height + bytes([opcode]) + data
            fits = takes <= height and height - takes + gives <= 1024
            assert check_agreement([code, b"", b""]).success == fits, (opcode, height)


def test_every_opcode_can_end_the_code() -> None:
    for opcode in range(256):
        check_agreement([push(1) * 7 + bytes([opcode]), b"", b""])


def test_the_gas_that_a_program_sees_is_exact_wherever_it_looks() -> None:
    plain = [push(5) + push(7) + bytes([op.MUL]), bytes([op.JUMPDEST]), push(0) + bytes([op.MLOAD])]
    code = b"".join(bytes([op.GAS]) + piece for piece in plain)
    code += b"".join(push(32 * index) + bytes([op.MSTORE]) for index in range(5))
    execution = check_agreement([code + push(192) + push(0) + bytes([op.RETURN]), b"", b""])
    assert execution.success
