"""Fills a new demo: enrols everybody on the chain, then lets its people work through the apps' own API.

Each stage is remembered in the demo's directory, so a start that was interrupted goes on; enrolment asks
the chain who is there already.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from apps.community_correction.seed import seed as seed_correction
from apps.sharing_points.seed import seed as seed_points
from cli.demo_signer import DemoSigner
from cli.layout import Layout
from cli.nodes import wait_for_height
from cli.system import AGENCIES, RunFile, url_of
from identity.demo.cast import COMMUNITY_CLERK, RESIDENT, DemoCast
from identity.demo.enrolment import enrol
from identity.demo.files import load_cast
from identity.node import NodeClient
from node.chain.genesis import Genesis

Progress = Callable[[str], None]


def seed_demo(layout: Layout, genesis: Genesis, run: RunFile, progress: Progress) -> None:
    """Do what is left of the three stages; nothing on a chain that is not a demo."""
    if not genesis.is_demo:
        return
    port_base = run.port_base
    stages = _Stages(layout.demo / "stages.json")
    cast = load_cast(layout.demo)
    signer = DemoSigner(layout, port_base)
    if stages.begin("enrolled"):
        progress(f"  登记人员 enrolling {len(cast.people) + len(cast.services)} people and services")
        _enrol(layout, cast, run)
        stages.finish("enrolled")
    if stages.begin("correction"):
        progress("  写入 30 个案件 seeding 30 cases")
        urls = {agency: url_of(agency, port_base) for agency in AGENCIES}
        seed_correction(urls, signer.sign, int(time.time()), progress)
        stages.finish("correction")
    if stages.begin("points"):
        progress("  写入互助订单 seeding orders")
        clerks = [person.id for person in cast.people if person.roles & COMMUNITY_CLERK]
        residents = [person.id for person in cast.people if person.roles & RESIDENT]
        seed_points(url_of("points", port_base), signer.sign, int(time.time()), clerks, residents)
        stages.finish("points")


def _enrol(layout: Layout, cast: DemoCast, run: RunFile) -> None:
    """Through the identity service's node; then every node must know whom the others will let act."""
    node = NodeClient(run.node_for("identity"))
    try:
        origin = url_of("identity", run.port_base)
        receipts = enrol(cast, layout.demo, node, chain_purpose="demo", origin=origin)
    finally:
        node.close()
    wait_for_height(run.nodes.values(), max((receipt.block for receipt in receipts), default=0))


class _Stages:
    """Which stages were begun and finished. A stage of sample data that was cut off is not done twice."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._states: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}

    def begin(self, stage: str) -> bool:
        state = self._states.get(stage)
        if state == "finished" or (state == "begun" and stage != "enrolled"):
            return False
        self._write(stage, "begun")
        return True

    def finish(self, stage: str) -> None:
        self._write(stage, "finished")

    def _write(self, stage: str, state: str) -> None:
        self._states[stage] = state
        temporary = self._path.with_suffix(".new")
        temporary.write_text(json.dumps(self._states))
        temporary.replace(self._path)
