"""The data directory of a member's node whose ledger goes on from another chain."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from cli.consortium_files import RECORD_SUFFIX, replace
from cli.layout import Layout
from network.comet.home import CometPlace, CometSettings, make_home
from network.consortium.ceremony import Record, encode_record
from network.consortium.enrolment import Enrolment
from network.consortium.errors import CeremonyError
from network.consortium.graduate import encode_signed
from network.consortium.keys import NodeKeys
from node.chain.errors import LedgerError
from node.chain.genesis import Genesis, encode_genesis
from node.chain.handover_certificate import HandoverCertificate
from node.ledger import Ledger
from node.ledger.building import build_ledger, sync_tree
from node.ledger.continuation import continue_ledger
from node.ledger.shelf import SavedSnapshot, publish


def make_graduated_data(
    layout: Layout,
    old: Genesis,
    genesis: Genesis,
    certificate: HandoverCertificate,
    members: Sequence[Enrolment],
    keys: NodeKeys,
    settings: CometSettings,
    snapshot: Path,
    source: Path | None,
) -> None:
    """Ledger (copied from `source`, a stopped one of the old chain, or built of the snapshot), CometBFT's
    directory, the ceremony's record; genesis last, so that without it nothing was made and the next try
    begins again.

    Raises LedgerError init.exists, state.*, continuation.*; CeremonyError graduate.other_ledger; CometFault;
    ProofError.
    """
    if layout.genesis.exists():
        raise LedgerError(
            "init.exists", "there is a chain in this directory already", layout.data, "an empty directory"
        )
    if layout.marker.exists():
        shutil.rmtree(layout.node, ignore_errors=True)
    elif layout.data.exists() and any(layout.data.iterdir()):
        raise LedgerError(
            "init.exists", "the directory holds something else", layout.data, "an empty directory"
        )
    layout.node.mkdir(parents=True, exist_ok=True, mode=0o700)
    layout.marker.touch()
    saved = SavedSnapshot.load(snapshot)
    if source is None:
        build_ledger(layout.ledger, old, saved)
    else:
        _copy(source, layout.ledger, old, saved)
    shelf = layout.node / "snapshots"
    making = shelf / f"{saved.manifest.height}.making"
    shutil.copytree(snapshot, making)
    publish(making, shelf / str(saved.manifest.height))
    continue_ledger(layout.ledger, genesis, certificate)
    make_home(CometPlace(layout.comet), settings, keys.node_key, keys.validator_key)
    replace(layout.data / f"genesis{RECORD_SUFFIX}", encode_record(Record(genesis.hash, tuple(members), ())))
    replace(layout.data / "old-genesis.json", encode_genesis(old))
    replace(layout.data / "handover.json", encode_signed(certificate))
    replace(layout.genesis, encode_genesis(genesis))
    layout.marker.unlink()


def _copy(source: Path, ledger: Path, old: Genesis, saved: SavedSnapshot) -> None:
    """A whole ledger of the old chain that ends with the snapshot's block."""
    with Ledger.open(source, old) as opened:
        tip = opened.tip
    if (tip.height, tip.block_hash) != (saved.manifest.height, saved.manifest.block.hash):
        raise CeremonyError(
            "graduate.other_ledger",
            "the ledger does not end with the block that the chain goes on from",
            [tip.height, tip.block_hash],
            [saved.manifest.height, saved.manifest.block.hash],
        )
    shutil.copytree(source, ledger, ignore=shutil.ignore_patterns("LOCK"))
    sync_tree(ledger)
