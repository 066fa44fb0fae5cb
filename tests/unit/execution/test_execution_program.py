"""Programs: code cut into runs, each opcode in one of them, decoded when somebody comes there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from eth.exceptions import InvalidJumpDestination

from node.execution.program import (
    BINARY,
    GO_ON,
    JUMP,
    JUMPI,
    OPERATION_AT_END,
    PUSH,
    STACK_LIMIT,
    Program,
    program_of,
)


def test_a_run_sums_up_what_its_opcodes_need() -> None:
    # PUSH1 1, ADD, DUP3, POP, STOP: adds to what is there, and looks three deep
    gas, work, lowest, highest, steps, end, what, after = Program(bytes.fromhex("60010182 5000"))[0]
    assert (gas, work) == (3 + 3 + 3 + 2 + 0, 50 + 140 + 50 + 50 + 100)
    assert (lowest, highest) == (3, STACK_LIMIT - 1)
    assert [kind for kind, _ in steps][:2] == [PUSH, BINARY]
    assert (end, what, after) == (OPERATION_AT_END, 0, 6)


def test_a_run_ends_before_a_jumpdest_and_the_next_begins_with_it() -> None:
    program = Program(bytes.fromhex("5f5b5f56"))
    assert program[0][5:] == (GO_ON, None, 1)
    assert program[1][5:] == (JUMP, 0, 4)
    assert sorted(program) == [0, 1]


def test_a_destination_that_is_pushed_just_before_is_part_of_the_jump() -> None:
    assert Program(bytes.fromhex("6001600457005b"))[0][4:7] == (((PUSH, 1),), JUMPI, 4)
    assert Program(bytes.fromhex("8057"))[0][5:7] == (JUMPI, None)


def test_behind_the_code_stands_a_stop_however_far_its_last_push_reaches() -> None:
    run = Program(bytes.fromhex("7f01"))[0]
    assert run[4] == ((PUSH, 1 << 248),)
    assert run[5:] == (OPERATION_AT_END, 0, 34)


@pytest.mark.parametrize("destination", [0, 1, 5, 6, 1 << 255])
def test_only_a_jumpdest_that_is_no_data_is_a_destination(destination: int) -> None:
    program = Program(bytes.fromhex("605b005b005f"))
    program.check(3)
    with pytest.raises(InvalidJumpDestination):
        program.check(destination)
    assert program.checked == {3}


def test_each_opcode_is_in_one_run_so_decoding_is_linear() -> None:
    code = b"\x5b" * 1_000 + b"\x01" * 1_000
    program, position = Program(code), 0
    opcodes = 0
    while position <= len(code):
        _, _, _, _, steps, end, _, position = program[position]
        opcodes += len(steps) + (end == GO_ON)
    assert opcodes == 1_000 - 1 + 1_000


def test_threads_share_a_program_and_the_last_few_are_kept() -> None:
    code = b"".join(bytes.fromhex("5b5f50") + bytes([0x60, number]) for number in range(200)) + b"\x00"
    with ThreadPoolExecutor(8) as threads:
        programs = list(threads.map(program_of, [bytes(bytearray(code))] * 50))
        runs = list(threads.map(lambda program: [program[at] for at in range(0, 1_000, 5)], programs))
    assert all(one == runs[0] for one in runs)
    for number in range(100):
        program_of(bytes([0x60, number, 0x00]))
    assert program_of.cache_info().currsize == program_of.cache_info().maxsize == 32
