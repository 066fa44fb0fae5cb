"""A whole small system for tests of the points process: a node with the demo's genesis, its people enrolled,
the app served, and programs that sign with the demo's keys as the signing page would."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from apps.node_client import NodeClient
from apps.sharing_points.app import PointsConfig, create_app
from apps.sharing_points.seed import DemoPerson
from apps.site.people import SIGNER, Credential, Person
from cli.demo_consortium import create_demo
from cli.layout import Layout
from cli.node import load_genesis, validator_key
from identity.demo.cast import DEMO_PASSPHRASE, DemoCast
from identity.demo.enrolment import enrol
from identity.demo.files import load_cast, open_demo_key
from identity.keys import KeyPair
from identity.keystore import load_key
from identity.node import NodeClient as IdentityNode
from identity.request import check_request
from identity.signing import sign_imi
from network.embedded import Pace
from network.runner import EmbeddedConfig, Node, NodeConfig
from node.rpc.config import RpcConfig

SIGNING_PAGE = "http://localhost:8600/sign"
SIGNING_ORIGIN = "http://localhost:8600"
COMMUNITY = 5


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


class CastDirectory:
    """The residents and the community's staff of a demo."""

    def __init__(self, cast: DemoCast) -> None:
        self._people = [
            Person(
                one.id,
                one.name,
                one.organisation,
                one.organisation_name,
                one.identity,
                one.roles,
                (Credential(one.scheme, one.public_key, one.address, "", SIGNER),),
            )
            for one in cast.people
            if one.organisation == COMMUNITY or one.relying_party == "sharing"
        ]

    def people(self) -> Sequence[Person]:
        return self._people

    def person(self, person_id: str) -> Person | None:
        return next((one for one in self._people if one.id == person_id), None)

    def name_of(self, identity: bytes) -> str | None:
        return next((one.name for one in self._people if one.identity == identity), None)


@dataclass
class Clock:
    """One clock for node and app, which a test may move ahead."""

    ahead_s: int = 0

    def now_ns(self) -> int:
        return time.time_ns() + self.ahead_s * 1_000_000_000

    def now(self) -> int:
        return self.now_ns() // 1_000_000_000


@dataclass
class PointsSystem:
    """A running system: where it is, who is in it, and signing as any of them."""

    app: FastAPI
    clock: Clock
    url: str
    node_url: str
    chain_id: int
    layout: Layout
    config: PointsConfig
    _keys: dict[str, KeyPair] = field(default_factory=dict)

    def sign(self, person_id: str, document: Mapping[str, Any]) -> str:
        """What the signing page does: check the request, sign it with the person's key."""
        key = self._keys.get(person_id) or open_demo_key(self.layout.demo, person_id, chain_purpose="demo")
        self._keys[person_id] = key
        request = check_request(dict(document), chain_id=self.chain_id, now=self.clock.now())
        return "0x" + sign_imi(key, request.unsigned, origin=SIGNING_ORIGIN, rp_id="localhost").raw.hex()

    def advance(self, seconds: int) -> None:
        """Move the clock and wait for the block that carries the new time. Sessions end by being idle."""
        self.clock.ahead_s += seconds
        client = NodeClient(self.node_url)
        limit = time.monotonic() + 20
        while client.block_time(client.block_number()) < self.clock.now() - 30:
            assert time.monotonic() < limit, "no block with the new time"
            time.sleep(0.1)
        client.close()

    def person(self, person_id: str) -> DemoPerson:
        return DemoPerson(self.url, person_id, self.sign)


@contextlib.contextmanager
def _node(layout: Layout, clock: Clock) -> Iterator[Node]:
    genesis = load_genesis(layout)
    key = load_key(layout.validator_key, DEMO_PASSPHRASE, chain_purpose="demo")
    config = NodeConfig(
        layout.ledger,
        EmbeddedConfig(validator_key(key), Pace(heartbeat_s=3)),
        RpcConfig(port=free_port()),
        genesis,
    )
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    node = Node(config, clock.now_ns)
    asyncio.run_coroutine_threadsafe(node.start(), loop).result(30)
    try:
        yield node
    finally:
        asyncio.run_coroutine_threadsafe(node.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


@contextlib.contextmanager
def _served(app: FastAPI, port: int) -> Iterator[None]:
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(15)


@contextlib.contextmanager
def points_system(folder: Path) -> Iterator[PointsSystem]:
    """Everything up, everybody enrolled; nothing issued yet."""
    layout = Layout(folder / "data")
    create_demo(layout, time.time_ns() - 10_000_000_000, lambda _: None)
    cast = load_cast(layout.demo)
    clock = Clock()
    with _node(layout, clock) as node:
        identity_node = IdentityNode(node.url)
        enrol(cast, layout.demo, identity_node, chain_purpose="demo", origin=SIGNING_ORIGIN)
        chain_id = identity_node.chain_id()
        identity_node.close()
        port = free_port()
        service = open_demo_key(layout.demo, "community-service", chain_purpose="demo")
        config = PointsConfig(
            public_url=f"http://localhost:{port}",
            node_url=node.url,
            purpose="demo",
            data_dir=layout.points,
            directory=CastDirectory(cast),
            signing_pages={SIGNER: SIGNING_PAGE},
            service_key=service.secret,
            now=clock.now,
        )
        app = create_app(config)
        with _served(app, port):
            yield PointsSystem(app, clock, config.public_url, node.url, chain_id, layout, config)
