"""A consortium changes while it runs, on real nodes with real CometBFT, all by the command line.

Three validators and a fourth member; an auditor is voted in, joins by state sync, gets power and signs; a
validator's key is changed; one of the first leaves. Nothing acknowledged is lost.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cli.layout import Layout
from network.comet.home import CometPlace, load_validator_key
from network.consortium.keys import load_node_keys
from network.consortium.rotation import NextKeys
from node.chain.validators import validator_address
from node.ledger.check import check_ledger
from tests.network.comet.small_network import free_ports, require_cometbft
from tests.network.consortium.agencies import Agency, done, make_agency, refused, run
from tests.network.consortium.running import Consortium, found, start_newcomer, write_invitation

pytestmark = [
    pytest.mark.cometbft,
    pytest.mark.slow,
    pytest.mark.xdist_group("membership-network"),
    pytest.mark.network,
]


@pytest.fixture(scope="module")
def district(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    require_cometbft()
    made = found(tmp_path_factory.mktemp("consortium"), 3)
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
def auditor(district: Consortium) -> Agency:
    """The newcomer; admitted, its node made by an invitation and started."""
    (p2p,) = free_ports(1)
    made = make_agency(district.path, "auditor", 5, power=10, address=f"127.0.0.1:{p2p}")
    motion = done("invite", made.enrolment_file, *district.at(0), "--data", district.data(0))
    district.decide(motion["short"], (1, 2, 3))
    return made


@pytest.fixture(scope="module")
def joined(district: Consortium, auditor: Agency) -> Agency:
    """The auditor's node runs and is in step."""
    file = write_invitation(district, auditor, "first")
    rpc, metrics, port = free_ports(3)
    layout = Layout(auditor.path / "data")
    answer = done(
        "join", "--invitation", file, "--keys", auditor.keys.path, "--data", layout.data,
        "--genesis-hash", district.genesis.hash.hex(), "--p2p", auditor.enrolment.content.address,
        "--rpc", f"127.0.0.1:{rpc}", "--metrics", f"127.0.0.1:{metrics}",
    )  # fmt: skip
    assert answer["organisation"] == 5
    assert len(answer["peers"]) == 4
    # Not in step: not even started.
    early = refused("validator", "add", auditor.enrolment_file, *district.at(0), "--data", district.data(0))
    assert early.code == "preflight.not_in_step"
    start_newcomer(district, auditor, answer["trust_height"], port)
    return auditor


def test_a_tampered_foreign_or_replayed_invitation_is_refused(
    district: Consortium, auditor: Agency, joined: Agency, tmp_path: Path
) -> None:
    file = write_invitation(district, auditor, "second")

    def join(invitation: Path, keys: Path) -> str:
        return refused(
            "join", "--invitation", invitation, "--keys", keys, "--data", tmp_path / "d", "--yes"
        ).code

    used = district.path / "first.invitation.json"
    assert join(used, auditor.keys.path) == "invitation.used"
    assert join(file, district.agencies[1].keys.path) == "invitation.other_enrolment"
    document = json.loads(file.read_bytes())
    document["content"]["trust_hash"] = "0x" + "11" * 32
    tampered = tmp_path / "tampered.json"
    tampered.write_text(
        json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False), encoding="utf-8"
    )
    assert join(tampered, auditor.keys.path) == "invitation.signature"
    cut = tmp_path / "cut.json"
    cut.write_bytes(file.read_bytes()[:-20])
    assert join(cut, auditor.keys.path) == "invitation.malformed"
    # Other keys beside the enrolment: somebody copied the directory and made a new node key.
    other = tmp_path / "keys"
    shutil.copytree(auditor.keys.path, other)
    (other / "invitations.used").unlink()
    shutil.copy(district.agencies[1].keys.node_key, other / "node_key.json")
    assert join(file, other) == "invitation.other_keys"
    assert not (tmp_path / "d").exists()


def test_it_joined_by_state_sync_and_its_people_act_at_its_node(district: Consortium, joined: Agency) -> None:
    node = district.network.nodes[3]
    assert int(node.call("shelian_status")["firstBlock"], 16) > 1, "it executed every block instead"
    joined.appoint(node.url)
    listed = run("proposals", "--all", "--node", node.url)
    assert listed.exit_code == 0, "what it does not hold is left out"


