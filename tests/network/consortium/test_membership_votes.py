"""Members decide together by the command line: real contracts, real signatures, one node."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from contracts.bindings import consortium, identity_registry
from identity.demo.cast import DEMO_PASSPHRASE
from identity.keys import ED25519, generate_key
from identity.keystore import DEMO, save_key
from identity.node import NodeClient
from network.consortium.acting import recognise, send
from network.consortium.keys import load_agency
from network.consortium.motions import admit, propose
from network.consortium.reading import read_governance, read_standing
from node.ledger import Ledger
from tests.helpers.rpc_node import RunningNode, running_node
from tests.network.consortium.agencies import (
    Agency,
    done,
    make_agency,
    make_chain,
    refused,
    run,
    statement_file,
)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("membership-votes")]
OFFICES = ("police", "procuratorate", "court", "justice")


@dataclass
class District:
    """Four agencies on one chain; the first one's machine makes the blocks."""

    node: RunningNode
    agencies: list[Agency]

    @property
    def url(self) -> str:
        return self.node.url

    def client(self) -> NodeClient:
        return NodeClient(self.url)

    def vote(self, id: str, who: int, answer: str = "yes", *more: object) -> dict[str, Any]:
        key = self.agencies[who].operator_file
        return done("vote", id, answer, "--key", key, "--node", self.url, "--yes", *more)

    def at(self, who: int) -> tuple[object, ...]:
        """Options of a command that agency gives."""
        return ("--key", self.agencies[who].operator_file, "--node", self.url, "--yes")


@pytest.fixture(scope="module")
def district(tmp_path_factory: pytest.TempPathFactory) -> Iterator[District]:
    path = tmp_path_factory.mktemp("district")
    agencies = [
        make_agency(path, kind, number, power=10 if number == 1 else 0)
        for number, kind in enumerate(OFFICES, 1)
    ]
    Ledger.create(path / "ledger", make_chain(agencies)).close()
    with running_node(path, signing_key=agencies[0].validator_key) as node:
        for agency in agencies:
            agency.appoint(node.url)
        yield District(node, agencies)


def test_registrars_cannot_vote_but_appoint_who_can(district: District) -> None:
    client = district.client()
    for agency in district.agencies:
        standing = read_standing(client, agency.operator.address)
        assert standing is not None
        assert standing.organisation == agency.number
        assert standing.may_vote
    governance = read_governance(client)
    assert [(one.registrars, one.voters) for one in governance.members] == [(2, 1)] * 4
    assert governance.is_settled
    assert governance.attendance.signed(governance.in_force[0].address) > 0
    error = refused(
        "remove", 2, "--key", district.agencies[0].registrar_file(1), "--node", district.url, "--yes"
    )
    assert error.code == "membership.no_voter"


def test_a_newcomer_is_admitted_with_all_it_needs_by_one_motion(district: District, tmp_path: Path) -> None:
    auditor = make_agency(tmp_path, "auditor", 5, power=0)
    dry = done("invite", auditor.enrolment_file, "--node", district.url, "--dry-run")
    assert dry["before"]["members"] == 4
    assert dry["after"]["members"] == 5
    assert dry["after"]["votes_needed"] == 4
    assert not dry["findings"]
    assert done("proposals", "--node", district.url)["total"] == 0, "a dry run sends nothing"

    made = done("invite", auditor.enrolment_file, *district.at(2))
    id = made["short"]
    assert made["missing"] == [1, 2, 4]
    assert refused("invite", auditor.enrolment_file, *district.at(1)).code == "membership.proposed"
    early = refused(
        "invitation", auditor.enrolment_file, "--keys", district.agencies[0].keys.path, "--data", tmp_path,
        "--rpc", "http://a.example:1", "--rpc", "http://b.example:1", "--out", tmp_path / "x",
        "--node", district.url,
    )  # fmt: skip
    assert early.code == "keys.unreadable", "no such data directory"

    shown = done("proposal", id, "--node", district.url)["proposal"]
    assert shown["state"] == "open"
    assert shown["votes"] == {"3": True}
    assert "审计" in shown["does"][0]["zh"]
    listed = run("proposals", "--node", district.url)
    assert listed.exit_code == 0
    assert id in listed.stdout
    assert "接纳第 5 号成员" in listed.stdout

    assert refused("vote", id, "yes", *district.at(2)).code == "membership.voted"
    # The newcomer counts for the majority of the calls after its admission: three of five are too few.
    for who in (0, 1):
        assert "executed" not in district.vote(id, who)
    passed = district.vote(id, 3)
    assert passed["proposal"]["state"] == "executed"
    assert passed["in_force"] is None
    governance = read_governance(district.client())
    member = governance.member(5)
    assert member is not None
    assert (member.kind, member.registrars, member.is_active) == (6, 2, True)
    assert [one.node_id for one in governance.peers_of(5)] == [auditor.enrolment.content.node_id]
    assert refused("invite", auditor.enrolment_file, *district.at(0)).code == "membership.already_member"
    assert refused("vote", id, "yes", *district.at(3)).code == "membership.closed"

    # Its own registrars appoint who votes for it, and it votes.
    auditor.appoint(district.url)
    district.agencies.append(auditor)
    shown = done("leave", "--keep-node", "--key", auditor.operator_file, "--node", district.url, "--yes")
    assert shown["machine_may_stop"] is True, "an observer has no power to give up"


