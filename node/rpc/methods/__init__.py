"""The methods of the server. docs/JSON-RPC.md describes each; a test keeps the two equal."""

from __future__ import annotations

from node.rpc.method import table
from node.rpc.methods import blocks, client, execution, history, logs, shelian, state, transactions

METHODS = table(
    client.METHODS,
    blocks.METHODS,
    state.METHODS,
    execution.METHODS,
    transactions.METHODS,
    logs.METHODS,
    shelian.METHODS,
    history.METHODS,
)
"""Every method by its name."""
