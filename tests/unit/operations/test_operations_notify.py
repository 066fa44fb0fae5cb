"""What systemd hears of a node."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from network.operations.notify import ALIVE, READY, notify, watchdog_interval_s


def test_states_are_one_datagram_of_lines(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        assert notify(READY, "STATUS=height 7", environment={"NOTIFY_SOCKET": address})
        assert listener.recv(4_096) == b"READY=1\nSTATUS=height 7"


def test_a_name_that_is_no_file(tmp_path: Path) -> None:
    name = f"shelian-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name)
        assert notify(ALIVE, environment={"NOTIFY_SOCKET": "@" + name})
        assert listener.recv(4_096) == b"WATCHDOG=1"


def test_without_systemd_nothing_is_told(tmp_path: Path) -> None:
    assert not notify(READY, environment={})
    assert not notify(READY, environment={"NOTIFY_SOCKET": str(tmp_path / "nobody")})


def test_the_watchdog_is_told_twice_as_often_as_it_asks() -> None:
    assert watchdog_interval_s({"WATCHDOG_USEC": "120000000"}) == 60.0
    assert watchdog_interval_s({"WATCHDOG_USEC": "120000000", "WATCHDOG_PID": str(os.getpid())}) == 60.0
    assert watchdog_interval_s({"WATCHDOG_USEC": "120000000", "WATCHDOG_PID": "1"}) is None
    assert watchdog_interval_s({}) is None
    assert watchdog_interval_s({"WATCHDOG_USEC": "soon"}) is None
