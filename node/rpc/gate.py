"""The gate in front of HTTP and WebSocket: from a request's headers to a `Caller`, or a refusal."""

from __future__ import annotations

import time
from collections.abc import Mapping

from node.rpc.access import admit
from node.rpc.config import RpcConfig
from node.rpc.rate import Buckets
from node.rpc.request import Caller
from node.rpc.subscriptions import Connection


class Gate:
    """Access checks and the buckets of everybody who passed them."""

    def __init__(self, config: RpcConfig) -> None:
        self._config = config
        self._clients = Buckets(config.limits.client_rate)
        self._connections = Buckets(config.limits.connection_rate)

    def admit(
        self, headers: Mapping[str, str], client: tuple[str, int] | None, connection: Connection | None = None
    ) -> Caller:
        """Raises AccessRefused. `client` is (address, port), which together name a connection."""
        address = client[0] if client else "unknown"
        admission = admit(
            headers,
            address=address,
            hosts=self._config.allowed_hosts,
            origins=self._config.allowed_origins,
            tokens=self._config.tokens,
        )
        now = time.monotonic()
        buckets = (self._clients.of(admission.name, now), self._connections.of(client, now))
        return Caller(admission.name, admission.scope, buckets, connection)
