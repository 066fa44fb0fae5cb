"""The application factory: one FastAPI application with sessions, two languages, safe headers, error pages,
the demo's role switch, and the signing round trip. docs/SITE.md shows how an app uses it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined

from apps.node_client import NodeClient
from apps.site.context import NavigationItem, Site, SiteConfig
from apps.site.error_pages import add_error_handlers
from apps.site.formats import FILTERS
from apps.site.guards import add_guards
from apps.site.people import Directory, Person
from apps.site.refusals import ContractErrors
from apps.site.routes import add_site_routes
from apps.site.signing import SigningDesk
from apps.site.store import SiteStore

_HERE = Path(__file__).parent


def create_site(
    config: SiteConfig,
    *,
    directory: Directory,
    client: NodeClient,
    errors: ContractErrors,
    templates: Path,
    static: Path | None = None,
    navigation: Callable[[Person | None], Sequence[NavigationItem]],
    after_receipt: Callable[[int], None] | None = None,
    now: Callable[[], int] = lambda: int(time.time()),
    lifespan: Any = None,
) -> Site:
    """Make a site: `templates` and `static` are the app's own folders (static is served under /app-static).

    Routes that every site has: /healthz, /login, /demo/login (purpose demo only), /logout, /language,
    /sign/return, /sign/finish, /api/people, /api/me, /api/sign/finish.
    """
    store = SiteStore(config.data_dir / "site.sqlite", idle_s=config.idle_s)
    desk = SigningDesk(
        client=client,
        store=store,
        errors=errors,
        signing_pages=config.signing_pages,
        return_to=f"{config.public_url}/sign/return",
        now=now,
        after_receipt=after_receipt,
    )
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader(templates), FileSystemLoader(_HERE / "templates")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    app = FastAPI(
        title=config.title.en,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=lifespan,
    )
    app.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")
    if static is not None:
        app.mount("/app-static", StaticFiles(directory=static), name="app-static")
    site = Site(config, app, store, directory, desk, environment, navigation, now)
    app.state.site = site
    add_guards(site)
    add_error_handlers(site, errors)
    add_site_routes(site)
    return site
