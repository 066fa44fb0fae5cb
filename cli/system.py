"""Where a system started by ``shelian up`` is: its ports, its data directory, its run file.

Ports are offsets from one base, so that several systems can stand side by side on one machine.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import httpx

from node.chain.errors import ShelianError

DEFAULT_PORT_BASE: Final = 8500
AGENCIES: Final = ("court", "procuratorate", "police", "justice")
OFFSETS: Final[dict[str, int]] = {
    "portal": 0,
    "node": 45,
    "identity": 100,
    "points": 102,
    "court": 111,
    "procuratorate": 112,
    "police": 113,
    "justice": 114,
    "signer": 120,
}


class SystemFault(ShelianError):
    """A system could not be found, started or stopped."""


def url_of(name: str, port_base: int) -> str:
    """Browsers need ``localhost``: passkeys do not work on 127.0.0.1."""
    return f"http://localhost:{port_base + OFFSETS[name]}"


@dataclass(frozen=True, slots=True)
class RunFile:
    """``DATA/run.json``: a running system's address card.

    Attributes:
        data: absolute path of the data directory.
        port_base: see :data:`OFFSETS`.
        pid: of the supervising ``shelian up``.
        purpose: ``demo`` or ``production``.
    """

    data: str
    port_base: int
    pid: int
    purpose: str

    def save(self) -> None:
        path = Path(self.data) / "run.json"
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(self), indent=1))
        temporary.replace(path)

    @classmethod
    def load(cls, data: Path) -> RunFile:
        """Raises: SystemFault ``system.not_running``."""
        try:
            return cls(**json.loads((data / "run.json").read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise SystemFault(
                "system.not_running",
                f"no running system in {data}",
                got=str(error),
                expected="a run.json written by shelian up",
            ) from None

    def alive(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


def find(data: Path | None, port_base: int | None) -> RunFile:
    """The running system, by its data directory or by its port base (asked from its portal).

    Raises: SystemFault ``system.not_running``.
    """
    if data is not None:
        run = RunFile.load(data.resolve())
        if not run.alive():
            raise SystemFault(
                "system.not_running",
                f"the system of {data} has stopped",
                got=f"pid {run.pid} is gone",
                expected="a running shelian up",
            )
        return run
    base = port_base if port_base is not None else DEFAULT_PORT_BASE
    try:
        response = httpx.get(url_of("portal", base) + "/api/system", timeout=5)
        response.raise_for_status()
        return RunFile(**response.json())
    except (httpx.HTTPError, ValueError, TypeError) as error:
        raise SystemFault(
            "system.not_running",
            f"nothing answers at {url_of('portal', base)}",
            got=str(error),
            expected="a running shelian up",
        ) from None
