"""Where stock py-evm differs from Ethereum, case by case, and that the node does not.

`state_tests/stock_failures.json` names every state test of Cancun that py-evm 0.12.1b1 fails as it comes:
what it does wrong, and what the node does instead. Each is run on both. What is not named passes on stock
py-evm too: the list is neither too long nor too short.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from eth.precompiles.modexp import modexp

from node.chain.errors import DecodeError
from node.chain.transaction import decode
from node.execution.interpreter import FastState
from node.execution.precompiles import MODEXP, PRECOMPILES
from node.execution.work import WorkMeter
from tests.vectors.state_tests.cases import Case, cases_of, is_archive, load_cases, load_files, slice_of
from tests.vectors.state_tests.ours import run_ours, with_every_precompile
from tests.vectors.state_tests.stock import run_stock

FAILURES = json.loads((Path(__file__).parent / "state_tests" / "stock_failures.json").read_text())
NAMED = {f"{row['file']} {case}" for row in FAILURES for case in row["cases"]}
ALL_NAMED, NAMED_IN_ARCHIVE = 78, 65
PASSING_SLICE, PARTS = 400, 8


def named_cases() -> Iterator[Case]:
    """Every case of the files that have a failure: of the archive, or of a checkout of ethereum/tests."""
    for row in FAILURES:
        if row["in_archive"] or not is_archive():
            yield from cases_of(row["file"], load_files()[row["file"]])


def test_stock_py_evm_fails_just_the_cases_that_are_named() -> None:
    cases = list(named_cases())
    failed = {case.id for case in cases if run_stock(case).difference(case)}
    assert failed == {case.id for case in cases} & NAMED
    assert len(failed) == (NAMED_IN_ARCHIVE if is_archive() else ALL_NAMED)
    assert len(NAMED) == ALL_NAMED


def test_the_node_agrees_with_ethereum_in_them_or_refuses_the_type() -> None:
    state_class = with_every_precompile(FastState)
    agreed = refused = 0
    for case in named_cases():
        if case.has_blobs:
            with pytest.raises(DecodeError) as caught:
                decode(case.raw)
            assert caught.value.code == "tx.type_not_allowed"
            refused += 1
        else:
            assert run_ours(case, state_class).difference(case) is None
            agreed += 1
    assert agreed
    assert refused


@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
def test_stock_py_evm_passes_what_is_not_named(part: int) -> None:
    """A slice of all directories, and every blob transaction."""
    cases = [*slice_of(PASSING_SLICE), *(case for case in load_cases() if case.has_blobs)][part::PARTS]
    failed = {case.id for case in cases if run_stock(case).difference(case)}
    assert failed == {case.id for case in cases} & NAMED


@pytest.mark.parametrize(
    ("exponent", "modulus", "stock", "right"), [(b"", b"\x02", b"\0", b"\1"), (b"\0", b"\7", b"\0", b"\1")]
)
def test_modexp_of_an_empty_base_follows_eip_198(
    exponent: bytes, modulus: bytes, stock: bytes, right: bytes
) -> None:
    """0 ** 0 is 1 (EIP-198). The state tests that show it are not in the archive."""
    sizes = b"".join(size.to_bytes(32, "big") for size in (0, len(exponent), len(modulus)))
    assert run_precompile(modexp, sizes + exponent + modulus) == stock
    assert run_precompile(PRECOMPILES[MODEXP], sizes + exponent + modulus) == right


def run_precompile(precompile: object, data: bytes) -> bytes:
    """The output of a precompile called with `data`."""
    frame = SimpleNamespace(
        msg=SimpleNamespace(data_as_bytes=data, data=data),
        consume_gas=lambda amount, reason: None,
        state=SimpleNamespace(work=WorkMeter()),
        output=b"",
    )
    precompile(frame)  # type: ignore[operator]
    return frame.output
