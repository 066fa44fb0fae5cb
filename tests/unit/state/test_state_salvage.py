"""Reading a damaged database: what was written last is what is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.state.log_file import encode_log
from node.state.salvage import Salvage


def batch(sequence: int, key: bytes, value: bytes) -> bytes:
    """A record of LevelDB's log: one row put (leveldb, db/write_batch.cc)."""
    row = b"\x01" + bytes((len(key),)) + key + bytes((len(value),)) + value
    return sequence.to_bytes(8, "little") + (1).to_bytes(4, "little") + row


LOGS = {
    "000003.log": encode_log([batch(1, b"row", b"first"), batch(2, b"other", b"kept")]),
    "000005.log": encode_log([batch(3, b"row", b"second")]),
    "1000000.log": encode_log([batch(4, b"row", b"last")]),
}


@pytest.mark.parametrize("names", [sorted(LOGS), sorted(LOGS, reverse=True)], ids=["up", "down"])
def test_of_several_logs_the_newest_is_believed_in_whatever_order_they_lie(
    tmp_path: Path, names: list[str]
) -> None:
    """By the letter of POSIX a manifest can name a table that is gone: then all logs are still there, and
    LevelDB's own repair would believe the one that the directory names last.
    """
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "CURRENT").write_bytes(b"MANIFEST-000004\n")
    for name in names:
        (damaged / name).write_bytes(LOGS[name])
    with Salvage(damaged, tmp_path / "scratch") as salvage:
        assert salvage.opened is not None
        assert salvage.get_raw(b"row") == b"last"
        assert salvage.get_raw(b"other") == b"kept"
    assert {name: (damaged / name).read_bytes() for name in names} == {name: LOGS[name] for name in names}
