"""What the figures were made on: without it they mean nothing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

_PACKAGES = (
    "py-evm", "rusty-rlp", "safe-pysha3", "blake2b-py", "coincurve", "cryptography", "plyvel", "uvicorn",
    "uvloop", "httptools", "orjson", "pynacl",
)  # fmt: skip


def machine_facts() -> dict[str, Any]:
    """JSON-safe; nothing that names the machine or who uses it."""
    meminfo = Path("/proc/meminfo").read_text()
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    memory = re.search(r"^MemTotal:\s+(\d+) kB", meminfo)
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": model[1] if model else platform.machine(),
        "memory_gib": round(int(memory[1]) / 2**20, 1) if memory else None,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "commit": _commit(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def _commit() -> str:
    """The commit that was measured; with `+` when the tree has other changes."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        named = subprocess.run(
            [*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, check=True, text=True
        )
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            check=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return named.stdout.strip() + ("+" if changed.stdout.strip() else "")
