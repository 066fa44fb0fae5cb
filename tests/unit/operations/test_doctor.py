"""The doctor names each fault that is really there, and finds nothing in a sound directory."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from cli.layout import Layout
from cli.main import app
from cli.system import SystemFault
from network.comet.home import CometPlace, CometSettings, make_home, node_id, write_configuration
from network.operations.card import NodeCard, save_card
from network.operations.doctor.checks import Check, run_checks
from network.operations.doctor.examination import (
    REACHED,
    REFUSED,
    SILENT,
    UNKNOWN_NAME,
    Examination,
    LedgerSeen,
    PeerSeen,
)
from network.operations.doctor.examine import Place, connect, examine
from network.operations.findings import FAULT, WARNING, stale
from network.operations.networking import can_bind, listener_of
from node.chain.genesis import Genesis, build_genesis, encode_genesis
from node.ledger import Ledger
from node.rpc.config import RpcConfig
from tests.helpers.ledger import SECOND_NS, Chain, make_genesis
from tests.helpers.rpc_node import running_node
from tests.network.comet.small_network import free_ports, public_key, seed

HOUR_NS = 3_600 * SECOND_NS


def genesis_of(time_ns: int) -> Genesis:
    document = json.loads(make_genesis([]).canonical)
    document["genesis_time_ns"] = time_ns
    return build_genesis(document)


class Machine:
    """A data directory of a node, and where it would listen."""

    def __init__(self, path: Path) -> None:
        self.layout = Layout(path)
        self.genesis = genesis_of(time.time_ns() - HOUR_NS)
        self.layout.node.mkdir(parents=True)
        self.layout.genesis.write_bytes(encode_genesis(self.genesis))
        Ledger.create(self.layout.ledger, self.genesis).close()
        self.rpc, self.operations = (f"127.0.0.1:{port}" for port in free_ports(2))
        self.tls: Path | None = None
        # Its own: the doctor finds other programs of this machine that sign with the same one.
        self.validator_key = secrets.token_bytes(32)

    def make_member(self, *bootstrap: str, p2p: str = "127.0.0.1") -> CometPlace:
        """Give it a home of CometBFT."""
        ports = free_ports(3)
        settings = CometSettings(
            f"{p2p}:{ports[0]}", f"127.0.0.1:{ports[1]}", f"127.0.0.1:{ports[2]}", bootstrap
        )
        place = CometPlace(self.layout.comet)
        make_home(place, settings, seed("node 1"), self.validator_key)
        write_configuration(place, settings, self.genesis)
        return place

    @property
    def place(self) -> Place:
        layout = self.layout
        return Place(
            data=layout.data,
            genesis=layout.genesis,
            ledger=layout.ledger,
            comet=layout.comet,
            validator_key=layout.validator_key,
            unfinished=layout.marker,
            rpc_address=self.rpc,
            operations_address=self.operations,
            tls_certificate=self.tls,
        )

    def findings(self, now_ns: int | None = None) -> dict[str, str]:
        """What the doctor finds: code and level."""
        seen = examine(self.place, time.time_ns if now_ns is None else lambda: now_ns)
        return {one.code: one.level for check in run_checks(seen) for one in check.findings}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "data")


def checks_of(seen: Examination) -> dict[str, Check]:
    return {one.name: one for one in run_checks(seen)}


# ---- a sound directory


def test_a_sound_stopped_node_has_nothing_but_that_it_is_stopped(machine: Machine) -> None:
    assert machine.findings() == {"doctor.not_running": WARNING}


def test_looking_changes_nothing_and_needs_no_running_node(machine: Machine) -> None:
    before = sorted(path.name for path in machine.layout.node.iterdir())
    machine.findings()
    assert sorted(path.name for path in machine.layout.node.iterdir()) == before
    Ledger.open(machine.layout.ledger, machine.genesis).close()


def test_a_directory_that_is_none(tmp_path: Path, machine: Machine) -> None:
    place = replace(machine.place, data=tmp_path, genesis=tmp_path / "no", ledger=tmp_path / "neither" / "no")
    found = {one.code for check in run_checks(examine(place)) for one in check.findings}
    assert found == {"doctor.no_data"}


# ---- files that do not belong together


def test_another_genesis_beside_the_ledger(machine: Machine) -> None:
    machine.layout.genesis.write_bytes(encode_genesis(genesis_of(time.time_ns())))
    assert machine.findings()["doctor.wrong_genesis"] == FAULT


def test_another_genesis_in_comets_directory(machine: Machine) -> None:
    place = machine.make_member()
    assert "doctor.wrong_genesis" not in machine.findings()
    document = json.loads(place.genesis_file.read_bytes())
    document["app_state"]["genesis_hash"] = "0x" + "cd" * 32
    place.genesis_file.write_text(json.dumps(document))
    assert machine.findings()["doctor.wrong_genesis"] == FAULT


def test_a_genesis_that_is_gone_or_broken(machine: Machine) -> None:
    machine.layout.genesis.write_text("{")
    assert machine.findings()["doctor.genesis_unreadable"] == FAULT
    machine.layout.genesis.unlink()
    assert machine.findings()["doctor.genesis_unreadable"] == FAULT


def test_a_cut_off_init(machine: Machine) -> None:
    machine.layout.marker.touch()
    assert machine.findings()["doctor.init_unfinished"] == FAULT


# ---- the ledger


def test_another_process_has_the_ledger_open(machine: Machine) -> None:
    code = (
        "import sys, time; from pathlib import Path; from node.ledger import Ledger\n"
        f"ledger = Ledger.open(Path({str(machine.layout.ledger)!r})); print('open', flush=True)\n"
        "time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        seen = examine(machine.place)
        assert seen.ledger.holder is not None
        assert seen.ledger.holder.pid == other.pid
        (finding,) = checks_of(seen)["ledger"].findings
        assert finding.code == "doctor.ledger_locked"
        assert str(other.pid) in finding.what.en
    finally:
        other.kill()
        other.wait()


def test_a_damaged_ledger(machine: Machine) -> None:
    (machine.layout.ledger / "CURRENT").write_text("MANIFEST-999999\n")
    assert machine.findings()["doctor.ledger_unusable"] == FAULT


@pytest.mark.parametrize(
    ("mark", "code", "level"),
    [
        ("ledger.restoring", "doctor.restore_unfinished", WARNING),
        ("ledger.replaced", "doctor.restore_unfinished", WARNING),
        ("ledger.repaired", "doctor.repair_unfinished", FAULT),
        ("ledger.damaged-20261101T000000Z", "doctor.damaged_kept", WARNING),
    ],
)
def test_what_restores_and_repairs_have_left(machine: Machine, mark: str, code: str, level: str) -> None:
    (machine.layout.node / mark).mkdir()
    assert machine.findings()[code] == level


# ---- the machine


@contextmanager
def listening(address: str) -> Iterator[None]:
    host, _, port = address.rpartition(":")
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((host, int(port)))
        held.listen()
        yield


def test_a_port_in_use_is_told_with_the_program_that_has_it(machine: Machine) -> None:
    with listening(machine.rpc):
        seen = examine(machine.place)
        (finding,) = checks_of(seen)["ports"].findings
    assert finding.code == "doctor.port_in_use"
    assert f"pid {os.getpid()}" in finding.what.en
    assert machine.rpc in finding.what.zh
    assert can_bind(machine.rpc)
    assert "doctor.port_in_use" not in machine.findings()


def test_every_port_of_a_member_is_looked_at(machine: Machine) -> None:
    machine.make_member()
    names = [one.name for one in examine(machine.place).ports]
    assert names == ["JSON-RPC", "operations", "CometBFT p2p", "CometBFT RPC", "CometBFT metrics"]


def test_who_listens_is_found_by_its_port() -> None:
    (port,) = free_ports(1)
    assert listener_of(port) is None
    with listening(f"127.0.0.1:{port}"):
        assert listener_of(port) == os.getpid()


def test_a_clock_that_is_behind_the_newest_block(machine: Machine) -> None:
    shutil.rmtree(machine.layout.ledger)
    chain = Chain.create(machine.layout.ledger)
    chain.add_block([])
    tip_ns = chain.ledger.tip.time_ns
    chain.ledger.close()
    machine.layout.genesis.write_bytes(encode_genesis(chain.ledger.genesis))
    assert "doctor.clock_skew" not in machine.findings(tip_ns + SECOND_NS)
    assert machine.findings(tip_ns - 3 * SECOND_NS)["doctor.clock_skew"] == WARNING
    assert machine.findings(tip_ns - HOUR_NS)["doctor.clock_skew"] == FAULT


def make_certificate(path: Path, until: datetime) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node.court.example")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - timedelta(days=90))
        .not_valid_after(until)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize(
    ("days", "found"),
    [
        (-1, {"doctor.certificate_expired": FAULT}),
        (10, {"doctor.certificate_expiring": WARNING}),
        (60, {}),
    ],
)
def test_a_certificate_that_ends(machine: Machine, tmp_path: Path, days: int, found: dict[str, str]) -> None:
    until = datetime.now(UTC) + timedelta(days=days, hours=1)
    machine.tls = make_certificate(tmp_path / "node.pem", until)
    assert machine.findings() == {"doctor.not_running": WARNING} | found


def test_key_files_that_others_may_read_or_that_are_gone(machine: Machine) -> None:
    place = machine.make_member()
    place.validator_key_file.chmod(0o640)
    assert machine.findings()["doctor.key_exposed"] == FAULT
    place.validator_key_file.unlink()
    assert machine.findings()["doctor.key_missing"] == FAULT


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")
def test_files_that_root_left_behind(machine: Machine) -> None:
    for path in [machine.layout.data, *machine.layout.data.rglob("*")]:
        os.chown(path, 12_345, 12_345)
    assert machine.findings() == {"doctor.not_running": WARNING}
    os.chown(machine.layout.ledger / "CURRENT", 0, 0)
    assert machine.findings()["doctor.wrong_owner"] == FAULT


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_and_a_read_only_disk(machine: Machine, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", small], check=False)
    if mounted.returncode:
        pytest.skip("this machine mounts nothing")
    try:
        shutil.copytree(machine.layout.data, small / "data")
        machine.layout = Layout(small / "data")
        found = machine.findings()
        assert found["doctor.disk_full"] == FAULT
        subprocess.run(["mount", "-o", "remount,ro", small], check=True)
        found = machine.findings()
        assert "doctor.ledger_unusable" in found or "doctor.disk_read_only" in found
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_cometbft_that_is_not_there_or_of_another_version(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.make_member()
    monkeypatch.setenv("SHELIAN_COMETBFT", str(tmp_path / "nothing"))
    assert machine.findings()["doctor.cometbft_missing"] == FAULT
    other = tmp_path / "cometbft"
    other.write_text("#!/bin/sh\necho 0.38.0\n")
    other.chmod(0o755)
    monkeypatch.setenv("SHELIAN_COMETBFT", str(other))
    assert machine.findings()["doctor.cometbft_version"] == FAULT


def test_settings_that_cannot_be_used(machine: Machine) -> None:
    place = machine.make_member()
    place.settings_file.write_text('{"p2p_adress": 1}')
    assert machine.findings()["doctor.settings"] == FAULT


# ---- the others


def test_how_a_connection_ends() -> None:
    open_port, closed_port = free_ports(2)
    with listening(f"127.0.0.1:{open_port}"):
        assert connect(f"127.0.0.1:{open_port}") == REACHED
    assert connect(f"127.0.0.1:{closed_port}") == REFUSED
    assert connect("nobody.invalid:26656") == UNKNOWN_NAME


def test_a_peer_that_cannot_be_reached_is_named_with_the_reason(machine: Machine) -> None:
    there, gone = free_ports(2)
    ids = [node_id(public_key(seed(f"node {number}"))) for number in (1, 2, 3)]
    machine.make_member(f"{ids[0]}@127.0.0.1:1", f"{ids[1]}@127.0.0.1:{there}", f"{ids[2]}@127.0.0.1:{gone}")
    with listening(f"127.0.0.1:{there}"):
        seen = examine(machine.place)
    assert [one.outcome for one in seen.peers] == [REACHED, REFUSED], "itself is not tried"
    (finding,) = checks_of(seen)["peers"].findings
    assert finding.code == "doctor.peer_unreachable"
    assert f"127.0.0.1:{gone}" in finding.what.en
    assert machine.findings()["doctor.no_peer_reachable"] == FAULT


def test_a_port_for_others_that_they_cannot_reach() -> None:
    seen = Examination(
        "data", p2p_address="127.0.0.1:26656", peers=(PeerSeen("01" * 20, "10.0.0.2:26656", REACHED),)
    )
    assert [one.code for one in checks_of(seen)["peers"].findings] == ["doctor.p2p_loopback"]
    near = replace(seen, peers=(PeerSeen("01" * 20, "127.0.0.1:26656", REACHED),))
    assert checks_of(near)["peers"].findings == ()


def test_a_silent_peer_hints_at_the_firewall() -> None:
    seen = Examination("data", peers=(PeerSeen("01" * 20, "10.0.0.2:26656", SILENT),))
    texts = [one.todo.en for one in checks_of(seen)["peers"].findings]
    assert any("firewall" in text for text in texts)


def test_a_validator_key_that_another_program_here_signs_with(machine: Machine, tmp_path: Path) -> None:
    place = machine.make_member()
    other = tmp_path / "other"
    shutil.copytree(place.directory, other)
    # What /proc shows of a `cometbft start --home OTHER`; only its command line is looked at.
    command = [sys.executable, "-c", "import time; time.sleep(60)", "start", "--home", str(other)]
    program = subprocess.Popen(command)
    try:
        time.sleep(0.2)
        assert machine.findings()["doctor.key_twice"] == FAULT
    finally:
        program.kill()
        program.wait()
    assert "doctor.key_twice" not in machine.findings()


# ---- limits, the system, a running node


@pytest.mark.parametrize(
    ("changes", "check", "code"),
    [
        ({"open_files_limit": 256}, "limits", "doctor.few_open_files"),
        ({"memory_limit": 1 << 30}, "limits", "doctor.memory_limit"),
        ({"memory_available": 100 << 20}, "limits", "doctor.memory_low"),
        ({"unit": "disabled"}, "service", "doctor.unit_not_enabled"),
        ({"is_synchronised": False}, "clock", "doctor.clock_unsynchronised"),
        ({"python": (3, 13)}, "versions", "doctor.python_version"),
        ({"not_writable": ("data/node",)}, "files", "doctor.not_writable"),
        ({"is_running": True, "answers": False}, "data", "doctor.no_answer"),
        ({"ledger": LedgerSeen("state.corrupt", "…")}, "ledger", "doctor.ledger_unusable"),
    ],
)
def test_what_the_system_says(changes: dict[str, object], check: str, code: str) -> None:
    sound = Examination("data", is_running=True, unit="enabled", is_synchronised=True)
    assert all(one.level == "ok" for one in run_checks(sound))
    seen = replace(sound, **changes)  # type: ignore[arg-type]
    assert [one.code for one in checks_of(seen)[check].findings] == [code]


def test_a_running_nodes_own_findings_stand_under_their_check() -> None:
    seen = Examination("data", is_running=True, answers=True, found=(stale(30, ""),))
    assert [one.code for one in checks_of(seen)["ledger"].findings] == ["doctor.stale"]


def test_a_card_of_a_node_that_is_gone_tells_its_ports_only(machine: Machine) -> None:
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    (port,) = free_ports(1)
    card = NodeCard(gone.pid, f"http://localhost:{port}", None, str(machine.layout.ledger))
    save_card(machine.layout.node, card)
    seen = examine(machine.place)
    assert not seen.is_running
    assert seen.ports[0].address == f"127.0.0.1:{port}"


# ---- the commands


def run(*arguments: str) -> tuple[int, str, BaseException | None]:
    """Exit status, standard output, and the typed error that the program would print."""
    answer = CliRunner().invoke(app, arguments)
    return answer.exit_code, answer.stdout, answer.exception


def test_the_command_exits_with_1_on_a_fault_and_says_what_to_run(machine: Machine) -> None:
    data = str(machine.layout.data)
    port = machine.rpc.rpartition(":")[2]
    status, text, _ = run("doctor", "--data", data, "--port", port)
    assert status == 0, text
    assert "doctor.not_running" in text
    machine.make_member().node_key_file.chmod(0o644)
    status, text, _ = run("doctor", "--data", data, "--port", port, "--json")
    assert status == 1
    document = json.loads(text)
    assert not document["ok"]
    (check,) = [one for one in document["checks"] if one["check"] == "files"]
    assert check["findings"][0]["command"].startswith("chmod 600 ")


def test_status_of_a_node_that_does_not_run_sends_to_the_doctor(machine: Machine) -> None:
    status, _, error = run("node", "status", "--data", str(machine.layout.data))
    assert status == 1
    assert isinstance(error, SystemFault)
    assert error.code == "node.not_running"
    assert "shelian doctor" in str(error.expected)


def test_status_of_a_running_node_in_a_terminal_and_for_programs(tmp_path: Path) -> None:
    with running_node(tmp_path, operations=RpcConfig(port=0)) as node:
        url = node.node.operations_url
        assert url is not None
        status, text, _ = run("node", "status", "--url", url)
        assert status == 0, text
        assert "✔ 正常 well" in text
        assert "本机 this node" in text
        status, text, _ = run("node", "status", "--url", url, "--json")
        assert json.loads(text)["facts"]["block"]["height"] >= 0
