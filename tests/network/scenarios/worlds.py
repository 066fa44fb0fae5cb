"""Namespaces of Linux: a world of its own for a scenario, and in it a network of its own for each machine.

`enter_world` starts a program in new namespaces for processes, mounts and network. Whatever happens to it,
the kernel ends every process in it, and with them go all interfaces and mounts: nothing has to be cleaned up,
not even after a run that was killed. It ends by itself when the one who started it is gone, however that was.

In a world, `Place` is a network namespace with one Ethernet interface, whose other end is a file descriptor
(TAP). `with place:` moves the calling thread there: sockets opened and programs started within belong to it.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000
_HERE = "/proc/thread-self/ns/net"

MACHINES = 9
"""Addresses that every machine knows; more of them than any scenario has."""


@cache
def why_no_worlds() -> str | None:
    """None where this machine allows what is needed, else a line that names what is missing."""
    for program in ("unshare", "ip", "mount"):
        if shutil.which(program) is None:
            return f"scenarios need the program `{program}` (packages util-linux, iproute2)"
    try:
        tried = subprocess.run(
            [*_unshare(), sys.executable, "-m", "tests.network.scenarios.worlds"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "scenarios need namespaces (unshare): it hangs"
    if tried.returncode != 0:
        words = (tried.stderr.strip() or tried.stdout.strip() or "no word").splitlines()[-1]
        return f"scenarios need namespaces for network, mounts and processes, and /dev/net/tun: {words}"
    return None


def enter_world(arguments: Sequence[str], output: int | None = None) -> subprocess.Popen[bytes]:
    """`python -m …` in a world of its own. It should call `end_with_parent` first."""
    return subprocess.Popen(
        [*_unshare(), sys.executable, "-m", *arguments], stdin=subprocess.PIPE, stdout=output, stderr=output
    )


def _unshare() -> list[str]:
    private = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return ["unshare", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), *private]


def end_with_parent() -> None:
    """End this world when the pipe on stdin closes: its other end is held by who made the world."""

    def watch() -> None:
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def address_of(number: int) -> str:
    return f"10.77.0.{number}"


def _hardware_address(number: int) -> str:
    return f"02:00:00:00:00:{number:02x}"


class Place:
    """A machine's network. Threads may be in it at the same time; a thread enters it once at a time."""

    def __init__(self, number: int) -> None:
        """`number`: 1 to `MACHINES`; its addresses follow from it."""
        self.number = number
        self.address = address_of(number)
        self._home = os.open(_HERE, os.O_RDONLY)
        _call(_libc.unshare, _CLONE_NEWNET)
        try:
            self._inside = os.open(_HERE, os.O_RDONLY)
            self.tap = _open_tap("eth0")
            lines = ["link set lo up", "link set eth0 addrgenmode none"]
            lines.append(f"link set eth0 address {_hardware_address(number)}")
            lines += [f"addr add {self.address}/24 dev eth0", "link set eth0 up"]
            # Neighbours are known for good: whom a partition hides is silent, as somebody far away is.
            lines += [
                f"neigh replace {address_of(other)} lladdr {_hardware_address(other)} dev eth0 nud permanent"
                for other in range(1, MACHINES + 1)
                if other != number
            ]
            subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)
        finally:
            _call(_libc.setns, self._home, _CLONE_NEWNET)

    def __enter__(self) -> Place:
        _call(_libc.setns, self._inside, _CLONE_NEWNET)
        return self

    def __exit__(self, *_: object) -> None:
        _call(_libc.setns, self._home, _CLONE_NEWNET)


def small_disk(path: Path, megabytes: int) -> None:
    """A file system of its own there, in memory, of that size; in this world only."""
    path.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "scenario", path], check=True)


def _open_tap(name: str) -> int:
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI))
    return descriptor


def _call(function: object, *arguments: int) -> None:
    if function(*arguments) != 0:  # type: ignore[operator]
        raise OSError(ctypes.get_errno(), f"namespaces: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    # Everything that a scenario needs, tried once.
    with Place(1), tempfile.TemporaryDirectory() as directory:
        # Never on a directory that others use: run outside a world by mistake, it would be everybody's.
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "scenario", directory], check=True)
        subprocess.run(["umount", directory], check=True)
