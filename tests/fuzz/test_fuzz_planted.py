"""The properties can fail: bugs planted into the decoders, one at a time, are found by their targets."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.fuzz.running import ROOT

PLANT_AND_FUZZ = """
import sys
from importlib.machinery import SourceFileLoader
from random import Random

target, module, right, wrong = sys.argv[1:]
get_code = SourceFileLoader.get_code

def planted(self, name):
    if name != module:
        return get_code(self, name)
    source = self.get_data(self.path).decode()
    assert source.count(right) == 1, "the source has changed; plant the bug anew"
    return compile(source.replace(right, wrong), self.path, "exec")

SourceFileLoader.get_code = planted
from tests.fuzz.mutators import flip_bytes
from tests.fuzz.table import TARGETS, kept_inputs, load

loaded, random = load(TARGETS[target]), Random(1)
pool = [*loaded.seeds(), *(path.read_bytes() for path in kept_inputs(TARGETS[target].corpus))]
for data in pool:
    loaded.one_input(data)
for _ in range(5_000):
    loaded.one_input(loaded.mutate(random.choice(pool), random, flip_bytes(random)))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "module", "right", "wrong"),
    [
        ("encodings", "node.chain.encoding", "if length < 56 or data[position] == 0:", "if False:"),
        ("encodings", "node.chain.encoding", "if _SURROGATE_ESCAPE.search(data):", "if False:"),
        ("transaction", "node.chain.encoding", "if data[start] == 0:", "if False:"),
        ("messages", "node.chain.commit", "if power * 3 <= total * 2:", "if False:"),
        ("messages", "node.chain.header", 'require_canonical(encode_header(header), data, "header")', "pass"),
        ("trie_proof", "node.chain.proof", "if keccak256(node) != expected:", "if False:"),
        ("evidence", "evidence.transaction", "if evidence.result_proof.index !=", "if 0 >"),
        ("webauthn", "node.chain.schemes.webauthn", 'if b"\\\\" in tail or', "if False and"),
        ("webauthn", "node.chain.schemes.webauthn", "if not flags & _USER_VERIFIED:", "if False:"),
        ("rpc", "node.rpc.parameters", "and _HASH.fullmatch(value)", ""),
    ],
)
def test_a_planted_bug_is_found(target: str, module: str, right: str, wrong: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", PLANT_AND_FUZZ, target, module, right, wrong],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "tests/fuzz/targets" in result.stderr, result.stderr
    assert "the source has changed" not in result.stderr
