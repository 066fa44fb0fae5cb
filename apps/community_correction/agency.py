"""The parts of one agency's running process, as its routes see them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fastapi import FastAPI, Request

from apps.community_correction.case_commands import CaseCommands, Prepared
from apps.community_correction.commands import Commands
from apps.community_correction.config import CorrectionConfig
from apps.community_correction.delivery import DeliveryWorker
from apps.community_correction.store import Store
from apps.community_correction.vault import Vault
from apps.community_correction.views import Views
from apps.follow import Follower
from apps.node_client import NodeClient
from apps.site.context import Site
from apps.site.errors import SiteError, not_found
from apps.site.people import Person
from apps.site.signing import SigningRequest
from apps.site.text import Text


@dataclass
class Agency:
    """For the routes, and for programs that run an agency in their own process."""

    config: CorrectionConfig
    site: Site
    client: NodeClient
    store: Store
    vault: Vault
    commands: Commands
    cases: CaseCommands
    views: Views
    follower: Follower
    worker: DeliveryWorker

    @property
    def app(self) -> FastAPI:
        return self.site.app


def agency_of(request: Request) -> Agency:
    """The agency a request came to."""
    agency: Agency = request.app.state.agency
    return agency


def ask(request: Request, person: Person, prepared: Prepared) -> SigningRequest:
    """Keep the calls as a signing request of this person; refused now if the contract would refuse them."""
    site = agency_of(request).site
    return site.begin_signing(request, person, prepared.calls, prepared.purpose, prepared.next_url)


def run_batch(commands: Commands, action: str, person: Person, ids: Sequence[str]) -> Prepared:
    """One of the steps that take several documents at once. SiteError correction.batch_size,
    site.not_found."""
    steps: Mapping[str, Callable[[Person, Sequence[str]], Prepared]] = {
        "draft": commands.sign_drafts,
        "approve": commands.approve,
        "seal": commands.seal,
        "submit": commands.submit,
        "sign-for": commands.sign_for,
    }
    step = steps.get(action)
    if step is None:
        raise not_found(Text("这一步骤", "This step"))
    once = list(dict.fromkeys(ids))
    if not 1 <= len(once) <= 100:
        raise SiteError(
            "correction.batch_size",
            Text("请选择 1 至 100 份文书。", "Choose between 1 and 100 documents."),
            Text(
                "勾选后再点按钮；超过 100 份请分批。",
                "Tick them, then press the button; more than 100 in groups.",
            ),
            status=422,
            got=len(once),
        )
    return step(person, once)
