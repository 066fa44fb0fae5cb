"""The composition of one agency's process: node client, store, vault, follower, delivery worker, pages,
API."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path

from fastapi import FastAPI

from apps.community_correction.agency import Agency
from apps.community_correction.agency_api import agency_routes
from apps.community_correction.api import api_routes
from apps.community_correction.case_commands import CaseCommands
from apps.community_correction.chain_view import ChainView
from apps.community_correction.commands import Commands
from apps.community_correction.config import CorrectionConfig
from apps.community_correction.delivery import DeliveryWorker
from apps.community_correction.pages import page_routes
from apps.community_correction.projection import ADDRESSES
from apps.community_correction.receiving import Receiving
from apps.community_correction.store import Store
from apps.community_correction.transport import AgencyClient
from apps.community_correction.vault import Vault
from apps.community_correction.views import Views
from apps.community_correction.worklist import task_count
from apps.follow import Follower
from apps.node_client import Log, NodeClient, ServiceAccount
from apps.site.app import create_site
from apps.site.context import NavigationItem, SiteConfig
from apps.site.people import HANDLER, Directory, Person
from apps.site.refusals import ContractErrors, load_sentences
from apps.site.text import Text
from contracts.artifacts import artifact

MAX_AHEAD = 20
"""So many blocks may another agency have read ahead of us for its request to wait for them."""
_HERE = Path(__file__).parent


def contract_errors() -> ContractErrors:
    """The errors of the two contracts and the sentences for them."""
    sentences = json.loads(
        resources.files("apps.community_correction").joinpath("sentences.json").read_text("utf-8")
    )
    abis = [artifact(name)["abi"] for name in ("CorrectionCases", "CorrectionDocuments")]
    return ContractErrors(abis, load_sentences(sentences))


def create_app(config: CorrectionConfig, directory: Directory) -> FastAPI:
    """The application of one agency, ready for uvicorn. Following and delivery run between its startup and
    shutdown."""
    return create_agency(config, directory).app


def create_agency(
    config: CorrectionConfig, directory: Directory, *, now: Callable[[], int] = lambda: int(time.time())
) -> Agency:
    """`create_app` with its parts at hand."""
    client = NodeClient(config.node_url, token=config.node_token)
    chain = ChainView(client)
    store = Store.open(config.data_dir / "correction.sqlite")
    vault = Vault(config.data_dir / "vault", config.vault_quota)
    commands = Commands(config, store, vault, chain, now)
    views = Views(config, directory.name_of)
    receiving = Receiving(config, store, vault, chain, now)
    agency_client = AgencyClient(config.service_key, height=lambda: follower.height)

    def apply(chain_id: int, block: int, logs: Sequence[Log]) -> None:
        store.apply(chain_id, block, logs)
        if logs:
            worker.wake()

    follower = Follower(
        client,
        addresses=ADDRESSES,
        load_cursor=store.load_cursor,
        apply=apply,
        websocket_url=config.node_websocket_url,
    )

    worker = DeliveryWorker(
        config,
        store,
        vault,
        chain,
        ServiceAccount(client, config.service_key),
        agency_client,
        receiving,
        now,
        follower.wait_for,
    )

    def wait_for(height: int) -> None:
        follower.wait_for(height)

    def catch_up(height: int) -> None:
        # A node that is further behind does not come into step while a request waits.
        if follower.height < height <= follower.height + MAX_AHEAD:
            follower.wait_for(height)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        follower.start()
        worker.start()
        yield
        worker.close()
        follower.close()
        site.close()
        agency_client.close()
        client.close()
        store.close()

    def navigation(person: Person | None) -> list[NavigationItem]:
        if person is None:
            return []
        with store.reading() as session:
            waiting = task_count(session, config.organisation, person)
        drafts = [NavigationItem("/documents/new", Text("发文书", "Send"), "send")]
        return [
            NavigationItem("/", Text("工作台", "Work"), "list-check", waiting),
            *(drafts if person.holds(HANDLER) else ()),
            NavigationItem("/inbox", Text("收件箱", "Inbox"), "inbox"),
            NavigationItem("/outbox", Text("发件箱", "Outbox"), "files"),
            NavigationItem("/cases", Text("案件", "Cases"), "folder"),
            NavigationItem("/search", Text("查找", "Search"), "search"),
        ]

    own = config.agency.name
    site = create_site(
        SiteConfig(
            name=f"correction-{config.key}",
            title=Text(f"社矫链 · {own.zh}", f"Correction · {own.en}"),
            public_url=config.public_url,
            purpose=config.purpose,
            data_dir=config.data_dir,
            signing_pages=config.signing_pages,
        ),
        directory=directory,
        client=client,
        errors=contract_errors(),
        templates=_HERE / "templates",
        static=_HERE / "static",
        navigation=navigation,
        after_receipt=wait_for,
        now=now,
        lifespan=lifespan,
    )
    agency = Agency(
        config,
        site,
        client,
        store,
        vault,
        commands,
        CaseCommands(config, store, now),
        views,
        follower,
        worker,
    )
    site.app.state.agency = agency
    site.app.include_router(agency_routes(chain, receiving, vault, worker.wake, catch_up))
    site.app.include_router(api_routes())
    site.app.include_router(page_routes())
    return agency
