"""A node as a process of its own, for tests that kill it. Arguments: directory of the ledger, port."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from network.embedded import Pace, ValidatorKey
from network.runner import EmbeddedConfig, Node, NodeConfig
from node.rpc.config import RpcConfig
from tests.helpers.ledger import validator_key


async def serve(directory: Path, port: int) -> None:
    key = validator_key()
    machine = ValidatorKey(bytes(key.verify_key), lambda message: key.sign(message).signature)
    pace = Pace(heartbeat_s=60, proof_delay_s=0.01)
    async with Node(NodeConfig(directory, EmbeddedConfig(machine, pace), RpcConfig(port=port))):
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
