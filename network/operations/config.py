"""Where the operations port listens, and for whom."""

from __future__ import annotations

from typing import Final

from network.operations.networking import is_loopback
from node.chain.genesis import Genesis
from node.rpc.config import RefusedConfiguration, RpcConfig

PORT_ABOVE_RPC: Final = 36
"""Where it listens unless told otherwise: JSON-RPC's port and so many."""


def operations_config(rpc: RpcConfig, host: str, port: int) -> RpcConfig:
    """For the operations port at this address: JSON-RPC's tokens; its TLS and host names beyond loopback.

    Raises RefusedConfiguration, as for JSON-RPC.
    """
    if is_loopback(host):
        return RpcConfig(host=host, port=port, tokens=rpc.tokens)
    return RpcConfig(host=host, port=port, tokens=rpc.tokens, tls=rpc.tls, allowed_hosts=rpc.allowed_hosts)


def require_at_home(config: RpcConfig, genesis: Genesis) -> None:
    """Raises RefusedConfiguration `operations.demo_exposed`."""
    if genesis.is_demo and not config.is_loopback:
        raise RefusedConfiguration(
            "operations.demo_exposed", "a demo stays on this machine", config.host, "a loopback address"
        )
