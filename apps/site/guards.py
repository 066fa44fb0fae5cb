"""What is refused before a handler sees it, and the headers every answer carries.

Order: host -> body size -> origin of an unsafe request -> session. A name other than the public one is not
answered (DNS rebinding); 127.0.0.1 is sent on to localhost, because passkeys belong to a name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from apps.site.context import Site, cookie_name

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; "
    "form-action 'self'{form_targets}; frame-ancestors 'none'; base-uri 'none'; manifest-src 'self'"
)


def add_guards(site: Site) -> None:
    config = site.config
    public = urlsplit(config.public_url)
    origin = f"{public.scheme}://{public.netloc}"
    targets = sorted(
        {f"{(u := urlsplit(page)).scheme}://{u.netloc}" for page in config.signing_pages.values()}
    )
    policy = _POLICY.format(form_targets="".join(" " + target for target in targets))

    @app_middleware(site.app)
    async def guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        request.state.signed_in = None
        refused = _refused(request)
        if refused is None:
            token = request.cookies.get(cookie_name(config))
            request.state.signed_in = site.store.session(token, site.now()) if token else None
            try:
                response = await call_next(request)
            except Exception as error:
                response = request.app.state.crashed(request, error)
        else:
            response = refused
        response.headers.setdefault("Content-Security-Policy", policy)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        if not request.url.path.startswith("/static/"):
            response.headers.setdefault("Cache-Control", "no-store")
        else:
            response.headers["Cache-Control"] = "public, max-age=86400"
        return response

    def _from_elsewhere(request: Request) -> bool:
        site_of_origin = request.headers.get("sec-fetch-site", "none")
        return request.headers.get("origin", origin) != origin or site_of_origin not in (
            "same-origin",
            "none",
        )

    def _refused(request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if host != public.netloc:
            if (
                host == f"127.0.0.1:{public.port}"
                and public.hostname == "localhost"
                and request.method in _SAFE_METHODS
            ):
                query = f"?{request.url.query}" if request.url.query else ""
                return RedirectResponse(f"{origin}{request.url.path}{query}", status_code=307)
            return JSONResponse(
                {"code": "site.wrong_host", "message": "unknown host", "got": host}, status_code=421
            )
        length = request.headers.get("content-length", "0")
        if (
            not length.isdigit()
            or int(length) > config.max_body_bytes
            or "transfer-encoding" in request.headers
        ):
            body = {
                "code": "site.body_too_large",
                "message": "the request is too large",
                "expected": config.max_body_bytes,
            }
            return JSONResponse(body, status_code=413)
        # Browsers always say where an unsafe request comes from; programs send neither header.
        if request.method not in _SAFE_METHODS and _from_elsewhere(request):
            body = {"code": "site.wrong_origin", "message": "the request comes from another site"}
            return JSONResponse(body, status_code=403)
        return None


def app_middleware(app: FastAPI) -> Callable[[Any], Any]:
    """`app.middleware("http")` with a type that mypy accepts."""
    decorate: Callable[[Any], Any] = app.middleware("http")
    return decorate
