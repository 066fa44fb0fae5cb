"""What the ceremony makes, runs: what `shelian consortium init` made of four agencies becomes one network."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.consortium import app
from cli.consortium_files import save_record
from cli.layout import Layout
from contracts.bindings import consortium
from identity.keys import ED25519, KeyPair, generate_key
from identity.keystore import DEMO
from identity.signing import sign_hash, sign_imi
from network.comet.home import CometPlace, load_settings
from network.consortium.ceremony import sign_genesis
from network.consortium.enrolment import Enrolment, EnrolmentContent, MemberKey, make_enrolment, row_id
from network.consortium.keys import (
    KeyDirectory,
    create_keys,
    load_agency,
    load_node_keys,
    node_signer,
    open_ca,
    save_enrolment,
)
from network.consortium.merge import merge
from network.consortium.registrars import Registrar, registrar_hash
from network.consortium.relying_parties import relying_party_id, services, staff_page
from node.chain.genesis import Genesis, encode_genesis
from node.chain.transaction import build_imi
from node.ledger.check import check_ledger
from tests.network.comet.four_nodes import Network, Node
from tests.network.comet.small_network import Home, free_ports, require_cometbft

pytestmark = [pytest.mark.cometbft, pytest.mark.slow]

CHAIN = "district-rehearsal"
PASSPHRASE = "correct horse battery"
OFFICES = {
    "police": "示例区公安分局",
    "procuratorate": "示例区人民检察院",
    "court": "示例区人民法院",
    "justice": "示例区司法局",
}
runner = CliRunner()


@dataclass(frozen=True)
class Member:
    """One agency's machine: its directory of keys and its registrars, who are people elsewhere."""

    keys: KeyDirectory
    enrolment: Enrolment
    registrars: tuple[KeyPair, ...]


def enrol(path: Path, kind: str, port: int, now: datetime) -> Member:
    """keygen, relying-party, registrar and enrol, with keys that are cheap to open."""
    keys = KeyDirectory(path / kind / "keys")
    agency = create_keys(
        keys, kind=kind, name=OFFICES[kind], passphrase=PASSPHRASE, now=now, purpose="demo", cost=DEMO
    )
    node = load_node_keys(keys)
    page = staff_page(f"https://sign.{kind}.example", kind, "工作人员签名页")
    party = relying_party_id(page, CHAIN, kind, agency.name)
    people = tuple(generate_key(ED25519) for _ in range(2))
    content = EnrolmentContent(
        chain_name=CHAIN,
        purpose="demo",
        kind=kind,
        name=agency.name,
        encryption_key=agency.encryption_key,
        certificate=agency.certificate,
        validator=MemberKey(node.validator_public_key, 10),
        node_key=node.node_public_key,
        address=f"127.0.0.1:{port}",
        registrars=tuple(
            _registrar(key, bytes([number]) + bytes.fromhex(node.node_id)[:15], party, kind, agency.name)
            for number, key in enumerate(people, 1)
        ),
        relying_parties=(page, services("机构服务")),
    )
    rows = sorted(content.relying_parties, key=lambda row: row_id(content, row))
    ca = open_ca(keys, agency, PASSPHRASE)
    enrolment = make_enrolment(
        replace(content, relying_parties=tuple(rows)),
        ca,
        node_signer(node.validator_key),
        node_signer(node.node_key),
    )
    save_enrolment(keys, enrolment)
    return Member(keys, enrolment, people)


def _registrar(key: KeyPair, identity: bytes, party: bytes, kind: str, name: str) -> Registrar:
    hash = registrar_hash(CHAIN, "demo", kind, name, identity, key.scheme, key.public_key, party)
    return Registrar(identity, key.scheme, key.public_key, party, sign_hash(key, hash, origin="", rp_id=""))


def start_from(path: Path, members: list[Member], genesis: Genesis, ports: list[int]) -> Network:
    """Every member signs and runs `init`; nothing runs yet."""
    genesis_file = path / "genesis.json"
    genesis_file.write_bytes(encode_genesis(genesis))
    enrolments = tuple(member.enrolment for member in members)
    signatures = tuple(
        sign_genesis(
            genesis, enrolments, member.enrolment, open_ca(member.keys, load_agency(member.keys), PASSPHRASE)
        )
        for member in members
    )
    save_record(genesis_file, genesis, enrolments, signatures)
    nodes = []
    for number, member in enumerate(members, 1):
        layout = Layout(member.keys.path.parent / "data")
        rpc, metrics, json_rpc = ports[3 * number - 3 : 3 * number]
        outcome = runner.invoke(
            app,
            [
                *("init", "--keys", str(member.keys.path), "--genesis", str(genesis_file)),
                *("--data", str(layout.data), "--p2p", member.enrolment.content.address),
                *("--rpc", f"127.0.0.1:{rpc}", "--metrics", f"127.0.0.1:{metrics}"),
            ],
        )
        assert outcome.exit_code == 0, (outcome.output, outcome.exception)
        place = CometPlace(layout.comet)
        nodes.append(Node(number, layout, Home(number, place, load_settings(place), genesis), json_rpc))
    return Network(genesis, tuple(nodes))


@pytest.fixture
def network(tmp_path: Path) -> Iterator[tuple[Network, list[Member]]]:
    require_cometbft()
    now = datetime.now(UTC)
    ports = free_ports(16)
    members = [
        enrol(tmp_path, kind, port, now - timedelta(hours=1))
        for kind, port in zip(OFFICES, ports[:4], strict=True)
    ]
    genesis = merge(
        (member.enrolment for member in members),
        chain_name=CHAIN,
        systems=("correction",),
        genesis_time_ns=int(now.timestamp()) * 1_000_000_000,
    ).genesis
    with closing(start_from(tmp_path, members, genesis, ports[4:])) as started:
        started.start()
        yield started, members


def test_four_agencies_that_made_a_genesis_together_make_blocks_together(
    network: tuple[Network, list[Member]],
) -> None:
    running, members = network
    running.wait_height(1)
    court = members[2]
    sender = court.registrars[0]
    unsigned = build_imi(
        chain_id=running.genesis.evm_chain_id,
        nonce=0,
        valid_until=int(time.time()) + 3_600,
        gas_limit=500_000,
        calls=(consortium.validators(),),
        scheme=sender.scheme,
        public_key=sender.public_key,
    )
    # A registrar of the court signs, the police's node takes it, the others' nodes have it.
    receipt = running.nodes[0].send(sign_imi(sender, unsigned, origin="", rp_id="").raw)
    assert receipt["status"] == "0x1"
    height = int(receipt["blockNumber"], 16)
    running.wait_height(height)
    assert len({node.block(height)["hash"] for node in running.nodes}) == 1
    for node in running.nodes:
        node.stop()
    for node in running.nodes:
        assert check_ledger(node.layout.ledger, running.genesis).ok
