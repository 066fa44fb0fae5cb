"""Everything the methods share while a server runs."""

from __future__ import annotations

from node.rpc.backend import Backend
from node.rpc.config import RpcConfig
from node.rpc.filters import Filters
from node.rpc.roots import RootCache
from node.rpc.subscriptions import Hub
from node.rpc.workers import Workers


class Service:
    """The node behind, and the server's own state: filters, subscriptions, threads, computed roots."""

    def __init__(self, backend: Backend, config: RpcConfig) -> None:
        limits = config.limits
        self.backend = backend
        self.config = config
        self.workers = Workers(limits)
        self.filters = Filters(limits)
        self.roots = RootCache()
        self.hub = Hub(backend, self.roots)
        genesis = backend.genesis
        self.chain_id = hex(genesis.evm_chain_id)

    def start(self) -> None:
        """Begin to listen to the node; called in the event loop."""
        self.hub.start()

    async def stop(self) -> None:
        await self.hub.stop()
        self.workers.close()
