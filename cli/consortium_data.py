"""The data directory of a member's node, made from its keys and a genesis that the members have signed."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cli.consortium_files import RECORD_SUFFIX, replace
from cli.layout import Layout
from network.comet.home import CometPlace, CometSettings, make_home
from network.consortium.ceremony import GenesisSignature, Record, Standing, encode_record
from network.consortium.enrolment import Enrolment
from network.consortium.errors import CeremonyError
from network.consortium.keys import NodeKeys
from node.chain.encoding import encode_canonical_json
from node.chain.errors import LedgerError
from node.chain.genesis import Genesis, encode_genesis
from node.ledger import Ledger

UNSIGNED_FORMAT: Final = "shelian-unsigned/1"
MIN_REASON: Final = 10
"""Characters of a reason for going on without somebody's signature: enough that it says something."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where this node's CometBFT listens: ip:port each; the last two on this machine only."""

    p2p: str
    rpc: str
    metrics: str


def require_signed(standing: Standing, own: Enrolment, reasons: Mapping[str, str]) -> None:
    """Everybody has signed, or the operator has said for each one that is missing why the chain starts
    without it; and those who signed can decide blocks.

    `reasons`: by kind or by name. Raises CeremonyError ceremony.own_signature, ceremony.not_signed,
    ceremony.reason, ceremony.few_signed.
    """
    if own.hash not in {one.hash for one in standing.signed}:
        raise CeremonyError(
            "ceremony.own_signature", f"{own.who} has not signed this genesis itself", None, "sign first"
        )
    kinds = Counter(one.content.kind for one in standing.missing)
    known = {one.content.name for one in standing.missing} | {kind for kind, n in kinds.items() if n == 1}
    for who, reason in reasons.items():
        if who not in known:
            raise CeremonyError(
                "ceremony.reason", "not exactly one of this kind or name is missing", who, sorted(known)
            )
        if len(reason.strip()) < MIN_REASON:
            raise CeremonyError(
                "ceremony.reason",
                f"the reason for going on without {who} is too short",
                reason,
                f"{MIN_REASON} characters",
            )
    unexplained = [one.who for one in standing.missing if reason_for(one, reasons) is None]
    if unexplained:
        raise CeremonyError(
            "ceremony.not_signed",
            "not everybody has signed this genesis",
            unexplained,
            "their signature files",
        )
    if not standing.signed_decide:
        raise CeremonyError(
            "ceremony.few_signed",
            "those who signed have no two thirds of the voting power: the chain could not make a block",
            [one.who for one in standing.signed],
        )


def reason_for(one: Enrolment, reasons: Mapping[str, str]) -> str | None:
    """Why the chain starts without this member's signature."""
    return reasons.get(one.content.kind) or reasons.get(one.content.name)


def listening(address: str) -> str:
    """Every address of this machine, at the port that the others were given."""
    host, _, port = address.rpartition(":")
    return f"[::]:{port}" if host.startswith("[") else f"0.0.0.0:{port}"


def settings_for(own: Enrolment, members: Sequence[Enrolment], addresses: Addresses) -> CometSettings:
    """The other members are the nodes to stay connected with."""
    hosts = [one.content.address.rpartition(":")[0] for one in members]
    number = [one.hash for one in members].index(own.hash) + 1
    return CometSettings(
        p2p_address=addresses.p2p,
        rpc_address=addresses.rpc,
        metrics_address=addresses.metrics,
        bootstrap=tuple(one.content.peer for one in members if one.hash != own.hash),
        name=f"{own.content.kind}-{number}",
        one_machine=len(set(hosts)) < len(hosts),
    )


def make_data(
    layout: Layout,
    genesis: Genesis,
    record: tuple[Sequence[Enrolment], Sequence[GenesisSignature]],
    reasons: Mapping[str, str],
    keys: NodeKeys,
    settings: CometSettings,
) -> None:
    """Ledger, CometBFT's directory, the ceremony's record if there was one; genesis last, so that without it
    nothing was made and the next try begins again.

    Raises LedgerError init.exists, CometFault.
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
    Ledger.create(layout.ledger, genesis).close()
    make_home(CometPlace(layout.comet), settings, keys.node_key, keys.validator_key)
    members, signatures = record
    if members:
        replace(
            layout.data / f"genesis{RECORD_SUFFIX}",
            encode_record(Record(genesis.hash, tuple(members), tuple(signatures))),
        )
    if reasons:
        replace(
            layout.data / "unsigned.json",
            encode_canonical_json({"format": UNSIGNED_FORMAT, "without": dict(reasons)}),
        )
    replace(layout.genesis, encode_genesis(genesis))
    layout.marker.unlink()
