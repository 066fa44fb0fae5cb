"""A real consortium of agencies with directories of keys on one machine, changed by tests while it runs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cli.consortium_files import save_record
from cli.layout import Layout
from contracts.bindings import consortium
from identity.demo.cast import DEMO_PASSPHRASE
from identity.node import NodeClient
from network.comet.home import CometPlace, load_settings
from network.consortium.acting import recognise, send
from network.consortium.ceremony import sign_genesis
from network.consortium.governance import Governance
from network.consortium.keys import load_agency, open_ca
from network.consortium.reading import read_governance
from node.chain.genesis import Genesis, encode_genesis
from node.chain.validators import validator_address
from tests.network.comet.four_nodes import PATIENCE_S, Network, Node
from tests.network.comet.small_network import Home, free_ports
from tests.network.consortium.agencies import Agency, done, make_agency, make_chain

OFFICES = ("police", "procuratorate", "court", "justice")
OPTIONS = ("--snapshot-every", "10")


@dataclass
class Consortium:
    """Four members, the first `validators` of them with a node; later perhaps a newcomer with another."""

    path: Path
    genesis: Genesis
    agencies: list[Agency]
    network: Network
    validators: int
    acknowledged: list[str] = field(default_factory=list)

    def url(self, who: int) -> str:
        """The node at which a founder acts: its own, or the first one's."""
        return self.network.nodes[who if who < self.validators else 0].url

    def data(self, who: int) -> Path:
        return self.network.nodes[who].layout.data

    def at(self, who: int) -> tuple[object, ...]:
        return ("--key", self.agencies[who].operator_file, "--node", self.url(who), "--yes")

    def look(self, who: int = 0) -> Governance:
        client = NodeClient(self.url(who))
        try:
            return read_governance(client)
        finally:
            client.close()

    def decide(self, id: str, voters: tuple[int, ...], *more: object) -> dict[str, Any]:
        """Everybody named votes yes; the last vote carries the motion out."""
        for who in voters:
            answer = done("vote", id, "yes", *self.at(who), *more)
        assert answer["proposal"]["state"] == "executed", answer
        return answer

    def work(self, count: int = 1, who: int = 0) -> None:
        """Transactions that are acknowledged, and must be there ever after."""
        client = NodeClient(self.url(who))
        actor = recognise(client, self.agencies[0].operator)
        for _ in range(count):
            receipt = send(client, actor, [consortium.validators()])
            self.acknowledged.append("0x" + receipt.transaction.hex())
        client.close()

    def wait_signed_by(self, key: bytes, nodes: int = 0) -> None:
        """Until a block holds that validator's signature; each look makes another block."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.look(nodes).attendance.signed(validator_address(key)):
            assert time.monotonic() < deadline, "it never signs"
            self.work(who=nodes)


def found(path: Path, validators: int) -> Consortium:
    """Ceremony and `init`; nothing runs yet."""
    ports = free_ports(4 + 3 * validators)
    agencies = [
        make_agency(
            path,
            kind,
            number,
            power=10 if number <= validators else 0,
            address=f"127.0.0.1:{ports[number - 1]}",
        )
        for number, kind in enumerate(OFFICES, 1)
    ]
    genesis = make_chain(agencies, datetime.now(UTC) - timedelta(seconds=5))
    genesis_file = path / "genesis.json"
    genesis_file.write_bytes(encode_genesis(genesis))
    enrolments = tuple(one.enrolment for one in agencies)
    signatures = tuple(
        sign_genesis(
            genesis, enrolments, one.enrolment, open_ca(one.keys, load_agency(one.keys), DEMO_PASSPHRASE)
        )
        for one in agencies
    )
    save_record(genesis_file, genesis, enrolments, signatures)
    nodes = []
    for number, agency in enumerate(agencies[:validators], 1):
        rpc, metrics, port = ports[4 + 3 * (number - 1) :][:3]
        layout = Layout(agency.path / "data")
        done(
            "init", "--keys", agency.keys.path, "--genesis", genesis_file, "--data", layout.data,
            "--p2p", agency.enrolment.content.address, "--rpc", f"127.0.0.1:{rpc}",
            "--metrics", f"127.0.0.1:{metrics}",
        )  # fmt: skip
        nodes.append(make_node(number, layout, genesis, port))
    return Consortium(path, genesis, agencies, Network(genesis, tuple(nodes)), validators)


def make_node(number: int, layout: Layout, genesis: Genesis, port: int) -> Node:
    place = CometPlace(layout.comet)
    return Node(number, layout, Home(number, place, load_settings(place), genesis), port, OPTIONS)


def write_invitation(district: Consortium, agency: Agency, name: str, inviter: int = 0) -> Path:
    """The file; a lone member's RPC is asked under two names."""
    out = district.path / f"{name}.invitation.json"
    nodes = district.network.nodes[: district.validators]
    servers = [f"http://{node.home.settings.rpc_address}" for node in nodes]
    servers.append(servers[0].replace("127.0.0.1", "localhost"))
    done(
        "invitation", agency.enrolment_file, "--keys", district.agencies[inviter].keys.path,
        "--data", district.data(inviter), "--rpc", servers[0], "--rpc", servers[1],
        "--node", district.url(inviter), "--out", out,
    )  # fmt: skip
    return out


def newest_snapshot(node: Node) -> int:
    """Its height; 0 while there is none."""
    shelf = node.layout.node / "snapshots"
    return max((int(one.name) for one in shelf.glob("[0-9]*") if one.name.isdigit()), default=0)


def start_newcomer(district: Consortium, agency: Agency, trust_height: int, port: int) -> Node:
    """When a snapshot above the trusted header is there, the newcomer's node is started and comes in step."""
    founders = district.network.nodes
    while founders[0].height < trust_height + 12 or not all(
        newest_snapshot(one) > trust_height for one in founders
    ):
        district.work()
    node = make_node(len(founders) + 1, Layout(agency.path / "data"), district.genesis, port)
    district.network.nodes = (*founders, node)
    node.start()
    district.network.wait_height(founders[0].height, [node])
    district.agencies.append(agency)
    return node
