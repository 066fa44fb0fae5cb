"""Addresses and ports of this machine: who listens, who can be reached. Linux's /proc/net."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_LISTEN: Final = "0A"


def is_loopback(host: str) -> bool:
    """Of a name or an address, an IPv6 one with or without brackets."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def split_host(address: str) -> tuple[str, int]:
    """``host:port`` -> (host, port), brackets taken off. ValueError."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def can_bind(address: str) -> bool:
    """Whether a program could listen there now."""
    host, port = split_host(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def listener_of(port: int, proc: Path = _PROC) -> int | None:
    """The process that listens on this TCP port; None if there is none, or it is hidden from this user."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (proc / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{fields[9]}]")
    return next((pid for pid in process_ids(proc) if _has_open(pid, inodes, proc)), None) if inodes else None


def process_ids(proc: Path = _PROC) -> Iterator[int]:
    for entry in proc.iterdir():
        if entry.name.isdecimal():
            yield int(entry.name)


def opener_of(path: Path, proc: Path = _PROC) -> int | None:
    """The process that has this file open; None as for `listener_of`."""
    wanted = {os.fspath(path)}
    return next(
        (pid for pid in process_ids(proc) if pid != os.getpid() and _has_open(pid, wanted, proc)), None
    )


def program_of(pid: int, proc: Path = _PROC) -> str:
    """What the kernel calls the process; empty if it has gone."""
    try:
        return (proc / str(pid) / "comm").read_text().strip()
    except OSError:
        return ""


def _has_open(pid: int, names: set[str], proc: Path) -> bool:
    with suppress(OSError):
        for descriptor in (proc / str(pid) / "fd").iterdir():
            with suppress(OSError):
                if os.readlink(descriptor) in names:
                    return True
    return False
