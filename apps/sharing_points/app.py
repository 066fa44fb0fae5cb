"""The points process put together: read model, follower, site, pages, API, the service that completes."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from fastapi import FastAPI

from apps.follow import Follower
from apps.node_client import NodeClient, ServiceAccount
from apps.sharing_points import api, desk, pages
from apps.sharing_points.auto_complete import AutoComplete
from apps.sharing_points.check_in_codes import CheckInCodes, load_secret
from apps.sharing_points.commands import PointsContext
from apps.sharing_points.compression import CompressedStatic
from apps.sharing_points.store import PointsStore
from apps.sharing_points.tariff import TariffReader
from apps.sharing_points.views import Readers
from apps.site.app import create_site
from apps.site.context import SiteConfig
from apps.site.people import Directory
from apps.site.refusals import ContractErrors, load_sentences
from apps.site.store import open_sqlite
from apps.site.text import Text
from contracts.bindings import love_bank, sharing_orders
from contracts.system import BUILD_DIR

_HERE = Path(__file__).parent
TITLE = Text("和谐共享社区", "Sharing community")


@dataclass(frozen=True)
class PointsConfig:
    """Of one points process.

    `public_url` is the only origin answered; `purpose` is that of genesis; `data_dir` holds `points.sqlite`,
    `site.sqlite` and the secret of the check-in codes; `signing_pages` maps kinds of credential to signing
    pages; `service_key` (32 bytes, secp256k1) is this process's own account for completing orders that nobody
    answered, without it that is left to others.
    """

    public_url: str
    node_url: str
    purpose: str
    data_dir: Path
    directory: Directory
    signing_pages: Mapping[str, str]
    service_key: bytes | None = None
    websocket_url: str | None = None
    node_token: str | None = None
    now: Callable[[], int] = lambda: int(time.time())


def create_app(config: PointsConfig) -> FastAPI:
    """The ASGI application. Its lifespan follows the chain; closing it lets go of everything."""
    config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    client = NodeClient(config.node_url, token=config.node_token)
    store = PointsStore(open_sqlite(config.data_dir / "points.sqlite"))
    follower = Follower(
        client,
        addresses=[sharing_orders.ADDRESS, love_bank.ADDRESS],
        load_cursor=store.load_cursor,
        apply=store.apply,
        websocket_url=config.websocket_url,
    )
    context = PointsContext(
        store,
        TariffReader(client),
        CheckInCodes(load_secret(config.data_dir / "check_in.secret")),
        config.now,
    )
    readers = Readers(context, config.directory)

    completers = _completers(config, client, context)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        running: list[Follower | AutoComplete] = [follower, *completers]
        for one in running:
            one.start()
        yield
        for one in reversed(running):
            one.close()
        site.close()

    site = create_site(
        SiteConfig("points", TITLE, config.public_url, config.purpose, config.data_dir, config.signing_pages),
        directory=config.directory,
        client=client,
        errors=contract_errors(),
        templates=_HERE / "templates",
        static=_HERE / "static",
        navigation=lambda person: pages.navigation(readers, person),
        after_receipt=lambda height: _wait(follower, height),
        now=config.now,
        lifespan=lifespan,
    )
    site.closers += [client.close, store.close]
    site.app.state.points = readers
    site.app.state.follower = follower
    site.app.state.auto_complete = next(iter(completers), None)
    site.app.add_middleware(CompressedStatic)
    for router in (pages.router, desk.router, api.router):
        site.app.include_router(router)
    return site.app


def contract_errors() -> ContractErrors:
    """The errors of the two sharing contracts with a sentence for each."""
    abis = [
        json.loads((BUILD_DIR / f"{name}.json").read_text("utf-8"))["abi"]
        for name in ("SharingOrders", "LoveBank")
    ]
    sentences = json.loads(
        resources.files("apps.sharing_points").joinpath("refusals.json").read_text("utf-8")
    )
    return ContractErrors(abis, load_sentences(sentences))


def _wait(follower: Follower, height: int) -> None:
    """Let the read model catch up; if it takes too long, the next page is a moment old."""
    follower.wait_for(height)


def _completers(config: PointsConfig, client: NodeClient, context: PointsContext) -> Sequence[AutoComplete]:
    if config.service_key is None:
        return ()
    account = ServiceAccount(client, config.service_key)
    return (AutoComplete(context.store, account, context.tariff, config.now),)
