"""Opening, pinning, writing: what an operator and a reader can rely on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import plyvel
import pytest

from node.chain.errors import LedgerError
from node.state import tables
from node.state.database import STEPS, Batch, Database
from node.state.tables import ACCOUNTS, BLOCKS, META, TRANSACTIONS, encode_height, encode_place

ROOT = Path(__file__).resolve().parents[3]


def run_python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


def refused(path: Path, code: str) -> LedgerError:
    with pytest.raises(LedgerError) as caught:
        Database.open(path)
    assert caught.value.code == code
    return caught.value


def filled(path: Path, heights: int = 20) -> Path:
    """A closed database of one batch a height: a block row and three transactions."""
    with Database.create(path) as database:
        tip = Batch()
        tip.put(META, b"tip", b"0")
        database.write(tip)
        for height in range(1, heights + 1):
            batch = Batch()
            batch.put(BLOCKS, height, b"block %d" % height)
            batch.put(META, b"tip", b"%d" % height)
            for index in range(3):
                batch.put(TRANSACTIONS, (height, index), os.urandom(200))
            database.write(batch)
    return path


def write_all_over(database: Database) -> None:
    """Rows between those of `filled`, until LevelDB has had to merge."""
    for number in range(3_000):
        batch = Batch()
        batch.put(TRANSACTIONS, (number % 200, 9), os.urandom(2_000))
        database.write(batch, sync=False)


class TestOpening:
    def test_no_directory_and_an_empty_directory_are_missing(self, tmp_path: Path) -> None:
        assert refused(tmp_path / "nowhere", "state.missing").got == str(tmp_path / "nowhere")
        refused(tmp_path, "state.missing")
        assert list(tmp_path.iterdir()) == []

    def test_create_makes_the_directories_above(self, tmp_path: Path) -> None:
        Database.create(tmp_path / "a" / "b").close()
        Database.open(tmp_path / "a" / "b").close()

    def test_a_ledger_is_never_created_over_another(self, tmp_path: Path) -> None:
        filled(tmp_path / "ledger")
        with pytest.raises(LedgerError, match=r"state\.exists"):
            Database.create(tmp_path / "ledger")
        Database.open(tmp_path / "ledger").close()

    def test_an_interrupted_creation_is_taken_up_again(self, tmp_path: Path) -> None:
        Database.create(tmp_path / "ledger").close()
        Database.create(tmp_path / "ledger").close()

    def test_a_path_that_is_a_file_is_unreadable(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(LedgerError, match=r"state\.unreadable"):
            Database.create(tmp_path / "file")

    def test_a_second_process_is_refused_and_told_the_path(self, tmp_path: Path) -> None:
        program = (
            "import sys\nfrom node.state.database import Database\n"
            "from node.chain.errors import LedgerError\n"
            "try:\n    Database.open(sys.argv[1])\n"
            "except LedgerError as error:\n    print(error.code, error.got)\n"
        )
        path = filled(tmp_path / "ledger")
        with Database.open(path):
            assert run_python(program, str(path)).stdout.strip() == f"state.locked {path}"
            assert refused(path, "state.locked").got == str(path)
        assert run_python(program, str(path)).stdout == ""

    def test_another_format_version_is_refused(self, tmp_path: Path) -> None:
        path = filled(tmp_path / "ledger")
        raw = plyvel.DB(str(path))
        raw.put(META.key(b"format"), (tables.FORMAT_VERSION + 1).to_bytes(4, "big"))
        raw.close()
        error = refused(path, "state.format")
        assert (error.got, error.expected) == (tables.FORMAT_VERSION + 1, tables.FORMAT_VERSION)

    def test_a_leveldb_that_is_no_ledger_is_refused(self, tmp_path: Path) -> None:
        plyvel.DB(str(tmp_path / "other"), create_if_missing=True).close()
        refused(tmp_path / "other", "state.format")

    def test_a_destroyed_manifest_is_corrupt(self, tmp_path: Path) -> None:
        path = filled(tmp_path / "ledger")
        manifest = next(path.glob("MANIFEST-*"))
        manifest.write_bytes(os.urandom(manifest.stat().st_size))
        refused(path, "state.corrupt")

    def test_a_directory_that_lost_current_is_corrupt_and_nothing_is_created_over_it(
        self, tmp_path: Path
    ) -> None:
        path = filled(tmp_path / "ledger")
        (path / "CURRENT").unlink()
        before = {file.name: file.read_bytes() for file in path.iterdir()}
        refused(path, "state.corrupt")
        with pytest.raises(LedgerError, match=r"state\.corrupt"):
            Database.create(path)
        assert {file.name: file.read_bytes() for file in path.iterdir()} == before

    def test_a_creation_that_left_its_marker_is_missing_and_begun_again(self, tmp_path: Path) -> None:
        path = tmp_path / "ledger"
        Database.create(path).close()
        (path / "CREATING").touch()
        next(path.glob("MANIFEST-*")).write_bytes(b"half")
        refused(path, "state.missing")
        Database.create(path).close()
        Database.open(path).close()
        assert not (path / "CREATING").exists()

    def test_a_flipped_bit_never_gets_a_right_checksum(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """LevelDB merges tables in the background, and would copy what it reads there unseen."""
        path = filled(tmp_path / "ledger", heights=200)
        Database.open(path).close()  # from the log into a table
        table = max(path.glob("*.ldb"), key=lambda file: file.stat().st_size)
        raw = bytearray(table.read_bytes())
        raw[len(raw) // 2] ^= 1
        table.write_bytes(raw)
        monkeypatch.setattr("node.state.database._WRITE_BUFFER", 1 << 16)
        with Database.open(path) as database:
            with pytest.raises(LedgerError, match=r"state\.corrupt"):
                write_all_over(database)
            with database.snapshot() as snapshot, pytest.raises(LedgerError, match=r"state\.corrupt"):
                list(snapshot.scan(TRANSACTIONS))

    def test_a_missing_table_file_is_corrupt(self, tmp_path: Path) -> None:
        path = filled(tmp_path / "ledger")
        Database.open(path).close()
        for table in path.glob("*.ldb"):
            table.unlink()
        refused(path, "state.corrupt")


class TestReading:
    def test_a_snapshot_stays_as_it_was_while_writes_go_on(self, tmp_path: Path) -> None:
        with Database.create(tmp_path / "ledger") as database:
            batch = Batch()
            for n in range(100):
                batch.put(ACCOUNTS, bytes([n]) * 20, b"old")
            database.write(batch)
            with database.snapshot() as pinned:
                rows = pinned.scan(ACCOUNTS)
                next(rows)
                for n in range(100):
                    batch.put(ACCOUNTS, bytes([n]) * 20, b"new")
                batch.put(ACCOUNTS, b"\xee" * 20, b"new")
                batch.delete(ACCOUNTS, bytes([7]) * 20)
                database.write(batch)
                assert [value for _, value in rows] == [b"old"] * 99
                assert pinned.get(ACCOUNTS, bytes([7]) * 20) == b"old"
                assert pinned.get(ACCOUNTS, b"\xee" * 20) is None
            with database.snapshot() as fresh:
                assert len(list(fresh.scan(ACCOUNTS))) == 100
                assert fresh.get(ACCOUNTS, bytes([7]) * 20) is None

    def test_scans_keep_to_their_table_prefix_start_and_limit(self, tmp_path: Path) -> None:
        with Database.create(tmp_path / "ledger") as database:
            batch = Batch()
            for height in (1, 2, 255, 256):
                for index in range(3):
                    batch.put(TRANSACTIONS, (height, index), b"%d.%d" % (height, index))
            database.write(batch)
            with database.snapshot() as snapshot:

                def places(**options: object) -> list[tuple[int, int]]:
                    return [place for place, _ in snapshot.scan(TRANSACTIONS, **options)]  # type: ignore[arg-type]

                everything = [(height, index) for height in (1, 2, 255, 256) for index in range(3)]
                assert places() == everything
                assert places(reverse=True) == everything[::-1]
                assert places(prefix=encode_height(255)) == [(255, 0), (255, 1), (255, 2)]
                assert places(prefix=encode_height(255), reverse=True) == [(255, 2), (255, 1), (255, 0)]
                assert places(prefix=encode_height(3)) == []
                assert places(start=encode_place((2, 1)), limit=3) == [(2, 1), (2, 2), (255, 0)]
                assert places(start=encode_place((2, 1)), reverse=True) == [
                    (2, 1),
                    (2, 0),
                    (1, 2),
                    (1, 1),
                    (1, 0),
                ]
                assert places(prefix=encode_height(2), start=encode_place((9, 0)), reverse=True, limit=1) == [
                    (2, 2)
                ]
                assert places(prefix=encode_height(2), start=encode_place((1, 0))) == [(2, 0), (2, 1), (2, 2)]
                assert places(limit=0) == []

    def test_a_closed_database_says_so(self, tmp_path: Path) -> None:
        database = Database.open(filled(tmp_path / "ledger"))
        snapshot = database.snapshot()
        database.close()
        database.close()
        for attempt in (
            lambda: snapshot.get(META, b"tip"),
            lambda: list(snapshot.scan(META)),
            lambda: snapshot.key_cursor(b"m"),
            database.snapshot,
            lambda: database.write(Batch()),
        ):
            with pytest.raises(LedgerError) as caught:
                attempt()
            assert caught.value.code == "state.closed"
        snapshot.close()

    def test_a_flipped_bit_in_a_table_file_is_found_when_read(self, tmp_path: Path) -> None:
        path = filled(tmp_path / "ledger", heights=60)
        Database.open(path).close()  # recovery turns the log into a table file
        table = max(path.glob("*.ldb"), key=lambda file: file.stat().st_size)
        content = bytearray(table.read_bytes())
        content[len(content) // 2] ^= 0x10
        table.write_bytes(content)
        with (
            pytest.raises(LedgerError) as caught,
            Database.open(path) as database,
            database.snapshot() as snapshot,
        ):
            list(snapshot.scan(TRANSACTIONS))
        assert caught.value.code == "state.corrupt"


class TestWriting:
    def test_the_last_change_of_a_key_counts(self, tmp_path: Path) -> None:
        with Database.create(tmp_path / "ledger") as database:
            batch = Batch()
            batch.put(META, b"a", b"1")
            batch.delete(META, b"a")
            batch.delete(META, b"b")
            batch.put(META, b"b", b"2")
            assert len(batch) == 2
            database.write(batch)
            with database.snapshot() as snapshot:
                assert snapshot.get(META, b"a") is None
                assert snapshot.get(META, b"b") == b"2"

    def test_a_batch_that_cannot_be_encoded_writes_nothing(self, tmp_path: Path) -> None:
        with Database.create(tmp_path / "ledger") as database:
            batch = Batch()
            batch.put(META, b"a", b"1")
            batch.rows[b"mb"] = "not bytes"  # type: ignore[assignment]
            with pytest.raises(TypeError):
                database.write(batch)
            with database.snapshot() as snapshot:
                assert snapshot.get(META, b"a") is None

    def test_a_full_disk_is_named_and_ends_writing_until_reopened(self, tmp_path: Path) -> None:
        """The file size limit of a process stands for the full disk: the same failing write() in LevelDB."""
        program = (
            "import os, resource, sys\n"
            "from node.chain.errors import LedgerError\n"
            "from node.state.database import Batch, Database\n"
            "from node.state.tables import BLOCKS\n"
            "database = Database.open(sys.argv[1])\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
            "height = 0\n"
            "try:\n"
            "    while True:\n"
            "        batch = Batch()\n"
            "        batch.put(BLOCKS, height + 1, os.urandom(30_000))\n"
            "        database.write(batch)\n"
            "        height += 1\n"
            "except LedgerError as error:\n"
            "    print(height, error.code)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
            "try:\n"
            "    database.write(Batch())\n"
            "except LedgerError as error:\n"
            "    print(error.code)\n"
        )
        path = tmp_path / "ledger"
        Database.create(path).close()
        done = run_python(program, str(path))
        first, second = done.stdout.splitlines()
        written = int(first.split()[0])
        assert written > 0
        assert first.split()[1] == "state.disk_full"
        assert second == "state.write_failed"
        with Database.open(path) as database, database.snapshot() as snapshot:
            assert [height for height, _ in snapshot.scan(BLOCKS)] == list(range(1, written + 1))


WRITER = """
import os, sys
from node.state.database import Batch, Database
from node.state.tables import BLOCKS, META, TRANSACTIONS
path, step, at = sys.argv[1], sys.argv[2], int(sys.argv[3])
seen = 0
def on_step(name):
    global seen
    if name == step:
        seen += 1
        if seen == at:
            os.kill(os.getpid(), 9)
