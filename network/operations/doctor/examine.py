"""Looks at a node's directory and its machine. Nothing is changed; connections are tried and closed.

Of a node that runs, its own findings are asked for at its operations port. Of one that does not, the ledger
is opened for a moment, and the same findings are made from what its files say.
"""

from __future__ import annotations

import os
import pwd
import resource
import socket
import stat
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import httpx
import orjson

from network.comet.faults import CometFault
from network.comet.home import CometPlace, load_node_key, load_settings, load_validator_key, node_id
from network.comet.settings import CometSettings
from network.engine import EngineStatus
from network.operations.activity import Activity
from network.operations.card import is_running, load_card
from network.operations.certificates import tls_certificate
from network.operations.doctor import system
from network.operations.doctor.examination import (
    REACHED,
    REFUSED,
    SILENT,
    UNKNOWN_NAME,
    UNREACHABLE,
    Examination,
    GenesisSeen,
    Holder,
    KeyFileSeen,
    LedgerSeen,
    PeerSeen,
    PortSeen,
)
from network.operations.findings import Finding
from network.operations.judgement import findings_of
from network.operations.networking import (
    can_bind,
    listener_of,
    opener_of,
    process_ids,
    program_of,
    split_host,
)
from network.operations.observer import Observer, Places
from network.operations.remote import finding_of
from node.chain.errors import GenesisError, LedgerError, ShelianError
from node.chain.genesis import decode_genesis
from node.ledger import Ledger
from node.txpool import PoolStatus

CONNECT_S: Final = 3.0
_ASK_S: Final = 5.0
_AT_ONCE: Final = 16
_MARKS: Final = ("ledger.restoring", "ledger.restored", "ledger.replaced", "ledger.repaired")
_ONLY_RUNNING: Final = frozenset(
    {
        "doctor.engine_down",
        "doctor.no_blocks",
        "doctor.no_quorum",
        "doctor.validator_silent",
        "doctor.behind",
        "doctor.no_peers",
        "doctor.member_missing",
        "doctor.missed_blocks",
        "doctor.open_files",
    }
)
"""What cannot be said of a node that does not run."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node's files lie, and where it listens if no card says otherwise (``host:port``)."""

    data: Path
    genesis: Path
    ledger: Path
    comet: Path
    validator_key: Path
    unfinished: Path
    rpc_address: str
    operations_address: str
    tls_certificate: Path | None = None


def examine(place: Place, clock_ns: Callable[[], int] = time.time_ns) -> Examination:
    """See the module."""
    node = place.ledger.parent
    card = load_card(node)
    running = is_running(card)
    genesis = _genesis(place)
    comet = CometPlace(place.comet)
    is_member = place.comet.is_dir()
    settings, settings_error = _settings(comet) if is_member else (None, ("", ""))
    seen = Examination(
        data=str(place.data),
        has_data=place.genesis.exists() or place.ledger.exists(),
        is_unfinished=place.unfinished.exists(),
        is_running=running,
        genesis=genesis,
        listed=is_member,
        p2p_address="" if settings is None else settings.p2p_address,
        key_files=_key_files(place, comet, is_member),
        marks=_marks(node),
        certificates=()
        if place.tls_certificate is None
        else (tls_certificate(place.tls_certificate, clock_ns()),),
        is_synchronised=system.is_synchronised(),
        python=sys.version_info[:2],
        cometbft=system.cometbft_fault() if is_member else ("", ""),
        open_files_limit=system.own_limit(resource.RLIMIT_NOFILE),
        memory_limit=system.own_limit(resource.RLIMIT_AS),
        memory_available=system.memory_available(),
        unit=system.unit_state(),
        settings_error=settings_error,
    )
    if not seen.has_data:
        return seen
    rpc, operations = place.rpc_address, place.operations_address
    if card is not None:
        rpc = _address(card.rpc_url)
        operations = operations if card.operations_url is None else _address(card.operations_url)
    own_pids = frozenset({card.pid, *_children(card.pid)}) if card is not None and running else frozenset()
    seen = replace(
        seen,
        **_ownership(place),
        ports=_ports(rpc, operations, settings, own_pids),
        other_homes=_other_homes(comet) if is_member else (),
        peers=() if settings is None else _reach(settings.bootstrap, _own_id(comet)),
    )
    if running and card is not None:
        return _of_running(seen, card.operations_url)
    return _of_stopped(seen, place, comet if is_member else None, settings, clock_ns)


