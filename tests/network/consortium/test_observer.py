"""An auditor's observer: its node follows everything and signs nothing; its node key is changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cli.layout import Layout
from network.comet.home import CometPlace, load_node_key, node_id
from network.consortium.keys import load_node_keys
from node.ledger.check import check_ledger
from tests.network.comet.small_network import free_ports, require_cometbft
from tests.network.consortium.agencies import Agency, done, make_agency, refused
from tests.network.consortium.running import Consortium, found, start_newcomer, write_invitation

pytestmark = [
    pytest.mark.cometbft,
    pytest.mark.slow,
    pytest.mark.xdist_group("observer"),
    pytest.mark.network,
]


@pytest.fixture(scope="module")
def district(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    """One validator, so that it is cheap."""
    require_cometbft()
    made = found(tmp_path_factory.mktemp("observer"), 1)
    with closing(made.network):
        made.network.start()
        made.network.wait_height(1)
        for who, agency in enumerate(made.agencies):
            agency.appoint(made.url(who))
        yield made
        made.network.close()
        for node in made.network.nodes:
            report = check_ledger(node.layout.ledger, made.genesis)
            assert report.ok, report.findings


@pytest.fixture(scope="module")
def observer(district: Consortium) -> Agency:
    """Voted in with the enrolment at hand, joined by state sync."""
    p2p, rpc, metrics, port = free_ports(4)
    made = make_agency(district.path, "auditor", 5, power=0, address=f"127.0.0.1:{p2p}")
    motion = done("invite", made.enrolment_file, *district.at(0))
    forged = make_agency(district.path / "forged", "auditor", 5, power=0, address=f"127.0.0.1:{p2p}")
    district.decide(motion["short"], (1, 2, 3), "--enrolment", made.enrolment_file)
    early = refused("invite", made.enrolment_file, *district.at(0))
    assert early.code == "membership.already_member"
    not_admitted = refused(
        "invitation", forged.enrolment_file, "--keys", district.agencies[0].keys.path,
        "--data", district.data(0), "--rpc", "http://a.example:1", "--rpc", "http://b.example:1",
        "--node", district.url(0), "--out", district.path / "forged.json",
    )  # fmt: skip
    assert not_admitted.code == "membership.not_admitted"
    file = write_invitation(district, made, "observer")
    answer = done(
        "join", "--invitation", file, "--keys", made.keys.path, "--data", made.path / "data", "--yes",
        "--p2p", made.enrolment.content.address, "--rpc", f"127.0.0.1:{rpc}",
        "--metrics", f"127.0.0.1:{metrics}",
    )  # fmt: skip
    start_newcomer(district, made, answer["trust_height"], port)
    return made


def test_an_observer_follows_and_has_no_power(district: Consortium, observer: Agency) -> None:
    first, node = district.network.nodes
    assert int(node.call("shelian_status")["firstBlock"], 16) > 1
    district.work(3)
    height = first.height
    district.network.wait_height(height, [node])
    assert node.block(height)["stateRoot"] == first.block(height)["stateRoot"]
    assert district.look().seats_of(5) == ()
    assert len(node.call("shelian_getValidators", "pending")) == 1
    error = refused("validator", "add", observer.enrolment_file, *district.at(0))
    assert error.code == "membership.observer"


def test_its_people_vote_although_its_node_signs_nothing(district: Consortium, observer: Agency) -> None:
    node = district.network.nodes[1]
    observer.appoint(node.url)
    motion = done("remove", 4, *district.at(0))
    at = ("--key", observer.operator_file, "--node", node.url, "--yes")
    shown = done("vote", motion["short"], "no", *at)["proposal"]
    assert shown["votes"] == {"1": True, "5": False}


def test_a_nodes_key_is_changed_without_its_ever_being_a_stranger(
    district: Consortium, observer: Agency, tmp_path: Path
) -> None:
    first, node = district.network.nodes
    own = ("--key", observer.operator_file, "--node", node.url, "--yes")
    keys = ("--keys", observer.keys.path)
    data = ("--data", Layout(observer.path / "data").data)
    old = load_node_keys(observer.keys).node_id
    motion = done("rotate", "node", *keys, *own)
    assert refused("rotate", "node", *keys, *own, "--finish").code == "rotation.not_switched"
    node.stop()
    assert refused("rotate", "switch", *keys, *data).code == "rotation.not_listed"
    node.start()
    district.decide(motion["short"], (0, 1, 2))
    district.network.wait_height(first.height, [node])
    node.stop()
    done("rotate", "switch", *keys, *data)
    new = node_id(load_node_key(CometPlace(node.layout.comet)))
    assert new == load_node_keys(observer.keys).node_id != old
    node.start()
    district.work(2)
    district.network.wait_height(first.height, [node])
    motion = done("rotate", "node", *keys, *own, "--finish")
    district.decide(motion["short"], (0, 1, 2))
    assert [one.node_id.hex() for one in district.look().peers_of(5)] == [new]
    district.work(2)
    district.network.wait_height(first.height, [node])
    assert refused("rotate", "node", *keys, *own, "--finish").code == "rotation.nothing_left"
