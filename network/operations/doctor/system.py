"""What the operating system says: limits, memory, clock, the unit; and whether CometBFT's program fits."""

from __future__ import annotations

import resource
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from network.comet.binary import find_binary
from network.comet.faults import CometFault


def cometbft_fault() -> tuple[str, str]:
    """Code and message of why its program cannot be used; empty: it can."""
    try:
        find_binary()
    except CometFault as fault:
        return fault.code, str(fault)
    return "", ""


def own_limit(kind: int) -> int:
    """This process's soft limit of a kind (`resource.RLIMIT_…`); 0: none."""
    soft, _ = resource.getrlimit(kind)
    return 0 if soft == resource.RLIM_INFINITY else soft


def memory_available() -> int:
    """Bytes that programs may still take without swapping; 0: not known."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0


def is_synchronised() -> bool | None:
    """Whether the system's clock follows a time service; None where nobody tells."""
    said = _systemd("timedatectl", "show", "--property", "NTPSynchronized", "--value")
    return {"yes": True, "no": False}.get(said)


def unit_state() -> str:
    """Of shelian-node.service; empty where there is no systemd."""
    return _systemd("systemctl", "is-enabled", "shelian-node.service")


def _systemd(*command: str) -> str:
    if not Path("/run/systemd/system").is_dir() or shutil.which(command[0]) is None:
        return ""
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return said.stdout.strip()