# ---- of a running node, and of a stopped one


def _of_running(seen: Examination, url: str | None) -> Examination:
    if url is None:
        return seen
    try:
        answer = httpx.get(url + "/status.json", timeout=_ASK_S, trust_env=False, verify=False)  # noqa: S501
        document = orjson.loads(answer.content)
        if answer.status_code == 401:  # it is there, and asks for a token
            return replace(seen, answers=None)
        facts: dict[str, Any] | None = document["facts"]
        found = tuple(finding_of(one) for one in document["findings"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return replace(seen, answers=False)
    if facts is None:
        return replace(seen, answers=True, found=found)
    limits = [one["open_files_limit"] for one in facts["processes"] if one["name"] == "node"]
    return replace(
        seen,
        answers=True,
        found=found,
        genesis=replace(seen.genesis, ledger=facts["chain"]["genesis_hash"]),
        open_files_limit=limits[0] if limits else seen.open_files_limit,
    )


def _of_stopped(
    seen: Examination,
    place: Place,
    comet: CometPlace | None,
    settings: CometSettings | None,
    clock_ns: Callable[[], int],
) -> Examination:
    try:
        with Ledger.open(place.ledger) as ledger:
            kept = replace(seen.genesis, ledger=ledger.genesis.hash.hex())
            found = _findings(ledger, place, comet, settings, clock_ns)
    except LedgerError as error:
        holder = opener_of(place.ledger / "LOCK") if error.code == "state.locked" else None
        seen_holder = None if holder is None else Holder(holder, program_of(holder))
        return replace(seen, ledger=LedgerSeen(error.code, str(error), seen_holder))
    except OSError as error:
        return replace(seen, ledger=LedgerSeen("state.unreadable", str(error)))
    return replace(seen, genesis=kept, found=found)


def _findings(
    ledger: Ledger,
    place: Place,
    comet: CometPlace | None,
    settings: CometSettings | None,
    clock_ns: Callable[[], int],
) -> tuple[Finding, ...]:
    """What the node's own checks say of its files."""
    own_id, own_key = "", b""
    if comet is not None:
        own_id = _own_id(comet)
        with suppress(CometFault):
            own_key = load_validator_key(comet)
    tip = ledger.tip
    status = EngineStatus(
        name="embedded" if comet is None else "cometbft",
        running=False,
        height=tip.height,
        last_block_ns=tip.time_ns,
        failure=None,
        node_id=own_id,
        validator_key=own_key,
        bootstrap=() if settings is None else settings.bootstrap,
    )
    observer = Observer(
        ledger,
        lambda: status,
        lambda: PoolStatus(0, 0, 0),
        Activity(clock_ns, lambda: False, lambda seconds: None),
        Places.of(place.ledger, None if comet is None else comet.directory, None),
        clock_ns,
        os.getpid(),
        notes_sizes=False,
    )
    return tuple(one for one in findings_of(observer.gather()) if one.code not in _ONLY_RUNNING)


# ---- files


def _genesis(place: Place) -> GenesisSeen:
    genesis, error = None, ""
    try:
        genesis = decode_genesis(place.genesis.read_bytes())
    except OSError as cause:
        error = cause.strerror or str(cause)
    except GenesisError as cause:
        error = str(cause)
    comet = None
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        state = orjson.loads(CometPlace(place.comet).genesis_file.read_bytes())["app_state"]
        comet = str(state["genesis_hash"]).removeprefix("0x")
    return GenesisSeen(
        file=None if genesis is None else genesis.hash.hex(),
        comet=comet,
        error=error,
        purpose="" if genesis is None else genesis.purpose,
    )


def _settings(comet: CometPlace) -> tuple[CometSettings | None, tuple[str, str]]:
    try:
        return load_settings(comet), ("", "")
    except ShelianError as error:
        return None, (error.code, str(error))


def _key_files(place: Place, comet: CometPlace, is_member: bool) -> tuple[KeyFileSeen, ...]:
    wanted = [comet.node_key_file, comet.validator_key_file] if is_member else []
    if not is_member and place.validator_key.exists():
        wanted = [place.validator_key]
    return tuple(KeyFileSeen(str(path), _mode(path)) for path in wanted)


def _mode(path: Path) -> int | None:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None


def _marks(node: Path) -> tuple[str, ...]:
    try:
        names = sorted(entry.name for entry in node.iterdir())
    except OSError:
        return ()
    return tuple(one for one in names if one in _MARKS or one.startswith("ledger.damaged"))


def _ownership(place: Place) -> dict[str, Any]:
    """Owner of the directory; what in the node's part belongs to somebody else; what cannot be written."""
    node = place.ledger.parent
    try:
        owner = place.data.stat().st_uid
    except OSError:
        return {}
    paths = [node, place.ledger, place.comet]
    for directory in (node, place.ledger, place.comet / "config", place.comet / "data"):
        with suppress(OSError):
            paths += sorted(directory.iterdir())
    foreign, closed = [], []
    for path in dict.fromkeys(paths):
        with suppress(OSError):
            if path.lstat().st_uid != owner:
                foreign.append(str(path))
            elif os.geteuid() == owner and path.is_dir() and not os.access(path, os.W_OK | os.X_OK):
                closed.append(str(path))
    return {"owner": _user(owner), "foreign": tuple(foreign), "not_writable": tuple(closed)}


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _own_id(comet: CometPlace) -> str:
    try:
        return node_id(load_node_key(comet))
    except CometFault:
        return ""


def _other_homes(comet: CometPlace, proc: Path = Path("/proc")) -> tuple[str, ...]:
    """Homes of other cometbft processes here whose validator key is this node's."""
    own = _validator_address(comet.directory)
    homes = set()
    for pid in process_ids(proc):
        with suppress(OSError, ValueError):
            words = (proc / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
            home = Path(words[words.index("--home") + 1])
            if home.resolve() != comet.directory.resolve() and own and _validator_address(home) == own:
                homes.add(str(home))
    return tuple(sorted(homes))


def _validator_address(home: Path) -> str:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(orjson.loads(CometPlace(home).validator_key_file.read_bytes())["address"])
    return ""


# ---- ports and connections


def _ports(
    rpc: str, operations: str, settings: CometSettings | None, own: frozenset[int]
) -> tuple[PortSeen, ...]:
    wanted = [("JSON-RPC", rpc), ("operations", operations)]
    if settings is not None:
        wanted += [
            ("CometBFT p2p", settings.p2p_address),
            ("CometBFT RPC", settings.rpc_address),
            ("CometBFT metrics", settings.metrics_address),
        ]
    return tuple(_port(name, address, own) for name, address in wanted)


def _port(name: str, address: str, own: frozenset[int]) -> PortSeen:
    try:
        free = can_bind(address)
    except (ValueError, OSError):
        return PortSeen(name, address, is_free=True)
    if free:
        return PortSeen(name, address, is_free=True)
    pid = listener_of(split_host(address)[1])
    holder = None if pid is None else Holder(pid, program_of(pid))
    return PortSeen(name, address, is_free=False, holder=holder, is_own=pid in own)


def _address(url: str) -> str:
    """``host:port`` of a URL of ours."""
    parts = httpx.URL(url)
    host = "127.0.0.1" if parts.host == "localhost" else parts.host
    return f"[{host}]:{parts.port}" if ":" in host else f"{host}:{parts.port}"


def _children(pid: int, proc: Path = Path("/proc")) -> tuple[int, ...]:
    found: list[int] = []
    with suppress(OSError):
        for task in (proc / str(pid) / "task").iterdir():
            with suppress(OSError):
                found += [int(one) for one in (task / "children").read_text().split()]
    return tuple(found)


def _reach(bootstrap: Sequence[str], own_id: str) -> tuple[PeerSeen, ...]:
    """Try a TCP connection to each of the others, several at once."""
    others = [one.partition("@")[::2] for one in bootstrap]
    others = [(id, address) for id, address in others if id != own_id]
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        outcomes = threads.map(lambda one: connect(one[1]), others)
        return tuple(
            PeerSeen(id, address, outcome) for (id, address), outcome in zip(others, outcomes, strict=True)
        )


def connect(address: str, patience_s: float = CONNECT_S) -> str:
    """How a TCP connection to ``host:port`` ends (`examination.REACHED` …)."""
    try:
        host, port = split_host(address)
        with socket.create_connection((host, port), timeout=patience_s):
            return REACHED
    except (socket.gaierror, ValueError):
        return UNKNOWN_NAME
    except ConnectionRefusedError:
        return REFUSED
    except TimeoutError:
        return SILENT
    except OSError:
        return UNREACHABLE
