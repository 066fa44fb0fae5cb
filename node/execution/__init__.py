"""Execution: one pinned EVM fork behind a narrow `Executor`. The only importer of py-evm (package `eth`)."""

import os

import node.execution.unused  # noqa: F401 - before the first import of py-evm

# eth-hash picks its keccak once, at import: the C one, not the slower one it would prefer by itself.
os.environ["ETH_HASH_BACKEND"] = "pysha3"

from node.execution.executor import (
    BlockContext,
    CallLimit,
    CallRequest,
    Estimate,
    Execution,
    Executor,
    PyEvmExecutor,
)

__all__ = ["BlockContext", "CallLimit", "CallRequest", "Estimate", "Execution", "Executor", "PyEvmExecutor"]
