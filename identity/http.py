"""What every HTTP process of identity enforces before a route runs: host, origin, size, headers.

A page that a person signs on must answer to its own name only: a request under another Host (DNS rebinding)
or from another site's page (Origin) is refused, whatever route it asks for.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from identity.errors import SigningRefused
from node.chain.errors import ShelianError

MAX_BODY_BYTES = 1 << 20
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "publickey-credentials-get=(self), publickey-credentials-create=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL, as browsers write an origin."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def refusal(error: ShelianError, status: int) -> JSONResponse:
    """The JSON answer to a typed error: `{code, message, got, expected}`."""
    return JSONResponse(error.as_dict(), status_code=status)


class Guard:
    """ASGI middleware around an application that is reached as `public_url` only."""

    def __init__(self, app: ASGIApp, public_url: str) -> None:
        self._app = app
        self._origin = origin_of(public_url)
        self._host = urlsplit(public_url).netloc
        port = urlsplit(public_url).port
        self._numeric_host = f"127.0.0.1:{port}" if port else "127.0.0.1"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = self._refuse(scope, Headers(scope=scope))
        if answer is not None:
            await answer(scope, receive, _with_headers(send))
            return
        await self._app(scope, _limited(receive), _with_headers(send))

    def _refuse(self, scope: Scope, headers: Headers) -> Response | None:
        host, origin, safe = headers.get("host", ""), headers.get("origin"), scope["method"] in _SAFE_METHODS
        if host == self._numeric_host and safe and self._host != host:
            # Passkeys belong to a name; browsers carry the fragment along.
            query = f"?{scope['query_string'].decode('ascii', 'replace')}" if scope["query_string"] else ""
            return RedirectResponse(f"{self._origin}{scope['path']}{query}", status_code=307)
        if host != self._host:
            error = SigningRefused("http.host", "asked under another name", got=host, expected=self._host)
            return refusal(error, 421)
        if not safe and origin is not None and origin != self._origin:
            error = SigningRefused(
                "http.origin", "asked by a page of another site", got=origin, expected=self._origin
            )
            return refusal(error, 403)
        if not safe and headers.get("content-type", "").split(";")[0].strip() != "application/json":
            error = SigningRefused(
                "http.content_type",
                "only JSON is taken",
                got=headers.get("content-type"),
                expected="application/json",
            )
            return refusal(error, 415)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 18 or int(length) > MAX_BODY_BYTES:
            return _too_large(length[:40])
        return None


def _too_large(got: object) -> JSONResponse:
    error = SigningRefused("http.too_large", "the body is too large", got=got, expected=MAX_BODY_BYTES)
    return refusal(error, 413)


def _limited(receive: Receive) -> Receive:
    """The same body, which ends (and so fails to parse) where it grows over the limit without saying its
    length.
    """
    size = 0

    async def limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MAX_BODY_BYTES:
            return {"type": "http.request", "body": b"", "more_body": False}
        return message

    return limited


def _with_headers(send: Send) -> Send:
    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sender