def test_a_motion_that_would_stop_the_chain_is_refused_before_anything_is_sent(district: District) -> None:
    before = done("proposals", "--all", "--node", district.url)["total"]
    error = refused("remove", 1, *district.at(1))
    assert error.code == "preflight.contract"
    assert done("proposals", "--all", "--node", district.url)["total"] == before
    key = "0x" + district.agencies[1].validator_key.verify_key.encode().hex()
    assert refused("validator", "set", key, "5", *district.at(0)).code == "membership.no_validator"


def test_votes_against_are_counted_and_a_lost_motion_is_not_carried_out(district: District) -> None:
    made = done("remove", 4, *district.at(0))
    assert made["step"] == "part", "it has no power to take away first"
    id = made["short"]
    for who in (1, 2):
        district.vote(id, who, "no")
    shown = done("proposal", id, "--node", district.url)["proposal"]
    assert shown["state"] == "lost"
    assert refused("execute", id, *district.at(0)).code == "membership.not_passed"


def test_an_agency_without_registrars_gets_new_ones_by_vote(district: District, tmp_path: Path) -> None:
    justice = district.agencies[3]
    people = [generate_key(ED25519) for _ in range(2)]
    files = [
        statement_file(tmp_path / f"{place}.json", key, bytes([9, place]) * 8, justice.page, "justice")
        for place, key in enumerate(people)
    ]
    lost = [one.identity for one in justice.enrolment.content.registrars]
    made = done(
        "registrars", 4, "--registrar", files[0], "--registrar", files[1],
        "--relying-party", justice.page_file,
        "--revoke", lost[0].hex(), "--revoke", lost[1].hex(), *district.at(0),
    )  # fmt: skip
    for who in (1, 2, 4):
        answer = district.vote(made["short"], who)
    assert answer["proposal"]["state"] == "executed"
    client = district.client()
    assert [read_standing(client, one.address) is not None for one in people] == [True, True]
    assert [read_standing(client, one.address) for one in justice.people] == [None, None]
    count = client.call(identity_registry.registrar_count(4))
    assert identity_registry.decode_registrar_count(count) == 2
    # The new ones act: they appoint another voter.
    voter = generate_key(ED25519)
    for place, key in enumerate(people):
        file = tmp_path / f"new-{place}.key.json"
        save_key(file, key, DEMO_PASSPHRASE, purpose="demo", label="r", cost=DEMO)
        answer = done(
            "appoint", "0x" + voter.public_key.hex(), "--algorithm", "ed25519", "--key", file,
            "--node", district.url, "--yes",
        )  # fmt: skip
        assert answer["appointed"] is bool(place)


