"""What `shelian consortium up` makes, what it refuses before it makes anything, and whom it starts again."""

from __future__ import annotations

import os
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import consortium_up, demo_members
from cli.demo_consortium import create_demo
from cli.demo_members import (
    ORDER,
    agencies_of,
    create_members,
    first_agencies,
    keys_of,
    move_to_ports,
    node_layout,
    ports_of,
)
from cli.layout import Layout
from cli.main import app
from cli.processes import Change, Child, Patience, Supervisor
from cli.system import RunFile, may_fail, node_of
from contracts.bindings import consortium
from identity.demo.cast import ORGANISATIONS
from network.comet.faults import CometFault
from network.comet.home import CometPlace, load_settings, save_settings
from network.consortium.keys import load_agency, load_node_keys
from node.chain.errors import LedgerError, ShelianError
from node.chain.genesis import encode_genesis
from node.ledger import Ledger

pytestmark = pytest.mark.slow

PORT_BASE = 31_000
NOW_NS = 1_800_000_000_000_000_000


def up(data: Path, *options: str) -> BaseException | None:
    outcome = CliRunner().invoke(
        app, ["consortium", "up", "--data", str(data), "--port-base", str(PORT_BASE), *options]
    )
    return outcome.exception


def refusal(error: BaseException | None) -> str:
    assert isinstance(error, ShelianError), error
    return error.code


