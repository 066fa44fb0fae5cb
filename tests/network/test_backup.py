"""Backups of a node that runs: whole, of one height, verified; restored, the node goes on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from network import backing_up
from network.backing_up import backup_command
from network.backup import BackupRefused, check_backup, load_backup, make_backup, verify_backup
from network.catching_up import catch_up
from network.control import Control, ControlRefused, ask, control_socket
from network.history_source import SourceUnavailable
from network.operations.saved import last_backup
from network.restoring import restore_backup
from node.chain.errors import LedgerError, ShelianError
from node.chain.genesis import encode_genesis
from node.ledger import Ledger
from node.ledger.check import check_ledger
from node.ledger.past import PastBlock
from node.state.copying import digest_rows
from node.state.database import Database
from tests.helpers.history import begin_at, make_history, served
from tests.helpers.ledger import Chain, mint
from tests.simulation.ledger.test_snapshot_killed import is_killed

pytestmark = pytest.mark.slow


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    """A data directory `tmp_path/data` whose ledger is open, as a running node has it."""
    made, _ = make_history(tmp_path / "making")
    made.close()
    node = tmp_path / "data" / "node"
    node.mkdir(parents=True)
    made.path.rename(node / "ledger")
    chain = Chain.open(node / "ledger")
    (tmp_path / "data" / "genesis.json").write_bytes(encode_genesis(chain.ledger.genesis))
    yield chain
    chain.close()


def backup(chain: Chain, to: Path) -> Path:
    with chain.ledger.snapshot() as snapshot:
        make_backup(snapshot, chain.ledger.genesis, chain.path.parents[1], to)
    return to


def rows_of(path: Path) -> bytes:
    with Database.open(path) as database, database.snapshot() as reads:
        return digest_rows(reads).sha256


@contextlib.contextmanager
def listening(chain: Chain, **commands: Any) -> Iterator[Path]:
    """The control socket of a node whose ledger this is."""
    data = chain.path.parents[1]
    path = control_socket(data / "node")
    control: Control | None = None
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run_in_loop(coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, loop).result(30)

    async def make() -> None:
        nonlocal control
        control = Control(path, {"backup": backup_command(lambda: chain.ledger, data), **commands})
        await control.start()

    run_in_loop(make())
    try:
        yield path
    finally:
        assert control is not None
        run_in_loop(control.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def run(*arguments: str | Path) -> dict[str, Any]:
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"], catch_exceptions=True)
    if isinstance(done.exception, ShelianError):
        raise done.exception
    assert done.exit_code == 0, done.output
    # The log of a node that runs in this process comes before it.
    answer: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{\n") :])
    return answer


# ---- made


def test_blocks_go_on_and_the_backup_is_of_one_height(chain: Chain, tmp_path: Path) -> None:
    began = chain.ledger.tip
    batches = 0

    def between(done: int) -> None:
        nonlocal batches
        batches += 1
        chain.add_block([chain.sign(chain.clerk, [mint(b"\x55" * 20, 1)])])

    with chain.ledger.snapshot() as snapshot:
        made = make_backup(snapshot, chain.ledger.genesis, tmp_path / "data", tmp_path / "b", between)
    assert batches
    assert chain.ledger.tip.height == began.height + batches
    assert (made.height, made.app_hash) == (began.height, began.app_hash)
    assert verify_backup(tmp_path / "b") == made == load_backup(tmp_path / "b")
    report = check_backup(tmp_path / "b")
    assert (report.findings, report.height) == ([], began.height)


def test_what_a_backup_holds_and_what_never(chain: Chain, tmp_path: Path) -> None:
    comet = tmp_path / "data" / "node" / "comet"
    for name in (
        "settings.json",
        "config/node_key.json",
        "config/priv_validator_key.json",
        "data/priv_validator_state.json",
    ):
        (comet / name).parent.mkdir(parents=True, exist_ok=True)
        (comet / name).write_text("secret")
    (tmp_path / "data" / "node" / "validator.key.json").write_text("secret")
    (tmp_path / "data" / "genesis.ceremony.json").write_text("{}")
    made = backup(chain, tmp_path / "b")
    files = {str(one.relative_to(made)) for one in made.rglob("*") if one.is_file()}
    assert {one for one in files if not one.startswith("ledger/")} == {
        "backup.json",
        "backup.sha256",
        "genesis.json",
        "genesis.ceremony.json",
        "comet/settings.json",
        "comet/node_key.json",
    }
    assert made.stat().st_mode & 0o077 == 0
    assert (made / "comet/node_key.json").stat().st_mode & 0o077 == 0


def test_the_snapshot_begun_with_comes_along_while_blocks_are_missing(chain: Chain, tmp_path: Path) -> None:
    source, saved = make_history(tmp_path / "other")
    with begin_at(saved, source.ledger, tmp_path / "joined" / "node") as ledger:
        (tmp_path / "joined" / "genesis.json").write_bytes(encode_genesis(ledger.genesis))
        with ledger.snapshot() as snapshot:
            made = make_backup(snapshot, ledger.genesis, tmp_path / "joined", tmp_path / "b")
    source.close()
    assert made.first_block == saved.manifest.height + 1
    verify_backup(tmp_path / "b")
    report = check_backup(tmp_path / "b")
    assert report.ok
    assert len(report.unverified) == 1, "executed again from the snapshot"


def test_nothing_is_overwritten(chain: Chain, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with pytest.raises(BackupRefused, match=r"backup\.exists"):
        backup(chain, tmp_path / "b")


def test_a_full_disk_leaves_nothing(chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise LedgerError("state.disk_full", "the disk is full")

    monkeypatch.setattr(Database, "write", full)
    with pytest.raises(LedgerError, match=r"state\.disk_full"):
        backup(chain, tmp_path / "b")
    assert not list(tmp_path.glob("b*"))


@pytest.mark.parametrize("seed", range(2))
def test_killed_anywhere_it_is_not_there_or_whole(chain: Chain, tmp_path: Path, seed: int) -> None:
    chain.close()
    ledger, to = chain.path, tmp_path / "b"

    def make() -> None:
        with Ledger.open(ledger) as opened, opened.snapshot() as snapshot:
            make_backup(snapshot, opened.genesis, tmp_path / "data", to)

    deaths, after = 0, 1 + seed
    while is_killed(after, make):
        deaths += 1
        after += 5
        if to.exists():
            break
        with pytest.raises(BackupRefused, match=r"backup\.missing"):
            load_backup(to)
    assert deaths > 4
    verify_backup(to)
    assert rows_of(ledger) == load_backup(to).rows.sha256


# ---- verified


def test_each_changed_file_is_found(chain: Chain, tmp_path: Path) -> None:
    made = backup(chain, tmp_path / "b")
    codes: set[str] = set()
    for file in sorted(made.rglob("*")):
        if not file.is_file() or file.name in ("LOCK", "LOG", "LOG.old") or not (raw := file.read_bytes()):
            continue
        for at in {0, len(raw) // 2, len(raw) - 1}:
            file.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
            with pytest.raises(ShelianError) as refusal:
                verify_backup(made)
            codes.add(refusal.value.code)
        file.write_bytes(raw)
    verify_backup(made)
    assert codes >= {"backup.hash", "backup.file", "backup.rows"}


def test_verifying_changes_nothing_in_the_directory(chain: Chain, tmp_path: Path) -> None:
    made = backup(chain, tmp_path / "b")

    def files() -> dict[str, bytes]:
        return {str(one): one.read_bytes() for one in made.rglob("*") if one.is_file()}

    before = files()
    verify_backup(made)
    check_backup(made)
    assert files() == before


# ---- asked for


def test_a_running_node_is_asked_over_its_socket(chain: Chain, tmp_path: Path) -> None:
    with listening(chain) as path:
        assert path.stat().st_mode & 0o777 == 0o600
        made = run("node", "backup", "--data", tmp_path / "data", "--to", tmp_path / "b")
    assert made["height"] == chain.ledger.tip.height
    noted = last_backup(tmp_path / "data" / "node", time.time_ns())
    assert noted is not None, "the node's status tells when"
    assert noted.height == made["height"]
    answer = run("node", "backup", "--verify", tmp_path / "b", "--full")
    assert (answer["ok"], answer["findings"], answer["executed"]) == (True, [], True)
    assert not path.exists()


def test_a_stopped_node_is_copied_under_its_lock(chain: Chain, tmp_path: Path) -> None:
    with pytest.raises(ShelianError, match=r"backup\.no_control"):
        run("node", "backup", "--data", tmp_path / "data", "--to", tmp_path / "b")
    chain.close()
    run("node", "backup", "--data", tmp_path / "data", "--to", tmp_path / "b")
    verify_backup(tmp_path / "b")


def test_one_command_at_a_time_and_nonsense_is_refused(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, go = threading.Event(), threading.Event()

    def slow(request: Any, tell: Any) -> dict[str, Any]:
        tell({"bytes": 0})
        started.set()
        assert go.wait(30)
        return {}

    with listening(chain, slow=slow) as path:
        first = ask(path, {"command": "slow"})
        assert next(first) == {"progress": {"bytes": 0}}
        assert started.wait(30)
        with pytest.raises(ControlRefused, match=r"control\.busy"):
            list(ask(path, {"command": "backup", "to": str(tmp_path / "b")}))
        go.set()
        assert list(first) == [{"result": {}}]
        with pytest.raises(ControlRefused, match=r"control\.unknown"):
            list(ask(path, {"command": "shutdown"}))
        with pytest.raises(ControlRefused, match=r"control\.malformed"):
            list(ask(path, {"command": "backup", "to": "relative"}))
        with pytest.raises(ControlRefused, match=r"backup\.exists"):
            list(ask(path, {"command": "backup", "to": str(tmp_path)}))
    with pytest.raises(ControlRefused, match=r"control\.no_node"):
        list(ask(path, {"command": "backup"}))


def test_stopping_the_node_ends_a_backup(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backing_up, "REST", 0.0)

    def endless(request: Any, tell: Any) -> dict[str, Any]:
        while True:
            tell({"bytes": 0})
            time.sleep(0.01)

    with listening(chain, endless=endless) as path:
        lines = ask(path, {"command": "endless"})
        next(lines)
    with pytest.raises(ControlRefused, match=r"control\.(stopping|cut_off)"):
        list(lines)


def test_a_long_path_has_its_socket_elsewhere(tmp_path: Path) -> None:
    assert control_socket(tmp_path / "node").parent == tmp_path / "node"
    long = tmp_path / ("x" * 120)
    assert len(str(control_socket(long))) < 100
    assert control_socket(long) == control_socket(long)
    assert control_socket(long) != control_socket(tmp_path / ("y" * 120))


# ---- restored


def test_restored_it_is_the_same_ledger_and_goes_on(chain: Chain, tmp_path: Path) -> None:
    made = backup(chain, tmp_path / "b")
    tip = chain.ledger.tip
    answer = run("node", "restore", "--backup", made, "--data", tmp_path / "new")
    assert (answer["height"], answer["validator_key"]) == (tip.height, None)
    restored = Chain.open(tmp_path / "new" / "node" / "ledger")
    assert restored.ledger.tip == tip
    for one in (chain, restored):
        one.add_block([one.sign(one.clerk, [mint(b"\x66" * 20, 4)])])
    assert restored.ledger.tip == chain.ledger.tip
    restored.close()
    report = check_ledger(tmp_path / "new" / "node" / "ledger")
    assert (report.findings, report.unverified) == ([], [])
    with pytest.raises(BackupRefused, match=r"backup\.exists"):
        restore_backup(made, tmp_path / "new", (), (), lambda said: None)
    shutil.rmtree(made / "ledger")
    with pytest.raises(LedgerError, match=r"state\.missing"):
        restore_backup(made, tmp_path / "other", (), (), lambda said: None)
    assert not list(tmp_path.glob("other*"))


class Neighbour:
    """A node of the network, that goes on after the backup."""

    def __init__(self, ledger: Ledger) -> None:
        self.url = "http://neighbour"
        self._ledger = ledger

    def fetch(self, start: int, count: int = 256) -> list[PastBlock]:
        try:
            return served(self._ledger, start, min(count, 256))
        except LedgerError as error:
            raise SourceUnavailable("history.not_answered", error.code, self.url) from error


class Liar(Neighbour):
    def fetch(self, start: int, count: int = 256) -> list[PastBlock]:
        blocks = super().fetch(start, count)
        (other, *_) = served(self._ledger, 2, 1)
        return [*blocks[:-2], other, *blocks[-1:]] if len(blocks) > 1 else blocks


@pytest.mark.parametrize("at_once", [1, 3, 50])
def test_a_restored_ledger_catches_up_by_what_validators_signed(
    chain: Chain, tmp_path: Path, at_once: int
) -> None:
    made = backup(chain, tmp_path / "b")
    for number in range(7):
        chain.add_block([chain.sign(chain.clerk, [mint(bytes([number]) * 20, 2)])] if number % 3 else [])
    restore_backup(made, tmp_path / "new", (), (), lambda said: None)
    path = tmp_path / "new" / "node" / "ledger"
    said: list[str] = []
    with Ledger.open(path) as ledger:
        before = ledger.tip.height
        count = catch_up(ledger, [Liar(chain.ledger), Neighbour(chain.ledger)], said.append, at_once)
        # The last block's commit is not in a block yet.
        assert ledger.tip.height == chain.ledger.tip.height - 1 == before + count
        assert len(said) == 1
        assert "history." in said[0]
    report = check_ledger(path, headers_come_later=False)
    assert (report.findings, report.unverified) == ([], [])
