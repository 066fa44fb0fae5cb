"""The JSON-RPC server: HTTP and WebSocket on one port, over a `Backend`.

server = RpcServer(backend, RpcConfig(port=8545))
await server.start()      # listening; server.port is the real one
await server.stop()       # open calls are told to stop, connections closed
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Generator

import uvicorn

from node.rpc.backend import Backend
from node.rpc.config import RefusedConfiguration, RpcConfig
from node.rpc.dispatch import Dispatcher
from node.rpc.gate import Gate
from node.rpc.http import HttpEndpoint, Receive, Scope, Send
from node.rpc.methods import METHODS
from node.rpc.service import Service
from node.rpc.unsent import Unsent
from node.rpc.websocket import WebSocketEndpoint

_STOP_SECONDS = 5


class RpcServer:
    """One server of one node. Raises RefusedConfiguration `rpc.config.demo_exposed` when made."""

    def __init__(self, backend: Backend, config: RpcConfig) -> None:
        if backend.genesis.is_demo and not config.is_loopback:
            raise RefusedConfiguration(
                "rpc.config.demo_exposed",
                "a demo's keys are known to everybody; it stays on this machine",
                config.host,
                "a loopback address",
            )
        self._config = config
        self._service = Service(backend, config)
        self._service.hub.on_pending.append(self._service.filters.transaction_pending)
        gate = Gate(config)
        dispatcher = Dispatcher(METHODS, self._service)
        unsent = Unsent(config.limits.unsent_bytes)
        self._http = HttpEndpoint(dispatcher, gate, unsent, config)
        self._websocket = WebSocketEndpoint(dispatcher, gate, self._service.hub, unsent, config)
        self._uvicorn: _Uvicorn | None = None
        self._serving: asyncio.Task[None] | None = None
        self.port = config.port

    @property
    def url(self) -> str:
        """Where a program on this machine reaches it."""
        host = "localhost" if self._config.host in ("127.0.0.1", "localhost") else self._config.host
        host = f"[{host}]" if ":" in host else host
        return f"{'http' if self._config.tls is None else 'https'}://{host}:{self.port}"

    async def start(self) -> None:
        """Listen. Raises RefusedConfiguration `rpc.config.address` if the address cannot be had."""
        listener = self._bind()
        self.port = listener.getsockname()[1]
        self._service.start()
        self._uvicorn = _Uvicorn(self._uvicorn_config())
        self._serving = asyncio.create_task(self._uvicorn.serve([listener]))
        while not self._uvicorn.started and not self._serving.done():
            await asyncio.sleep(0.005)
        if self._serving.done():
            await self._serving

    async def stop(self) -> None:
        if self._uvicorn is not None and self._serving is not None:
            self._uvicorn.should_exit = True
            await self._serving
        await self._service.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)

    def _bind(self) -> socket.socket:
        host = self._config.host
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            # With the protocol named, asyncio sets TCP_NODELAY on what is accepted; without it every answer
            # waits 40 ms for the caller's delayed acknowledgement.
            listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, self._config.port))
        except OSError as error:
            raise RefusedConfiguration(
                "rpc.config.address",
                f"cannot listen: {error.strerror}",
                f"{host}:{self._config.port}",
                "a free port",
            ) from error
        return listener

    def _uvicorn_config(self) -> uvicorn.Config:
        limits, tls = self._config.limits, self._config.tls
        config = uvicorn.Config(
            self,
            lifespan="off",
            http="httptools",
            ws="websockets-sansio",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            limit_concurrency=limits.connections,
            ws_max_size=limits.body_bytes,
            ws_ping_interval=limits.ping_seconds,
            ws_ping_timeout=limits.ping_seconds,
            ws_per_message_deflate=False,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=_STOP_SECONDS,
        )
        if tls is not None:
            config.ssl_certfile, config.ssl_keyfile = str(tls.certificate), str(tls.key)
            if tls.client_ca is not None:
                config.ssl_ca_certs, config.ssl_cert_reqs = str(tls.client_ca), ssl.CERT_REQUIRED
        return config


class _Uvicorn(uvicorn.Server):
    """Uvicorn without its signal handlers: the program that runs the node decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield
