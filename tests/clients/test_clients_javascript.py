"""viem and ethers 6; what they do is in the .mjs files, whose own assertions count."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.clients.conftest import HERE
from tests.helpers.rpc_node import SAMPLE


def test_viem_works_unmodified(run_script: Callable[[str], dict[str, Any]]) -> None:
    assert run_script("viem.mjs")["imiType"] == "0x49"


def test_ethers_works_unmodified(run_script: Callable[[str], dict[str, Any]]) -> None:
    assert run_script("ethers.mjs")["imiType"] == 0x49


def test_the_compiled_sample_is_that_of_its_source(npm_packages: Path) -> None:
    result = subprocess.run(["node", str(HERE / "compile.mjs")], capture_output=True, check=True, timeout=60)
    assert json.loads(result.stdout) == SAMPLE
