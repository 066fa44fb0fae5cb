"""What `join` makes of an invitation, and what it refuses to: no network is needed."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from cli.layout import Layout
from identity.demo.cast import DEMO_PASSPHRASE
from network.comet.home import CometPlace, load_node_key, load_settings, node_id
from network.consortium.invitation import InvitationContent, encode_invitation, make_invitation
from network.consortium.keys import load_agency, open_ca
from node.ledger.check import check_ledger
from tests.network.consortium.agencies import Agency, done, make_agency, make_chain, refused

pytestmark = pytest.mark.slow
OFFICES = ("police", "procuratorate", "court", "justice")


@pytest.fixture(scope="module")
def founders(tmp_path_factory: pytest.TempPathFactory) -> list[Agency]:
    path = tmp_path_factory.mktemp("founders")
    return [make_agency(path, kind, number) for number, kind in enumerate(OFFICES, 1)]


def content(founders: list[Agency], newcomer: Agency) -> InvitationContent:
    """Of a chain without a ceremony's record, as a graduated one is."""
    inviter = load_agency(founders[0].keys)
    return InvitationContent(
        genesis=make_chain(founders),
        record=None,
        enrolment=newcomer.enrolment.hash,
        organisation=5,
        peers=tuple(one.enrolment.content.peer for one in founders),
        rpc_servers=("http://police.example:26657", "http://court.example:26657"),
        trust_height=100,
        trust_hash=b"\x05" * 32,
        inviter=inviter.name,
        certificate=inviter.certificate,
        valid_until=int(time.time()) + 86_400,
        nonce=b"\x06" * 16,
    )


def write(path: Path, content: InvitationContent, by: Agency) -> Path:
    ca = open_ca(by.keys, load_agency(by.keys), DEMO_PASSPHRASE)
    path.write_bytes(encode_invitation(make_invitation(content, ca)))
    return path


def test_join_makes_a_directory_that_begins_by_state_sync(founders: list[Agency], tmp_path: Path) -> None:
    newcomer = make_agency(tmp_path, "auditor", 5, power=0)
    made = content(founders, newcomer)
    file = write(tmp_path / "invitation.json", made, founders[0])
    layout = Layout(tmp_path / "data")
    arguments = ("join", "--invitation", file, "--keys", newcomer.keys.path, "--data", layout.data)
    wrong = refused(*arguments, "--genesis-hash", "11" * 32)
    assert wrong.code == "invitation.genesis", "not the one that was compared by telephone"
    assert refused(*arguments, "--genesis-hash", "11").code == "invitation.bad_value"
    assert not layout.data.exists()
    done(*arguments, "--genesis-hash", made.genesis.hash.hex())
    place = CometPlace(layout.comet)
    settings = load_settings(place)
    assert settings.state_sync == made.state_sync()
    assert settings.bootstrap == made.peers
    assert not settings.one_machine
    assert settings.p2p_address == "0.0.0.0:26656"
    assert node_id(load_node_key(place)) == newcomer.enrolment.content.node_id.hex()
    assert not (layout.data / "genesis.ceremony.json").exists()
    assert check_ledger(layout.ledger, made.genesis).ok
    assert refused(*arguments, "--yes").code == "invitation.used"
    again = write(tmp_path / "again.json", replace(made, nonce=b"\x07" * 16), founders[0])
    arguments = ("join", "--invitation", again, *arguments[3:])
    assert refused(*arguments, "--yes").code == "init.exists", "a chain's directory is never made anew"


def test_an_inviter_that_came_later_is_vouched_for_by_telephone(
    founders: list[Agency], tmp_path: Path
) -> None:
    newcomer = make_agency(tmp_path, "auditor", 5, power=0)
    later = make_agency(tmp_path / "later", "court", 6)
    agency = load_agency(later.keys)
    made = replace(content(founders, newcomer), certificate=agency.certificate, inviter=agency.name)
    file = write(tmp_path / "invitation.json", made, later)
    arguments = (
        "join", "--invitation", file, "--keys", newcomer.keys.path, "--data", tmp_path / "data", "--yes",
    )  # fmt: skip
    assert refused(*arguments).code == "invitation.inviter"
    assert refused(*arguments, "--inviter-ca", "22" * 32).code == "invitation.inviter"
    done(*arguments, "--inviter-ca", agency.certificate.fingerprint.hex(":").upper())
