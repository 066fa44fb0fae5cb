"""Making a data directory of a backup, for a node to be started with.

1. The backup is verified, file by file and row by row; then copied.
2. Of a consortium's node: the ledger is brought up to the network where nodes are named to ask
   (`network.catching_up`), and its CometBFT gets a directory with the old settings and node key, and a new
   consensus key: the old one may have signed what nobody here knows of. It follows the network without a
   vote until the consortium has voted the new key in. Its CometBFT begins empty and comes after the ledger
   (`network.comet.retracing`).
3. The directory is synced, and renamed: it appears whole. Cut off, it is made anew.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from nacl.signing import SigningKey

from network.backup import (
    CEREMONY,
    GENESIS,
    LEDGER,
    NODE_KEY,
    SETTINGS,
    SNAPSHOTS,
    BackupRefused,
    load_backup_genesis,
    verify_backup,
)
from network.catching_up import catch_up
from network.comet.home import CometPlace, StateSync, make_home
from network.comet.keyfiles import load_seed
from network.comet.settings import decode_settings
from network.history_source import HistorySource
from node.ledger import Ledger
from node.ledger.shelf import sync, write_error

_MAKING: Final = ".restoring"


@dataclass(frozen=True, slots=True)
class Restored:
    """`height` and `app_hash` of the ledger; `validator_key`: the new public key of a consortium's node."""

    height: int
    app_hash: bytes
    validator_key: bytes | None


def restore_backup(
    backup: Path,
    data: Path,
    sources: Sequence[HistorySource],
    comet_rpc: Sequence[str],
    tell: Callable[[str], None],
) -> Restored:
    """A data directory at `data`, which is not there or empty.

    `sources`: nodes of the consortium to catch up from; `comet_rpc`: members' CometBFT RPC, two at least, to
    begin behind a snapshot instead of fetching every block since the first.
    Raises BackupRefused backup.*; CometFault comet.settings_*; LedgerError state.*.
    """
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise BackupRefused("backup.exists", "there is something already; nothing is overwritten", str(data))
    found = verify_backup(backup)
    genesis = load_backup_genesis(backup)
    making = data.with_name(data.name + _MAKING)
    try:
        shutil.rmtree(making, ignore_errors=True)
        node = making / "node"
        node.mkdir(mode=0o700, parents=True)
        for name in (GENESIS, CEREMONY):
            if (backup / name).is_file():
                shutil.copyfile(backup / name, making / name)
        shutil.copytree(backup / LEDGER, node / LEDGER)
        if (backup / SNAPSHOTS).is_dir():
            shutil.copytree(backup / SNAPSHOTS, node / SNAPSHOTS)
        with Ledger.open(node / LEDGER, genesis) as ledger:
            if sources:
                tell(f"从 {found.height} 追赶 catching up from {found.height}")
                count = catch_up(ledger, sources, tell)
                tell(f"已追 {count} 块 blocks caught up with")
            key = None
            if (backup / SETTINGS).is_file():
                key = _make_comet(backup, CometPlace(node / "comet"), ledger, comet_rpc)
            tip = ledger.tip
        for path in sorted(making.rglob("*"), reverse=True):
            sync(path)
        sync(making)
        if data.exists():
            data.rmdir()
        making.rename(data)
        sync(data.parent)
    except OSError as error:
        raise write_error(error, data) from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return Restored(tip.height, tip.app_hash, key)


def _make_comet(backup: Path, place: CometPlace, ledger: Ledger, comet_rpc: Sequence[str]) -> bytes:
    """Returns the new validator key."""
    settings = decode_settings((backup / SETTINGS).read_bytes())
    state_sync = None
    if comet_rpc:
        height = ledger.headers_end - 1
        with ledger.snapshot() as snapshot:
            record = snapshot.block(height)
        if height and record is not None:
            state_sync = StateSync(tuple(comet_rpc), height, record.hash)
    seed = secrets.token_bytes(32)
    make_home(place, replace(settings, state_sync=state_sync), load_seed(backup / NODE_KEY), seed)
    return bytes(SigningKey(seed).verify_key)