@pytest.fixture(autouse=True)
def with_cometbft(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is started, so the program need not be there."""
    monkeypatch.setattr(consortium_up, "find_binary", lambda: None)


def create(data: Path, validators: int) -> Layout:
    layout = Layout(data)
    create_members(layout, first_agencies(validators), PORT_BASE, NOW_NS, lambda text: None)
    return layout


@pytest.mark.parametrize("validators", range(1, len(ORDER) + 1))
def test_each_agency_gets_its_own_node_of_one_chain(tmp_path: Path, validators: int) -> None:
    layout = create(tmp_path / "data", validators)
    agencies = first_agencies(validators)
    genesis = Ledger.open(node_layout(layout, agencies[0]).ledger).genesis
    assert agencies_of(genesis) == agencies
    number = {one.key: one.id for one in ORGANISATIONS}
    peers = [call.data for call in genesis.calls if call.to == consortium.ADDRESS]
    for agency in agencies:
        keys = load_node_keys(keys_of(layout, agency))
        own = load_agency(keys_of(layout, agency))
        member = next(one for one in genesis.organisations if one.id == number[agency])
        assert (member.encryption_key, member.ca_certificate) == (own.encryption_key, own.certificate.pem)
        validator = next(one for one in genesis.validators if one.organisation == number[agency])
        assert validator.public_key == keys.validator_public_key
        assert consortium.set_peer(bytes.fromhex(keys.node_id), number[agency], True).data in peers
        settings = load_settings(CometPlace(node_layout(layout, agency).comet))
        assert len(settings.bootstrap) == validators - 1
        assert keys.node_id not in "".join(settings.bootstrap)


def test_the_first_four_are_those_who_exchange_documents() -> None:
    assert set(first_agencies(4)) == {"police", "procuratorate", "court", "justice"}
    assert [may_fail(number) for number in range(1, 8)] == [0, 0, 0, 1, 1, 1, 2]


def test_a_service_asks_its_own_agencys_node_or_justices_or_the_first() -> None:
    four = first_agencies(4)
    assert [node_of(one, four) for one in (*four, "identity", "points")] == [*four, "justice", "justice"]
    assert node_of("points", first_agencies(5)) == "community"
    assert node_of("court", first_agencies(2)) == "police"


@pytest.mark.parametrize("validators", ["0", "8", "-1"])
def test_a_number_of_nodes_that_the_cast_does_not_have_is_refused(tmp_path: Path, validators: str) -> None:
    assert refusal(up(tmp_path / "data", "--validators", validators)) == "consortium.validators"
    assert not (tmp_path / "data").exists()


def test_another_number_than_the_directorys_is_refused(tmp_path: Path) -> None:
    create(tmp_path / "data", 4)
    error = up(tmp_path / "data", "--validators", "3")
    assert refusal(error) == "consortium.other_number"


def test_a_directory_of_the_other_command_is_refused(tmp_path: Path) -> None:
    create_demo(Layout(tmp_path / "one"), NOW_NS, lambda text: None)
    assert refusal(up(tmp_path / "one")) == "system.other_kind"
    create(tmp_path / "four", 4)
    outcome = CliRunner().invoke(app, ["up", "--data", str(tmp_path / "four")])
    assert refusal(outcome.exception) == "system.other_kind"


def test_a_directory_of_somebody_elses_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letters").write_text("private")
    with pytest.raises(LedgerError) as refused:
        create(tmp_path, 4)
    assert refused.value.code == "init.exists"
    assert (tmp_path / "letters").read_text() == "private"


@pytest.mark.parametrize(
    ("offset", "whose"),
    [(47, "court-node (JSON-RPC)"), (52, "procuratorate-node (p2p)"), (111, "port of court ")],
)
def test_a_taken_port_is_named_before_anything_is_made(tmp_path: Path, offset: int, whose: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", PORT_BASE + offset))
        taken.listen()
        error = up(tmp_path / "data")
    assert refusal(error) == "system.port_in_use"
    assert whose in str(error)
    assert not (tmp_path / "data").exists()


def test_without_cometbft_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("SHELIAN_COMETBFT", str(tmp_path / "nowhere"))
    error = up(tmp_path / "data")
    assert isinstance(error, CometFault)
    assert error.code == "comet.binary_missing"
    assert not (tmp_path / "data").exists()


class Killed(BaseException):
    """As a kill -9 would end it: nothing is tidied up."""


@pytest.mark.parametrize(
    ("moment", "nth"),
    [
        ("create_keys", 1),
        ("create_keys", 2),
        ("create_cast", 1),
        ("plan_genesis", 1),
        ("make_home", 1),
        ("make_home", 2),
        ("finish_making", 1),
    ],
)
def test_a_creation_that_was_killed_can_be_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, nth: int
) -> None:
    real, calls = getattr(demo_members, moment), 0

    def kill(*given: object, **named: object) -> object:
        nonlocal calls
        calls += 1
        if calls == nth:
            raise Killed
        return real(*given, **named)

    monkeypatch.setattr(demo_members, moment, kill)
    with pytest.raises(Killed):
        create(tmp_path / "data", 2)
    assert not (tmp_path / "data" / "genesis.json").exists()
    layout = create(tmp_path / "data", 2)
    assert not layout.marker.exists()
    for agency in first_agencies(2):
        Ledger.open(node_layout(layout, agency).ledger).close()


def test_later_starts_move_the_nodes_to_other_ports_and_keep_what_an_operator_set(tmp_path: Path) -> None:
    layout, agencies = create(tmp_path / "data", 2), first_agencies(2)
    place = CometPlace(node_layout(layout, "police").comet)
    save_settings(place, replace(load_settings(place), verbose=True))
    move_to_ports(layout, agencies, PORT_BASE + 1_000)
    moved = load_settings(place)
    ports = ports_of(agencies, "police", PORT_BASE + 1_000)
    assert moved.verbose
    assert moved.p2p_address == f"127.0.0.1:{ports.p2p}"
    assert moved.rpc_address == f"127.0.0.1:{ports.comet_rpc}"
    assert moved.bootstrap[0].endswith(f":{ports_of(agencies, 'procuratorate', PORT_BASE + 1_000).p2p}")


def test_a_program_that_keeps_dying_is_given_up_and_the_others_go_on(tmp_path: Path) -> None:
    impatient = Patience(first_pause=0.05, longest_pause=0.1, deaths=3)
    python = (sys.executable, "-c")
    supervisor = Supervisor(tmp_path, lambda child: True, program=python, patience=impatient)
    dies = Child("dies", ("print('the reason', flush=True); raise SystemExit(3)",))
    stays = Child("stays", ("import time; time.sleep(600)",))
    supervisor.start([dies, stays], lambda child: None)
    changes: list[Change] = []
    deadline = time.monotonic() + 60
    while not any(change.what == "given up" for change in changes):
        assert time.monotonic() < deadline
        changes += supervisor.revive()
        time.sleep(0.01)
    assert {change.child for change in changes} == {"dies"}
    assert [change.what for change in changes] == ["died", "started", "died", "started", "given up"]
    assert [change.pause for change in changes if change.what == "died"] == [0.05, 0.1]
    assert {change.status for change in changes if change.what != "started"} == {3}
    assert supervisor.tail("dies").splitlines() == ["the reason"] * 3
    assert set(supervisor.pids()) == {"stays"}
    time.sleep(0.2)
    assert supervisor.revive() == []
    supervisor.stop()
    assert supervisor.pids() == {}


@pytest.mark.parametrize("agencies", [("data-bureau",), first_agencies(3)])
def test_no_node_is_killed_where_none_may_fail(tmp_path: Path, agencies: tuple[str, ...]) -> None:
    (tmp_path / "genesis.json").write_bytes(
        encode_genesis(create_demo(Layout(tmp_path / "x"), NOW_NS, print))
    )
    nodes = dict.fromkeys(agencies, "http://localhost:1")
    RunFile(str(tmp_path), PORT_BASE, os.getpid(), "demo", nodes).save()
    outcome = CliRunner().invoke(app, ["demo", "--kill-one", "--data", str(tmp_path)])
    assert refusal(outcome.exception) == "demo.cannot_kill"