def test_it_gets_power_by_a_vote_of_its_own_and_signs(district: Consortium, joined: Agency) -> None:
    seat = joined.enrolment.content.validator
    assert seat is not None
    motion = done("validator", "add", joined.enrolment_file, *district.at(1), "--data", district.data(1))
    assert motion["after"]["power"] == 40
    assert (motion["before"]["may_fail"], motion["after"]["may_fail"]) == (0, 1)
    for who in (0, 2):
        done("vote", motion["short"], "yes", *district.at(who), "--data", district.data(who))
    answer = district.decide(motion["short"], (3,), "--data", district.data(0))
    assert answer["in_force"] == answer["executed"] + 2
    district.wait_signed_by(seat.public_key)


def test_a_validators_key_is_changed_and_the_new_one_signs(district: Consortium, joined: Agency) -> None:
    agency, node = district.agencies[1], district.network.nodes[1]
    old = load_node_keys(agency.keys).validator_public_key
    motion = done("rotate", "validator", "--keys", agency.keys.path, *district.at(1))
    new = bytes.fromhex(motion["new"][2:])
    data = ("--keys", agency.keys.path, "--data", node.layout.data)
    assert refused("rotate", "switch", *data).code.startswith("state."), "the node runs"
    answer = district.decide(motion["short"], (0, 2, 3))
    district.work(3)
    district.network.wait_height(answer["in_force"], [node])
    assert not district.look().attendance.signed(validator_address(new))
    state = CometPlace(node.layout.comet).validator_state_file
    node.stop()
    signed_before = json.loads(state.read_bytes())
    kept = Path(done("rotate", "switch", *data)["kept"]["validator"])
    assert json.loads(state.read_bytes()) == signed_before, "what was signed last is never touched"
    assert load_validator_key(CometPlace(node.layout.comet)) == new
    assert load_node_keys(agency.keys).validator_public_key == new
    assert kept.stat().st_mode & 0o777 == 0o600
    assert not NextKeys(agency.keys).validator_key.exists()
    node.start()
    district.network.wait_height(district.network.nodes[0].height, [node])
    district.wait_signed_by(new)
    seats = {one.public_key for one in district.look().validators}
    assert new in seats
    assert old not in seats
    assert refused("rotate", "switch", *data).code == "rotation.no_next_key"


def test_while_one_of_four_is_silent_no_other_may_fail_silent(district: Consortium, joined: Agency) -> None:
    """The contract would let a key be changed: it does not know that another machine is down."""
    node = district.network.nodes[2]
    node.stop()
    silent = validator_address(load_node_keys(district.agencies[2].keys).validator_public_key)
    while district.look().attendance.signed(silent):
        district.work()
    keys = district.agencies[0].keys
    rotate = ("rotate", "validator", "--keys", keys.path, "--node", district.url(0), "--dry-run", "--json")
    outcome = run(*rotate)
    assert outcome.exit_code == 1, outcome.output
    found = {one["code"]: one for one in json.loads(outcome.stdout)["findings"]}
    assert set(found) == {"preflight.quorum", "preflight.silent"}
    assert (found["preflight.quorum"]["got"], found["preflight.quorum"]["expected"]) == ("20 / 40", "27 / 40")
    node.start()
    district.network.wait_height(district.network.nodes[0].height, [node])
    district.wait_signed_by(load_node_keys(district.agencies[2].keys).validator_public_key)
    NextKeys(keys).validator_key.unlink()


def test_one_of_the_first_leaves_and_nothing_is_lost(district: Consortium, joined: Agency) -> None:
    court, node = district.agencies[2], district.network.nodes[2]
    leave = ("leave", *district.at(2), "--despite", "机构合并，已商定 agreed among all")
    step = done(*leave)
    assert (step["step"], step["machine_may_stop"]) == ("power", False)
    assert refused(*leave).code == "membership.proposed"
    for who in (0, 1):
        done("vote", step["short"], "yes", *district.at(who), "--despite", "机构合并，已商定 agreed")
    district.decide(step["short"], (3,), "--despite", "机构合并，已商定 agreed")
    step = done(*leave)
    assert (step["step"], step["machine_may_stop"]) == ("part", True)
    district.decide(step["short"], (0, 1, 3))
    assert refused(*leave).code == "membership.no_standing", "it has left"
    node.stop()
    court_key = load_node_keys(court.keys).validator_public_key
    district.work(3)
    now = district.look()
    assert now.seat(court_key) is None
    assert now.peers_of(3) == ()
    assert now.total_power == 30
    client = district.network.nodes[0]
    receipts = [client.call("eth_getTransactionReceipt", one) for one in district.acknowledged]
    assert all(one is not None and one["status"] == "0x1" for one in receipts), "an acknowledged one is lost"
    hashes = {
        district.network.nodes[place].block(now.height)["hash"]
        for place in (0, 1, 3)
        if district.network.wait_height(now.height, [district.network.nodes[place]]) >= 0
    }
    assert len(hashes) == 1