def test_a_motion_that_is_not_what_the_enrolment_says_is_not_approved(
    district: District, tmp_path: Path
) -> None:
    """Somebody proposes the newcomer with a registrar of his own in the place of one of theirs."""
    newcomer = make_agency(tmp_path, "auditor", 6, power=0)
    content = newcomer.enrolment.content
    first, second = content.registrars
    forged = replace(
        content, registrars=(first, replace(second, public_key=generate_key(ED25519).public_key))
    )
    client = district.client()
    calls = admit(forged, read_governance(client).free_number())
    ids, proposing = propose(calls, secrets.token_bytes)
    send(client, recognise(client, district.agencies[0].operator), proposing)
    at = ("vote", ids[0].hex(), "yes", *district.at(1))
    error = refused(*at, "--enrolment", newcomer.enrolment_file)
    assert error.code == "preflight.other_enrolment"
    district.vote(ids[0].hex(), 1, "no", "--enrolment", newcomer.enrolment_file)
    shown = done("proposal", ids[0].hex()[:12], "--node", district.url)["proposal"]
    assert shown["votes"] == {"2": False}


def test_a_second_node_and_striking_it_off_again(district: District) -> None:
    """The last node of a member with voting power is never struck off."""
    spare = "ab" * 20
    made = done("node", "add", spare, 1, *district.at(0))
    for who in (1, 2, 4):
        answer = district.vote(made["short"], who)
    assert answer["proposal"]["state"] == "executed"
    peers = {one.node_id.hex() for one in read_governance(district.client()).peers_of(1)}
    assert spare in peers
    assert len(peers) == 2
    strike = ("node", "strike", spare, *district.at(0))
    assert refused(*strike).code == "preflight.which_node"
    assert refused(*strike, "--despite", "短").code == "membership.reason"
    made = done(*strike, "--despite", "备用机已拆，出块的是另一台 the spare machine is gone")
    for who in (1, 2, 4):
        answer = district.vote(made["short"], who, "yes", "--despite", "备用机已拆 the spare is gone")
    assert answer["proposal"]["state"] == "executed"
    (last,) = read_governance(district.client()).peers_of(1)
    error = refused(
        "node",
        "strike",
        last.node_id.hex(),
        *district.at(0),
        "--despite",
        "无论如何都要 whatever comes of it",
    )
    assert error.code == "preflight.last_node", "a refusal is passed over by no reason"
    assert refused("node", "strike", "00" * 20, *district.at(0)).code == "membership.unknown_node"


def test_certificate_and_sealing_key_are_the_agencys_own_to_change(district: District) -> None:
    court = district.agencies[2]
    for what, current in (
        ("certificate", court.enrolment.content.certificate.fingerprint),
        ("sealing", court.enrolment.content.encryption_key),
    ):
        made = done("rotate", what, "--keys", court.keys.path)
        value = made["value"]
        assert value != "0x" + current.hex()
        assert done("rotate", what, "--keys", court.keys.path)["value"] == value, "made once"
        early = refused("rotate", "switch", "--keys", court.keys.path, "--node", district.url)
        assert early.code == "rotation.not_in_force"
        for number, expected in ((1, False), (2, True)):
            answer = done(
                "rotate", what, "--value", value, "--key", court.registrar_file(number),
                "--node", district.url, "--yes",
            )  # fmt: skip
            assert answer["in_force"] is expected
        kept = done("rotate", "switch", "--keys", court.keys.path, "--node", district.url)["kept"]
        for file in map(Path, kept.values()):
            assert file.exists()
            assert file.suffixes[-1] == ".pem" or file.stat().st_mode & 0o777 == 0o600
    row = consortium.decode_organisation(district.client().call(consortium.organisation(3)))
    agency = load_agency(court.keys)
    assert (row.certificate, row.encryption_key) == (agency.certificate.fingerprint, agency.encryption_key)


def test_the_list_is_paged_and_a_wrong_id_is_refused(district: District) -> None:
    everything = done("proposals", "--all", "--node", district.url)
    first = done("proposals", "--all", "--size", 1, "--page", 2, "--node", district.url)
    assert first["pages"] == everything["total"] > 1
    assert first["proposals"][0]["id"] == everything["proposals"][1]["id"]
    assert refused("proposal", "feedbeef", "--node", district.url).code == "membership.unknown_motion"
    assert refused("proposal", "xyz", "--node", district.url).code == "membership.unknown_motion"
    assert refused("vote", "feedbeef", "perhaps", *district.at(0)).code == "membership.bad_value"
