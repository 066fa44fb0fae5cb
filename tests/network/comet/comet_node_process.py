"""A consortium's node as a process of its own, for tests that kill it.

Arguments: directory of the ledger, of CometBFT, port of JSON-RPC. Logs go to stderr.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cli.logs import configure_logs
from network.runner import CometConfig, NodeConfig, run_node
from node.rpc.config import RpcConfig

if __name__ == "__main__":
    configure_logs(as_json=True)
    ledger, comet, port = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    config = NodeConfig(ledger, CometConfig(comet), RpcConfig(port=port))
    run_node(config, lambda node: print("ready", flush=True))
