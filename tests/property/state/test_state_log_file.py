"""LevelDB's log as the salvage reads it, against logs that LevelDB wrote."""

from __future__ import annotations

from pathlib import Path

import plyvel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.state.log_file import encode_log, sound_records

BLOCK = 32_768
WRITES = [1, 300, 40_000, 7, 32_700, 32_754, 32_761, 32_768, 100_000, 12]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """One record for each write; some fill a block to within a header, some span several."""
    directory = tmp_path_factory.mktemp("leveldb")
    database = plyvel.DB(str(directory), create_if_missing=True)
    for number, size in enumerate(WRITES):
        database.put(b"key%d" % number, bytes([number]) * size)
    (path,) = directory.glob("*.log")
    written = path.read_bytes()
    database.close()
    return written


def test_every_record_that_leveldb_wrote_is_read_and_written_as_it_was(log: bytes) -> None:
    records = list(sound_records(log))
    assert [len(record) > size for record, size in zip(records, WRITES, strict=True)] == [True] * len(WRITES)
    assert encode_log(records) == log


def test_leveldb_opens_a_log_that_was_written_here(log: bytes, tmp_path: Path) -> None:
    plyvel.DB(str(tmp_path), create_if_missing=True).close()
    (path,) = tmp_path.glob("*.log")
    records = list(sound_records(log))
    path.write_bytes(encode_log([*records[:4], *records[5:]]))
    database = plyvel.DB(str(tmp_path), paranoid_checks=True)
    assert [database.get(b"key%d" % number) for number in range(len(WRITES))] == [
        None if number == 4 else bytes([number]) * size for number, size in enumerate(WRITES)
    ]
    database.close()


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_changed_byte_costs_records_and_changes_none(log: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(log) - 1))
    changed = bytearray(log)
    changed[at] ^= data.draw(st.integers(1, 255))
    records, left = list(sound_records(log)), list(sound_records(bytes(changed)))
    assert all(record in records for record in left)
    block_start = at - at % BLOCK
    assert left[: len(list(sound_records(log[:block_start])))] == list(sound_records(log[:block_start]))


@given(end=st.integers(0, sum(WRITES)))
@settings(max_examples=100, deadline=None)
def test_a_log_cut_anywhere_has_the_records_that_were_finished(log: bytes, end: int) -> None:
    records, left = list(sound_records(log)), list(sound_records(log[:end]))
    assert left == records[: len(left)]


@given(st.lists(st.binary(max_size=70_000), max_size=8))
@settings(max_examples=60, deadline=None)
def test_what_was_written_is_read(records: list[bytes]) -> None:
    assert list(sound_records(encode_log(records))) == records
