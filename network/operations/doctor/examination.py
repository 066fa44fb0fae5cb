"""What the doctor has seen: plain data, so that each check is a function of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from network.operations.facts import CertificateFacts
from network.operations.findings import Finding

REFUSED = "refused"
SILENT = "silent"
UNKNOWN_NAME = "unknown_name"
UNREACHABLE = "unreachable"
REACHED = "reached"
"""How a connection attempt ends: nobody listens there; no answer in time; the name means nothing; no way
there; somebody answers.
"""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process; `program` as the kernel names it."""

    pid: int
    program: str


@dataclass(frozen=True, slots=True)
class PortSeen:
    """A port this node listens on, or would. `holder` None: nobody has it, or it cannot be told who.

    `is_own`: the node itself or its CometBFT has it.
    """

    name: str
    address: str
    is_free: bool
    holder: Holder | None = None
    is_own: bool = False


@dataclass(frozen=True, slots=True)
class GenesisSeen:
    """Hashes in hex; None where there is none. `error`: why genesis.json cannot be read."""

    file: str | None = None
    ledger: str | None = None
    comet: str | None = None
    error: str = ""
    purpose: str = ""


@dataclass(frozen=True, slots=True)
class KeyFileSeen:
    """`mode` None: the file is not there."""

    path: str
    mode: int | None


@dataclass(frozen=True, slots=True)
class PeerSeen:
    """A node of the operator's list, and how the connection ended."""

    id: str
    address: str
    outcome: str


@dataclass(frozen=True, slots=True)
class LedgerSeen:
    """`code` None: it can be used. `holder`: who has it open."""

    code: str | None = None
    message: str = ""
    holder: Holder | None = None


@dataclass(frozen=True, slots=True)
class Examination:
    """Attributes:
    data: the data directory.
    has_data: there is a genesis or a ledger in it.
    is_unfinished: a `shelian init` was cut off.
    is_running: a node of this directory runs.
    found: what the node itself found wrong, or, of a stopped one, what its files say.
    answers: a running node's operations port answered; None where there is none to ask.
    listed: the node is one of a consortium.
    p2p_address: where other nodes connect to; empty with the embedded engine.
    other_homes: CometBFT's directories of other programs on this machine that sign with this node's key.
    foreign: paths whose owner is not the data directory's.
    not_writable: paths that this user could not write, though it owns them.
    marks: what restores and repairs have left: names beside the ledger.
    is_synchronised: what the system says of its clock; None where nobody tells.
    cometbft: code and message of why its program cannot be used; empty: it can.
    unit: what systemd says of the unit: enabled, disabled, not-found …; empty: there is no systemd.
    """

    data: str
    has_data: bool = True
    is_unfinished: bool = False
    is_running: bool = False
    found: tuple[Finding, ...] = ()
    answers: bool | None = None
    genesis: GenesisSeen = GenesisSeen()
    ledger: LedgerSeen = LedgerSeen()
    listed: bool = False
    ports: tuple[PortSeen, ...] = ()
    peers: tuple[PeerSeen, ...] = ()
    p2p_address: str = ""
    key_files: tuple[KeyFileSeen, ...] = ()
    other_homes: tuple[str, ...] = ()
    owner: str = ""
    foreign: tuple[str, ...] = ()
    not_writable: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    certificates: tuple[CertificateFacts, ...] = ()
    is_synchronised: bool | None = None
    python: tuple[int, int] = (3, 11)
    cometbft: tuple[str, str] = ("", "")
    open_files_limit: int = 0
    memory_limit: int = 0
    memory_available: int = 0
    unit: str = ""
    settings_error: tuple[str, str] = field(default=("", ""))
