"""A whole small system for tests of the correction processes: a node with the demo's genesis, its people
enrolled, an HTTP server for each agency, and programs that sign with the demo's keys as the signing page
would."""

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

from apps.community_correction.agency import Agency
from apps.community_correction.app import create_agency
from apps.community_correction.config import CorrectionConfig, Organisation
from apps.community_correction.seed import AgencyPerson
from apps.site.people import SIGNER, Credential, Person
from apps.site.text import Text
from cli.demo_consortium import create_demo
from cli.layout import Layout
from cli.node import load_genesis, validator_key
from contracts.vocabulary import OrganisationKind
from identity.demo.cast import DEMO_PASSPHRASE, ORGANISATIONS, STAFF, DemoCast
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

SIGNING_ORIGIN = "http://localhost:8600"
AGENCIES = {"court": 1, "procuratorate": 2, "police": 3, "justice": 4}


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


class CastDirectory:
    """The staff of one agency sign in; the names of all staff are known."""

    def __init__(self, cast: DemoCast, organisation: int) -> None:
        self._staff = [
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
            if one.domain == STAFF
        ]
        self._organisation = organisation

    def people(self) -> Sequence[Person]:
        return [one for one in self._staff if one.organisation == self._organisation]

    def person(self, person_id: str) -> Person | None:
        return next((one for one in self.people() if one.id == person_id), None)

    def name_of(self, identity: bytes) -> str | None:
        return next((one.name for one in self._staff if one.identity == identity), None)


@dataclass
class CorrectionSystem:
    """A running system: its node, its agencies, and signing as any of the people."""

    node_url: str
    chain_id: int
    layout: Layout
    cast: DemoCast
    configs: dict[str, CorrectionConfig]
    agencies: dict[str, Agency] = field(default_factory=dict)
    _servers: dict[str, tuple[uvicorn.Server, threading.Thread]] = field(default_factory=dict)
    _keys: dict[str, KeyPair] = field(default_factory=dict)
    _people: dict[str, AgencyPerson] = field(default_factory=dict)

    @property
    def urls(self) -> dict[str, str]:
        return {key: config.public_url for key, config in self.configs.items()}

    def sign(self, person_id: str, document: Mapping[str, Any]) -> str:
        """What the signer does: check the request, sign it with the person's key."""
        key = self._keys.get(person_id) or open_demo_key(self.layout.demo, person_id, chain_purpose="demo")
        self._keys[person_id] = key
        request = check_request(dict(document), chain_id=self.chain_id, now=int(time.time()))
        return "0x" + sign_imi(key, request.unsigned, origin=SIGNING_ORIGIN, rp_id="localhost").raw.hex()

    def person(self, person_id: str) -> AgencyPerson:
        """Somebody signed in at their agency, such as `court-handler`."""
        if person_id not in self._people:
            url = self.configs[person_id.partition("-")[0]].public_url
            self._people[person_id] = AgencyPerson(url, person_id, self.sign)
        return self._people[person_id]

    def start(self, key: str, ahead_s: int = 0) -> Agency:
        """Start an agency's process on its own data directory, its clock `ahead_s` seconds ahead."""
        config = self.configs[key]
        directory = CastDirectory(self.cast, config.organisation)
        agency = create_agency(config, directory, now=lambda: int(time.time()) + ahead_s)
        port = int(config.public_url.rpartition(":")[2])
        server = uvicorn.Server(
            uvicorn.Config(
                agency.app, host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=3
            )
        )
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        self.agencies[key], self._servers[key] = agency, (server, thread)
        return agency

    def stop(self, key: str) -> None:
        """Stop an agency's process."""
        server, thread = self._servers.pop(key)
        server.should_exit = True
        thread.join(15)
        del self.agencies[key]

    def close(self) -> None:
        for person in self._people.values():
            person.close()
        for key in list(self._servers):
            self.stop(key)


@contextlib.contextmanager
def _node(layout: Layout) -> Iterator[Node]:
    key = load_key(layout.validator_key, DEMO_PASSPHRASE, chain_purpose="demo")
    config = NodeConfig(
        layout.ledger,
        EmbeddedConfig(validator_key(key), Pace(heartbeat_s=60)),
        RpcConfig(port=free_port()),
        load_genesis(layout),
    )
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    node = Node(config)
    asyncio.run_coroutine_threadsafe(node.start(), loop).result(30)
    try:
        yield node
    finally:
        asyncio.run_coroutine_threadsafe(node.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


def _configs(layout: Layout, node_url: str) -> dict[str, CorrectionConfig]:
    ports = {key: free_port() for key in AGENCIES}
    organisations = {
        one.id: Organisation(one.id, OrganisationKind[one.kind.upper()], Text(one.name, one.english))
        for one in ORGANISATIONS
    }
    return {
        key: CorrectionConfig(
            key=key,
            organisation=number,
            organisations=organisations,
            public_url=f"http://localhost:{ports[key]}",
            purpose="demo",
            data_dir=layout.correction(key),
            node_url=node_url,
            signing_pages={SIGNER: "http://localhost:8620/sign"},
            peers={AGENCIES[peer]: f"http://localhost:{ports[peer]}" for peer in AGENCIES if peer != key},
            service_key=open_demo_key(layout.demo, f"{key}-service", chain_purpose="demo").secret,
            encryption_key=open_demo_key(layout.demo, f"{key}-encryption", chain_purpose="demo").secret,
            node_websocket_url=node_url.replace("http", "ws", 1),
            work_s=0.2,
        )
        for key, number in AGENCIES.items()
    }


@contextlib.contextmanager
def correction_system(folder: Path, start: Sequence[str] = tuple(AGENCIES)) -> Iterator[CorrectionSystem]:
    """Everything up, everybody enrolled; no case yet. `start` names the agencies whose processes run from
    the start."""
    layout = Layout(folder / "data")
    create_demo(layout, time.time_ns() - 10_000_000_000, lambda _: None)
    cast = load_cast(layout.demo)
    with _node(layout) as node:
        identity_node = IdentityNode(node.url)
        enrol(cast, layout.demo, identity_node, chain_purpose="demo", origin=SIGNING_ORIGIN)
        chain_id = identity_node.chain_id()
        identity_node.close()
        system = CorrectionSystem(node.url, chain_id, layout, cast, _configs(layout, node.url))
        try:
            for key in start:
                system.start(key)
            yield system
        finally:
            system.close()
