"""Style sheets and scripts travel compressed: a resident's phone may be on a weak connection.

Only files that are the same for everybody. Pages hold form tokens beside text a stranger may have written,
and the length of such a page, compressed, would tell about the token (BREACH).
"""

from __future__ import annotations

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_PREFIXES = ("/static/", "/app-static/")


class CompressedStatic:
    """ASGI middleware: gzip below the two folders of static files, nothing elsewhere."""

    def __init__(self, app: ASGIApp) -> None:
        self._plain = app
        self._compressed = GZipMiddleware(app, minimum_size=1_024, compresslevel=6)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        static = scope["type"] == "http" and scope["path"].startswith(_PREFIXES)
        await (self._compressed if static else self._plain)(scope, receive, send)
