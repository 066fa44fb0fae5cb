"""A node as a process of its own, run as `shelian node` runs it. Arguments: directory of the ledger, port."""

from __future__ import annotations

import sys
from pathlib import Path

import structlog

from network.embedded import ValidatorKey
from network.runner import EmbeddedConfig, NodeConfig, run_node
from node.rpc.config import RpcConfig
from tests.helpers.ledger import validator_key

if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    key = validator_key()
    machine = ValidatorKey(bytes(key.verify_key), lambda message: key.sign(message).signature)
    config = NodeConfig(Path(sys.argv[1]), EmbeddedConfig(machine), RpcConfig(port=int(sys.argv[2])))
    run_node(config, lambda node: print("ready", flush=True))
