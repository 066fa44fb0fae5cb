"""Ethereum's own state tests (GeneralStateTests, Cancun posts) through the node's executor.

Where they come from and how many there are: `state_tests/cases.py`, docs/CONFORMANCE.md. Every case counts:
either the executor runs it and ends as Ethereum does, or it is a blob transaction, which the ledger refuses
by its type before anything of it runs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import pytest

from node.chain.errors import DecodeError, ShelianError
from node.chain.transaction import decode
from node.execution.fork import State
from node.execution.interpreter import FastState
from tests.helpers.ledger import Chain
from tests.vectors.state_tests import cases as state_test_cases
from tests.vectors.state_tests.cases import (
    ALL_CASES,
    BLOB_CASES,
    CHECKOUT_VARIABLE,
    Case,
    cases_of,
    count,
    is_archive,
    load_cases,
    load_files,
    load_manifest,
    slice_of,
)
from tests.vectors.state_tests.ours import run_ours, with_every_precompile

INTERPRETERS: dict[str, type[State]] = {
    "interpreter": with_every_precompile(FastState),
    "loop": with_every_precompile(State),
}
"""What a node runs, and py-evm's own loop over the node's state."""
SLICE = 200
PARTS = 8
TYPE_REFUSED = "tx.type_not_allowed"
CONTENT = "1323ddfa0a62b31fa89f1371d7cee894a921945be0b984a6e79abdd35ebc854e"
"""sha256 over the cases of the archive, as `content_hash` reads them."""


@pytest.mark.slow
@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_a_slice_of_the_state_tests_ends_as_in_ethereum(interpreter: str) -> None:
    chosen = slice_of(SLICE)
    assert SLICE - 5 <= len(chosen) <= SLICE
    assert {case.directory for case in chosen} == {c.directory for c in load_cases() if not c.has_blobs}
    assert differences(chosen, interpreter) == []


@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_all_state_tests_end_as_in_ethereum(interpreter: str, part: int) -> None:
    cases = list(load_cases(part, PARTS))
    blobs = [case for case in cases if case.has_blobs]
    executed = [case for case in cases if not case.has_blobs]
    if is_archive():
        expected = load_manifest()
        files = list(load_files())[part::PARTS]
        in_part = sum(expected[directory_of(file)][file.rpartition("/")[2]] for file in files)
        assert len(executed) + len(blobs) == in_part
    assert differences(executed, interpreter) == []
    assert Counter(refusal(case) for case in blobs).keys() <= {TYPE_REFUSED}


def test_every_case_of_the_archive_is_there_and_none_besides() -> None:
    cases = list(load_cases())
    if not is_archive():
        pytest.skip("the cases come from a checkout of ethereum/tests, which has more than the archive")
    assert count(cases) == load_manifest()
    assert len({case.id for case in cases}) == len(cases) == ALL_CASES
    assert content_hash(cases) == CONTENT


def test_each_blob_transaction_is_refused_by_its_type_and_all_else_is_run(tmp_path: Path) -> None:
    chain = Chain.create(tmp_path / "ledger")
    executed, refused, admission = 0, Counter[str](), Counter[str]()
    for case in load_cases():
        if case.has_blobs:
            refused[refusal(case)] += 1
            with pytest.raises(ShelianError) as caught:
                chain.ledger.check(case.raw, chain.next_time_ns)
            admission[caught.value.code] += 1
        else:
            executed += 1
    chain.close()
    assert refused.keys() == admission.keys() == {TYPE_REFUSED}
    if is_archive():
        assert refused.total() == admission.total() == BLOB_CASES
        assert executed + refused.total() == ALL_CASES


def test_where_the_archive_is_missing_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CHECKOUT_VARIABLE, raising=False)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(state_test_cases, "ARCHIVE", Path("/nowhere/archive.tar.xz"))
    words = "/nowhere/archive.tar.xz.*github.com/ethereum/tests.*pack_state_tests.py"
    with pytest.raises(pytest.skip.Exception, match=words):
        load_files.__wrapped__()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=words):
        load_files.__wrapped__()


@pytest.mark.long
def test_the_archive_can_be_made_anew_from_the_public_files(tmp_path: Path) -> None:
    """From files as the public repository has them, with what the archive leaves out."""
    for file, content in load_files().items():
        tests = json.loads(content)
        for test in tests.values():
            test["_info"] = {"comment": "left out"}
            test["post"]["London"] = [{"hash": "left out"}]
        tests["without Cancun"] = {"env": {}, "pre": {}, "transaction": {}, "post": {"London": []}}
        path = tmp_path / "GeneralStateTests" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(tests))
    made = tmp_path / "made.tar.xz"
    script = Path(__file__).with_name("pack_state_tests.py")
    subprocess.run([sys.executable, script, tmp_path, made], check=True, capture_output=True)
    with tarfile.open(made) as archive:
        names = [member.name.removeprefix("GeneralStateTests/") for member in archive]
        cases = [
            case for name in names for case in cases_of(name, read(archive, f"GeneralStateTests/{name}"))
        ]
    assert content_hash(cases) == content_hash(load_cases())


def read(archive: tarfile.TarFile, name: str) -> bytes:
    stream = archive.extractfile(name)
    assert stream is not None
    return stream.read()


def differences(cases: Iterable[Case], interpreter: str) -> list[str]:
    """Cases that end differently from Ethereum, and how."""
    state_class = INTERPRETERS[interpreter]
    found = (run_ours(case, state_class).difference(case) for case in cases)
    return [difference for difference in found if difference]


def refusal(case: Case) -> str:
    """The code with which the decoder refuses the transaction, or "decoded"."""
    try:
        decode(case.raw)
    except DecodeError as error:
        return error.code
    return "decoded"


def content_hash(cases: Iterable[Case]) -> str:
    digest = sha256()
    for case in sorted(cases, key=lambda case: case.id):
        content = [case.id, case.environment, case.pre, case.post]
        digest.update(json.dumps(content, sort_keys=True).encode())
    return digest.hexdigest()


def directory_of(file: str) -> str:
    return file.rpartition("/")[0]
