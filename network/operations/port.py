"""The operations port: status page, /status.json, /metrics, /healthz, /readyz.

It has a thread and an event loop of its own, so neither JSON-RPC nor a ledger that does not answer holds it
up, and it holds up neither.

**Who may ask.** As at JSON-RPC: the Host header must be one of ours (DNS rebinding), no page of another
origin may ask, and when there are tokens every caller needs one whose methods allow the endpoint's name
(`RULES`). Browsers may give the token as the password of HTTP's basic scheme. Beyond loopback tokens and TLS,
or client certificates, are required (`node.rpc.config.RpcConfig` refuses else). Everything is read only.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Final

import orjson
import structlog
import uvicorn
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from network.operations.findings import FAULT, not_ready
from network.operations.metrics import CONTENT_TYPE, render_metrics
from network.operations.page import POLICY, render_page
from network.operations.source import FactSource, Report
from node.rpc.access import AccessRefused, Admission, check_host, check_origin, check_token
from node.rpc.config import RefusedConfiguration, RpcConfig
from node.rpc.http import decode_headers

_log = structlog.get_logger("network.operations")

RULES: Final = {
    "/": "operations_status",
    "/status.json": "operations_status",
    "/metrics": "operations_metrics",
    "/healthz": "operations_health",
    "/readyz": "operations_health",
}
"""What a token's methods must allow, by endpoint."""

_CONNECTIONS: Final = 32
_STOP_S: Final = 3
_ALWAYS: Final = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}

Endpoint = Callable[[Request], Awaitable[Response]]


class OperationsPort:
    """See the module. `start` it once; `stop` it before the ledger is closed."""

    def __init__(self, config: RpcConfig, source: FactSource, timings: CollectorRegistry) -> None:
        self._config = config
        self._source = source
        self._timings = timings
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self.port = config.port

    @property
    def url(self) -> str:
        """Where a program on this machine reaches it."""
        host = "localhost" if self._config.host in ("127.0.0.1", "localhost") else self._config.host
        host = f"[{host}]" if ":" in host else host
        return f"{'http' if self._config.tls is None else 'https'}://{host}:{self.port}"

    def start(self) -> None:
        """Listen; returns at once. Raises RefusedConfiguration `operations.address`."""
        listener = _bind(self._config)
        self.port = listener.getsockname()[1]
        self._server = _Server(_uvicorn_config(self._app(), self._config))
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="operations", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
        self._source.close()

    def _app(self) -> Starlette:
        endpoints: dict[str, Endpoint] = {
            "/": self._page,
            "/status.json": self._status,
            "/metrics": self._metrics,
            "/healthz": self._alive,
            "/readyz": self._ready,
        }
        routes = [
            Route(path, _guarded(endpoint, RULES[path], self._config), methods=["GET"])
            for path, endpoint in endpoints.items()
        ]
        return Starlette(routes=routes)

    async def _page(self, request: Request) -> Response:
        report = await self._source.report()
        html = render_page(report, refresh=request.query_params.get("refresh") != "0")
        return Response(html, media_type="text/html", headers={**_ALWAYS, "content-security-policy": POLICY})

    async def _status(self, request: Request) -> Response:
        return _json(200, status_document(await self._source.report()))

    async def _metrics(self, request: Request) -> Response:
        report = await self._source.report()
        text = render_metrics(report, self._timings)
        return Response(text, headers={**_ALWAYS, "content-type": CONTENT_TYPE})

    async def _alive(self, request: Request) -> Response:
        """The process runs. It asks the ledger nothing."""
        return _json(200, {"ok": True})

    async def _ready(self, request: Request) -> Response:
        """The node makes or follows blocks, and is in step."""
        report = await self._source.report()
        reason = not_ready(report.findings)
        height = None if report.facts is None else report.facts.block.height
        if reason is None:
            return _json(200, {"ok": True, "height": height})
        return _json(503, {"ok": False, "height": height, "reason": reason.as_dict()})


def status_document(report: Report) -> dict[str, Any]:
    """What /status.json says. `ok`: there is no fault; `ready`: as /readyz."""
    return {
        "ok": all(one.level != FAULT for one in report.findings),
        "ready": report.facts is not None and not_ready(report.findings) is None,
        "age_s": round(report.age_s, 3),
        "took_s": round(report.took_s, 4),
        "findings": [one.as_dict() for one in report.findings],
        "facts": None if report.facts is None else report.facts.as_dict(),
    }


def _guarded(endpoint: Endpoint, method: str, config: RpcConfig) -> Endpoint:
    """The endpoint for those who may ask it."""

    async def guarded(request: Request) -> Response:
        try:
            _require_allowed(request, method, config)
        except AccessRefused as error:
            headers = {"www-authenticate": 'Basic realm="shelian"'} if error.status == 401 else {}
            return _json(error.status, {"error": error.as_dict()}, headers)
        return await endpoint(request)

    return guarded


def _require_allowed(request: Request, method: str, config: RpcConfig) -> Admission:
    """Raises AccessRefused rpc.host, rpc.origin, rpc.token_missing, rpc.token_unknown, operations.scope."""
    headers = decode_headers(request.scope)
    check_host(headers.get("host"), config.allowed_hosts)
    check_origin(headers.get("origin"), ())
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise AccessRefused(
            403, "rpc.origin", "pages elsewhere may not ask", headers["sec-fetch-site"], "none, same-origin"
        )
    address = request.client.host if request.client else "unknown"
    admission = check_token(_bearer(headers.get("authorization")), config.tokens, address)
    if not admission.scope.allows_method(method):
        raise AccessRefused(
            403, "operations.scope", "this token is not for the operations port", admission.name, method
        )
    return admission


def _bearer(authorization: str | None) -> str | None:
    """A browser's name and password: the password is the token."""
    scheme, _, given = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return authorization
    try:
        secret = base64.b64decode(given, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return None
    return f"Bearer {secret}"


def _json(status: int, document: object, headers: dict[str, str] | None = None) -> Response:
    body = orjson.dumps(document, option=orjson.OPT_INDENT_2)
    return Response(
        body, status_code=status, media_type="application/json", headers={**_ALWAYS, **(headers or {})}
    )


def _bind(config: RpcConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((config.host, config.port))
    except OSError as error:
        listener.close()
        raise RefusedConfiguration(
            "operations.address",
            f"the operations port cannot listen: {error.strerror}",
            f"{config.host}:{config.port}",
            "a free port: --operations HOST:PORT, or off",
        ) from error
    return listener


def _uvicorn_config(app: Starlette, config: RpcConfig) -> uvicorn.Config:
    made = uvicorn.Config(
        app,
        lifespan="off",
        loop="asyncio",
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=_STOP_S,
    )
    if config.tls is not None:
        made.ssl_certfile, made.ssl_keyfile = str(config.tls.certificate), str(config.tls.key)
        if config.tls.client_ca is not None:
            made.ssl_ca_certs, made.ssl_cert_reqs = str(config.tls.client_ca), ssl.CERT_REQUIRED
    return made


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers: it is not in the main thread."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield
