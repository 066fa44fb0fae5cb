"""The portal page of `shelian up`: which services run and, in a demo, who can sign in where.

A page without sessions or data of its own. It is given plain facts once at the start; `GET /api/system`
repeats the run file, so that other commands find the system by its port base.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from apps.site.text import LANGUAGES, Language, Text, as_language

_HERE = Path(__file__).parent
_LANGUAGE_COOKIE = "shelian_language"
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class PortalService:
    """One program people or other programs use. `icon` names a symbol of the icon sheet; `open_in_browser`
    is off for what has no page (the node's JSON-RPC)."""

    name: Text
    purpose: Text
    url: str
    icon: str
    open_in_browser: bool = True


@dataclass(frozen=True, slots=True)
class PortalPerson:
    """One demo person: the name shown, what they do, and the address that signs a browser in as them at
    their service."""

    name: str
    role: Text
    url: str


@dataclass(frozen=True, slots=True)
class PortalGroup:
    """The demo people of one agency and the service they use."""

    name: Text
    service: Text
    url: str
    icon: str
    people: Sequence[PortalPerson]


@dataclass(frozen=True, slots=True)
class PortalNode:
    """One agency's node, and which services ask it. `url`: its JSON-RPC, for programs; `status_page`: for
    people."""

    agency: Text
    services: Sequence[Text]
    url: str
    status_page: str
    icon: str


@dataclass(frozen=True, slots=True)
class PortalConfig:
    """`system` is the run file's content. `groups` is empty unless `purpose` is demo: production names
    nobody. `nodes` are those of several agencies; where there is one node it is among the services."""

    purpose: Literal["demo", "production"]
    chain_name: str
    services: Sequence[PortalService]
    groups: Sequence[PortalGroup]
    system: Mapping[str, object]
    nodes: Sequence[PortalNode] = ()


def create_portal(config: PortalConfig) -> Starlette:
    """The portal as an ASGI application. ValueError when people are listed outside a demo."""
    if config.purpose != "demo" and config.groups:
        raise ValueError("only a demo lists people")
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"), autoescape=select_autoescape(["html"])
    )
    template = environment.get_template("portal.html")

    async def page(request: Request) -> Response:
        language = _language(request)
        body = template.render(config=config, language=language, t=lambda text: text.in_language(language))
        response = HTMLResponse(body, headers=_HEADERS)
        if request.query_params.get("language") in LANGUAGES:
            response.set_cookie(_LANGUAGE_COOKIE, language, samesite="lax", httponly=True)
        return response

    async def system(_: Request) -> Response:
        return JSONResponse(dict(config.system), headers=_HEADERS)

    async def health(_: Request) -> Response:
        return JSONResponse({"ok": True})

    return Starlette(
        routes=[
            Route("/", page),
            Route("/api/system", system),
            Route("/health", health),
            Mount("/static", StaticFiles(directory=_HERE / "static")),
        ]
    )


def _language(request: Request) -> Language:
    return as_language(request.query_params.get("language") or request.cookies.get(_LANGUAGE_COOKIE))