database = Database.open(path, on_step)
for height in range(1, 100):
    batch = Batch()
    batch.put(BLOCKS, height, b"%d" % height)
    batch.put(META, b"tip", b"%d" % height)
    for index in range(200):
        batch.put(TRANSACTIONS, (height, index), os.urandom(100))
    database.write(batch)
    print(height, flush=True)
"""


def heights_held(path: Path) -> list[int]:
    """Heights of the blocks, each of which has to be there as a whole, with the tip at the last."""
    with Database.open(path) as database, database.snapshot() as snapshot:
        heights = [height for height, _ in snapshot.scan(BLOCKS)]
        tip = snapshot.get(META, b"tip")
        assert tip == (b"%d" % heights[-1] if heights else None)
        for height in heights:
            assert len(list(snapshot.scan(TRANSACTIONS, prefix=encode_height(height)))) == 200
        assert len(list(snapshot.scan(TRANSACTIONS))) == 200 * len(heights)
    return heights


class TestCrash:
    @pytest.mark.parametrize("step", STEPS)
    def test_kill_9_at_each_step_leaves_whole_blocks_and_all_that_were_acknowledged(
        self, tmp_path: Path, step: str
    ) -> None:
        path = tmp_path / "ledger"
        Database.create(path).close()
        done = run_python(WRITER, str(path), step, "8")
        assert done.returncode == -signal.SIGKILL
        acknowledged = [int(line) for line in done.stdout.split()]
        assert acknowledged == list(range(1, 8))
        expected = 7 if step == "write.begin" else 8
        assert heights_held(path) == list(range(1, expected + 1))

    def test_kill_9_at_any_moment_loses_nothing_acknowledged(self, tmp_path: Path) -> None:
        path = tmp_path / "ledger"
        Database.create(path).close()
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), "", "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        for _ in range(5):
            writer.stdout.readline()
        writer.kill()
        acknowledged = 5 + len(writer.stdout.read().split())
        writer.wait()
        assert acknowledged <= len(heights_held(path)) <= acknowledged + 1

    def test_a_torn_log_leaves_whole_blocks_only(self, tmp_path: Path) -> None:
        path = tmp_path / "ledger"
        Database.create(path).close()
        run_python(WRITER, str(path), "write.done", "8")
        log = max(path.glob("*.log"))
        whole = log.read_bytes()
        lengths = set()
        for cut in range(0, len(whole), len(whole) // 40):
            copy = tmp_path / f"cut{cut}"
            copy.mkdir()
            for file in path.iterdir():
                (copy / file.name).write_bytes(file.read_bytes())
            (copy / log.name).write_bytes(whole[: len(whole) - cut])
            heights = heights_held(copy)
            assert heights == list(range(1, len(heights) + 1))
            lengths.add(len(heights))
        assert lengths >= set(range(1, 9))

    def test_garbage_at_the_end_of_the_log_loses_the_last_block_only(self, tmp_path: Path) -> None:
        """What a power cut can leave: the file has its length, its last sectors were never written."""
        path = tmp_path / "ledger"
        Database.create(path).close()
        run_python(WRITER, str(path), "write.done", "8")
        log = max(path.glob("*.log"))
        content = log.read_bytes()
        log.write_bytes(content[:-5000] + bytes(5000))
        assert heights_held(path) == list(range(1, 8))

    def test_damage_in_the_middle_of_the_log_is_not_passed_over(self, tmp_path: Path) -> None:
        path = tmp_path / "ledger"
        Database.create(path).close()
        run_python(WRITER, str(path), "write.done", "8")
        log = max(path.glob("*.log"))
        content = bytearray(log.read_bytes())
        middle = len(content) // 2
        content[middle : middle + 16] = bytes(16)
        log.write_bytes(content)
        refused(path, "state.corrupt")
