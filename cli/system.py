"""Where a running system is: its ports, its data directory, its run file, whose node serves whom.

Ports are offsets from one base, so that several systems can stand side by side on one machine. `shelian up`
has one node for everybody, `shelian consortium up` one for each of some agencies.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
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
NODE_SUFFIX: Final = "-node"
"""Of the name of the program that is an agency's node."""
_FIRST_NODE: Final[dict[str, int]] = {
    "JSON-RPC": OFFSETS["node"],
    "p2p": 51,
    "CometBFT RPC": 61,
    "CometBFT metrics": 71,
    "operations": 81,
}
"""Offsets of a consortium's first node; each further one has the next ports."""
_NODE_OF: Final = {"identity": "justice", "points": "community"}
"""Whose node a service asks that is not named after its agency."""


class SystemFault(ShelianError):
    """A system could not be found, started or stopped."""


def url_of(name: str, port_base: int) -> str:
    """Browsers need ``localhost``: passkeys do not work on 127.0.0.1."""
    return f"http://localhost:{port_base + OFFSETS[name]}"


@dataclass(frozen=True, slots=True)
class NodePorts:
    """Where the programs of a consortium's node listen, all on this machine."""

    json_rpc: int
    p2p: int
    comet_rpc: int
    metrics: int
    operations: int

    @classmethod
    def of(cls, number: int, port_base: int) -> NodePorts:
        """`number`: of the node, from 1."""
        return cls(*(port_base + offset + number - 1 for offset in _FIRST_NODE.values()))

    @property
    def url(self) -> str:
        return f"http://localhost:{self.json_rpc}"

    @property
    def status_page(self) -> str:
        return f"http://localhost:{self.operations}"

    def named(self, node: str) -> dict[str, int]:
        """Each port under the name by which an operator knows it."""
        ports = (self.json_rpc, self.p2p, self.comet_rpc, self.metrics, self.operations)
        return {f"{node} ({what})": port for what, port in zip(_FIRST_NODE, ports, strict=True)}


def node_of(service: str, agencies: Iterable[str]) -> str:
    """Which of the agencies that have a node serves a service: its own, else justice, else the first."""
    held = tuple(agencies)
    own = _NODE_OF.get(service, service)
    return next((one for one in (own, "justice") if one in held), held[0])


def may_fail(validators: int) -> int:
    """How many of so many equal validators may stop or cheat: fewer than a third."""
    return (validators - 1) // 3


def require_free_ports(ports: Mapping[str, int]) -> None:
    """Raises SystemFault `system.port_in_use`, naming whose port it is."""
    for name, port in ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise SystemFault(
                    "system.port_in_use",
                    f"the port of {name} is taken; choose another --port-base or stop what uses it",
                    port,
                    str(error),
                ) from None


@dataclass(frozen=True, slots=True)
class RunFile:
    """``DATA/run.json``: a running system's address card.

    Attributes:
        data: absolute path of the data directory.
        port_base: see :data:`OFFSETS`.
        pid: of the supervising ``shelian up`` or ``shelian consortium up``.
        purpose: ``demo`` or ``production``.
        nodes: JSON-RPC of each node, by the agency whose it is.
        pids: of the programs, by name.
    """

    data: str
    port_base: int
    pid: int
    purpose: str
    nodes: Mapping[str, str]
    pids: Mapping[str, int] = field(default_factory=dict)

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

    def node_for(self, service: str) -> str:
        """JSON-RPC of the node that serves a service."""
        return self.nodes[node_of(service, self.nodes)]

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
