"""Everything the operations port needs of a node, put together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry

from network.engine import EngineStatus
from network.operations.activity import Activity
from network.operations.observer import Observer, Places
from network.operations.port import OperationsPort
from network.operations.source import FactSource
from network.operations.timings import TimedLedger, Timings
from node.rpc.config import RpcConfig
from node.txpool import PoolStatus


class Operations:
    """Counting from the start, listening from `start` to `stop`."""

    def __init__(
        self,
        ledger: TimedLedger,
        engine: Callable[[], EngineStatus],
        pool: Callable[[], PoolStatus],
        config: RpcConfig,
        comet: Path | None,
        tls_certificate: Path | None,
        clock_ns: Callable[[], int],
    ) -> None:
        """`comet`: its directory, where that is the engine; `tls_certificate`: what JSON-RPC shows."""
        registry = CollectorRegistry()
        ledger.timings = Timings(registry)
        self._activity = Activity(clock_ns, lambda: engine().running, ledger.timings.submission.observe)
        self._forget = ledger.add_listener(self._activity.committed)
        places = Places.of(ledger.path, comet, tls_certificate)
        self._observer = Observer(ledger, engine, pool, self._activity, places, clock_ns, os.getpid())
        self._source = FactSource(self._observer.gather)
        self._port = OperationsPort(config, self._source, registry)

    @property
    def url(self) -> str:
        return self._port.url

    def start(self) -> None:
        """Raises RefusedConfiguration `operations.address`."""
        self._port.start()

    def stop(self) -> None:
        """Before the ledger is closed."""
        self._port.stop()
        self._forget()

    def close(self) -> None:
        """Instead of `stop` where `start` failed."""
        self._source.close()
        self._forget()

    def submitted(self, hashes: Iterable[bytes], began_s: float) -> None:
        """See `Activity.submitted`."""
        self._activity.submitted(hashes, began_s)
