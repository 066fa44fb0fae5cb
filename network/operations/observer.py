"""Reads a running node: ledger, engine, pool, disk, /proc, certificates; the facts of this moment.

One thread at a time gathers. What is dear is read seldom: directories are measured once a minute, the
contract's tables when its storage has changed, each block's commit once.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import orjson

from network.engine import EngineStatus
from network.operations.activity import Activity
from network.operations.certificates import agency_certificates, tls_certificate
from network.operations.compose import DiskReading, Readings, node_facts
from network.operations.facts import CertificateFacts, NodeFacts, ProcessFacts, VersionFacts
from network.operations.growth import Size, load_sizes, noted, save_sizes
from network.operations.machine import Measured, read_file_system, read_process
from network.operations.members import MembershipReader
from network.operations.saved import last_backup, last_snapshot
from network.operations.signing import SigningWindow
from node.ledger import Ledger
from node.ledger.shelf import Shelf
from node.txpool import PoolStatus

_SECOND_NS: Final = 1_000_000_000
_MEASURE_EVERY_S: Final = 60.0
_TIMED_S: Final = 3_600.0
"""A submitted transaction that takes longer is not timed any more."""


@dataclass(frozen=True, slots=True)
class Places:
    """What lies where. `validator_state`: CometBFT's file of what it signed last; None with another
    engine.
    """

    ledger: Path
    shelf: Path
    comet: Path
    sizes: Path
    validator_state: Path | None
    tls_certificate: Path | None

    @classmethod
    def of(cls, ledger: Path, comet: Path | None, tls_certificate: Path | None) -> Places:
        """Of a node whose ledger lies at `ledger`; `comet`: its CometBFT's directory."""
        node = ledger.parent
        return cls(
            ledger=ledger,
            shelf=node / "snapshots",
            comet=node / "comet" if comet is None else comet,
            sizes=node / "sizes.json",
            validator_state=None if comet is None else comet / "data" / "priv_validator_state.json",
            tls_certificate=tls_certificate,
        )


class Observer:
    """See the module."""

    def __init__(
        self,
        ledger: Ledger,
        engine: Callable[[], EngineStatus],
        pool: Callable[[], PoolStatus],
        activity: Activity,
        places: Places,
        clock_ns: Callable[[], int],
        pid: int,
        *,
        notes_sizes: bool = True,
    ) -> None:
        """`pid`: of the node; `notes_sizes`: write down how large the data is, for the forecast."""
        self._ledger = ledger
        self._engine = engine
        self._pool = pool
        self._activity = activity
        self._places = places
        self._clock_ns = clock_ns
        self._pid = pid
        self._window = SigningWindow()
        self._membership = MembershipReader(ledger.genesis, ledger.executor)
        self._ledger_size = Measured(places.ledger, _MEASURE_EVERY_S)
        self._comet_size = Measured(places.comet, _MEASURE_EVERY_S)
        self._sizes = load_sizes(places.sizes)
        self._notes_sizes = notes_sizes

    def gather(self) -> NodeFacts:
        """Raises LedgerError state.* where the ledger cannot be read; OSError where its disk cannot."""
        genesis, engine = self._ledger.genesis, self._engine()
        now_ns = self._clock_ns()
        with self._ledger.snapshot() as snapshot:
            membership = self._membership.read(snapshot)
            self._window.advance(snapshot, genesis.initial_height)
            record = snapshot.block(snapshot.tip.height) if snapshot.tip.height else None
            tip, first, rules = snapshot.tip, snapshot.first_block, snapshot.rules.version
        # After the commits: what stands in them was signed, and noted, before.
        last_signed = _load_last_signed(self._places.validator_state)
        readings = Readings(
            genesis=genesis,
            tip=tip,
            first_block=first,
            proposer=b"" if record is None else record.proposer_address,
            engine=engine,
            membership=membership,
            signed=self._window.blocks,
            last_signed=last_signed,
            activity=self._activity.read(),
            pool=self._pool(),
            disk=self._disk(now_ns),
            certificates=(
                *agency_certificates(genesis, membership, now_ns),
                *self._own_certificates(now_ns),
            ),
            snapshot=last_snapshot(Shelf(self._places.shelf), now_ns),
            backup=last_backup(self._places.ledger.parent, now_ns),
            processes=self._processes(engine),
            versions=_versions(engine, rules, membership.rules_unknown),
        )
        self._activity.forget(time.perf_counter() - _TIMED_S)
        return node_facts(readings, self._clock_ns())

    def _disk(self, now_ns: int) -> DiskReading:
        places = self._places
        ledger, comet = self._ledger_size.read(), self._comet_size.read()
        sizes = noted(self._sizes, Size(now_ns // _SECOND_NS, ledger + comet))
        if sizes != self._sizes:
            self._sizes = sizes
            if self._notes_sizes:
                with suppress(OSError):  # a full disk is told of elsewhere
                    save_sizes(places.sizes, sizes)
        return DiskReading(str(places.ledger), read_file_system(places.ledger), ledger, comet, sizes)

    def _own_certificates(self, now_ns: int) -> tuple[CertificateFacts, ...]:
        path = self._places.tls_certificate
        return () if path is None else (tls_certificate(path, now_ns),)

    def _processes(self, engine: EngineStatus) -> tuple[ProcessFacts, ...]:
        wanted = [("node", self._pid, 0)]
        if engine.child is not None and engine.child.pid is not None:
            wanted.append((engine.child.name, engine.child.pid, engine.child.restarts))
        found = [(name, read_process(pid), restarts) for name, pid, restarts in wanted]
        return tuple(
            ProcessFacts(
                name,
                one.pid,
                one.memory_bytes,
                one.open_files,
                one.open_files_limit,
                one.running_s,
                restarts,
            )
            for name, one, restarts in found
            if one is not None
        )


def _load_last_signed(path: Path | None) -> int | None:
    """The height in CometBFT's file of what it signed last; None if none tells."""
    if path is None:
        return None
    try:
        return int(orjson.loads(path.read_bytes())["height"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _versions(engine: EngineStatus, rules: int, rules_unknown: int) -> VersionFacts:
    return VersionFacts(
        shelian=_version_of("shelian"),
        python=platform.python_version(),
        cometbft="" if engine.child is None else engine.child.version,
        leveldb=f"plyvel {_version_of('plyvel')}",
        rules=rules,
        rules_unknown=rules_unknown,
    )


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "?"
