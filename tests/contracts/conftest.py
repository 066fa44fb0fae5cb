"""Shared by the contract tests: a fresh district, and the toolchain where a test compiles."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from contracts.district import district
from contracts.sandbox import Sandbox
from contracts.system import CONTRACTS_DIR


@pytest.fixture(scope="session")
def start() -> Sandbox:
    return district()


@pytest.fixture
def sandbox(start: Sandbox) -> Sandbox:
    """A district of the test's own."""
    return start.fork()


@pytest.fixture(scope="session")
def toolchain() -> None:
    """Compiler and test runner, installed if absent. Without npm the test is skipped, but fails in CI."""
    if (CONTRACTS_DIR / "node_modules" / "solc").is_dir() and (
        CONTRACTS_DIR / "node_modules" / ".bin" / "forge"
    ).exists():
        return
    npm = shutil.which("npm")
    done = npm and subprocess.run(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=CONTRACTS_DIR,
        capture_output=True,
        check=False,
    )
    if not done or done.returncode != 0:
        reason = "contracts/node_modules (solc, forge) is absent and `npm ci` does not bring it"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
