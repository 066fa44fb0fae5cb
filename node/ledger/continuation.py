"""A ledger goes on under a new genesis: what is checked, and the one batch that does it.

`continue_ledger` takes the directory of a stopped ledger whose chain has ended with block N, the genesis of
the chain that begins at N + 1, and the handover certificate that joins them (`node.chain.handover`):

1. Block N is the last one here, and the light client verifies it from the old genesis by what this directory
   holds.
2. The certificate holds: block N, both genesis files, the old validators' signatures, every agency's.
3. No change is under way at N: the validators of N, N + 1 and N + 2 are the same, and the contract's table
   says the same.
4. The state here is the one the certificate names: its root and its snapshot's hash, computed again.
5. The calls of the new genesis go through above that state, and leave its validators and rules.
6. One synced batch: the new genesis, the seam with the old genesis and the certificate, header and commit of
   block N as the certificate has them, the validators of N + 1, the tip. State and blocks stay as they are.

Before 6 nothing was written; done again with the same certificate it changes nothing. The result is the same
on every machine, so `node.ledger.check` compares it row by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from node.chain.commit import decode_commit, encode_commit
from node.chain.errors import GenesisError, LedgerError
from node.chain.genesis import Genesis, decode_genesis, encode_genesis
from node.chain.handover import ProvenHandover, verify_handover
from node.chain.handover_certificate import HandoverCertificate, decode_certificate, encode_certificate
from node.chain.header import decode_header, encode_header
from node.chain.light import Archive, Trusted, trust_genesis
from node.chain.light_block import LightBlock
from node.chain.light_chain import verify_to
from node.execution import Executor
from node.ledger.export import export_state
from node.ledger.genesis_state import genesis_validators, run_opening
from node.ledger.ledger import Ledger
from node.ledger.manifest import encode_manifest, manifest_hash
from node.ledger.membership import load_validator_table
from node.ledger.records import stored_of, validators_of
from node.ledger.snapshot import LedgerSnapshot
from node.state import blocks as stored
from node.state.database import Batch, Database
from node.state.overlay import Overlay
from node.state.seam import Seam, add_seam, load_certificate, load_old_genesis
from node.state.snapshot import DatabaseSnapshot


@dataclass(frozen=True, slots=True)
class Continuation:
    """How a ledger that went on began anew: the genesis before, and what joins the two."""

    old_genesis: Genesis
    certificate: HandoverCertificate

    @property
    def height(self) -> int:
        """The old chain's last."""
        return self.certificate.statement.block.header.height


def load_continuation(reads: DatabaseSnapshot) -> Continuation | None:
    """None where the ledger is of one chain. Raises DecodeError, GenesisError."""
    raw, encoded = load_old_genesis(reads), load_certificate(reads)
    if raw is None or encoded is None:
        return None
    return Continuation(decode_genesis(raw), decode_certificate(encoded))


def continue_ledger(
    path: Path, genesis: Genesis, certificate: HandoverCertificate, executor: Executor | None = None
) -> None:
    """See the module.

    Raises LedgerError continuation.other, continuation.not_the_end, continuation.other_state,
    continuation.under_way, ledger.header_missing, state.*; GenesisError genesis.call_failed,
    genesis.rules_differ, genesis.validators_differ; ProofError handover.*, light.*, commit.*.
    """
    with Database.open(path) as database, database.snapshot() as reads:
        done, kept = load_certificate(reads), stored.load_genesis(reads)
    if done is not None:
        if (done, kept) != (encode_certificate(certificate), encode_genesis(genesis)):
            raise LedgerError(
                "continuation.other", "this ledger has gone on under another genesis already", str(path)
            )
        return
    with Ledger.open(path, executor=executor) as ledger, ledger.snapshot() as snapshot:
        prove_handover(snapshot.reads, ledger.genesis, genesis, certificate)
        require_end(snapshot, ledger.genesis, certificate)
        try_opening(snapshot, genesis, ledger.executor)
    write_continuation(path, genesis, certificate)


def prove_handover(
    reads: DatabaseSnapshot, old: Genesis, new: Genesis, certificate: HandoverCertificate
) -> ProvenHandover:
    """Steps 1 and 2, by the headers, commits and validators in a ledger of `old` or one that went on from it.

    Raises LedgerError continuation.not_the_end, ledger.header_missing; ProofError handover.*, light.*,
    commit.*.
    """
    last = certificate.statement.block
    record = stored.load_block(reads, last.header.height)
    trusted = trust_block_of(reads, old, last)
    if record is None or trusted.hash != record.hash:
        raise LedgerError(
            "continuation.not_the_end",
            "the certificate's block is not the one in this ledger",
            trusted.hash,
            None if record is None else record.hash,
        )
    return verify_handover(certificate, old, trusted, new)


def trust_block_of(reads: DatabaseSnapshot, genesis: Genesis, last: LightBlock) -> Trusted:
    """`last` is a block of this chain: the light client's way to it, by what the ledger holds.

    Raises LedgerError ledger.header_missing, ProofError light.*, commit.*.
    """
    target = last.header.height

    def fetch(height: int) -> LightBlock:
        return last if height == target else load_light_block(reads, height)

    return verify_to(trust_genesis(genesis), target, fetch, Archive())[-1].trusted


def load_light_block(reads: DatabaseSnapshot, height: int) -> LightBlock:
    """Header, commit and validators of a height. Raises LedgerError ledger.header_missing, DecodeError."""
    header, commit = stored.load_header(reads, height), stored.load_commit(reads, height)
    if header is None or commit is None:
        raise LedgerError("ledger.header_missing", "header or commit is not held", height)
    validators = validators_of(stored.load_validators(reads, height))
    return LightBlock(decode_header(header), decode_commit(commit), validators)


def require_end(snapshot: LedgerSnapshot, old: Genesis, certificate: HandoverCertificate) -> None:
    """Steps 1, 3 and 4, on a ledger that holds the state: it ends where the certificate says.

    Raises LedgerError continuation.not_the_end, continuation.under_way, continuation.other_state, state.*.
    """
    statement, tip = certificate.statement, snapshot.tip
    if statement.block.header.height != tip.height:
        raise LedgerError(
            "continuation.not_the_end",
            "the certificate's block is not the last one of this ledger",
            statement.block.header.height,
            tip.height,
        )
    require_settled(snapshot)
    manifest = export_state(snapshot, old, lambda index, chunk: None)
    for what, got, expected in (
        ("root", tip.app_hash, statement.state_root),
        ("snapshot", manifest_hash(encode_manifest(manifest)), statement.snapshot_hash),
    ):
        if got != expected:
            raise LedgerError("continuation.other_state", f"the state here has another {what}", got, expected)


def require_settled(snapshot: LedgerSnapshot) -> None:
    """Raises LedgerError continuation.under_way."""
    tip = snapshot.tip
    table = load_validator_table(snapshot.tip_view)
    current = snapshot.validators(tip.height)
    if not (current == tip.validators == tip.next_validators) or table != validators_of(current):
        raise LedgerError(
            "continuation.under_way",
            "a change of validators is under way, or the contract's table is not the one in force",
            [one.public_key for one in table or ()],
            [one.public_key for one in current],
        )


def try_opening(snapshot: LedgerSnapshot, genesis: Genesis, executor: Executor) -> None:
    """The start of the first block, thrown away. Raises GenesisError genesis.*."""
    if snapshot.rules != genesis.rules:
        raise GenesisError(
            "genesis.rules_differ",
            "the rules in force after the old chain's last block are not those of the file",
            snapshot.rules.version,
            genesis.rules.version,
        )
    run_opening(genesis, Overlay(snapshot.tip_view), executor)


def write_continuation(path: Path, genesis: Genesis, certificate: HandoverCertificate) -> None:
    """Step 6. Raises LedgerError state.*."""
    block = certificate.statement.block
    following = stored_of(genesis_validators(genesis))
    with Database.open(path) as database:
        with database.snapshot() as reads:
            tip, raw = stored.load_tip(reads), stored.load_genesis(reads)
        if tip is None or raw is None:
            raise LedgerError("ledger.no_genesis", "the data directory was never finished", str(path))
        batch = Batch()
        stored.add_genesis(batch, encode_genesis(genesis))
        seam = Seam(tip.height, decode_genesis(raw).evm_chain_id)
        add_seam(batch, seam, raw, encode_certificate(certificate))
        stored.add_header(batch, tip.height, encode_header(block.header))
        stored.add_commit(batch, tip.height, encode_commit(block.commit))
        stored.add_validators(batch, tip.height + 1, following)
        stored.add_tip(
            batch,
            stored.Tip(
                height=tip.height,
                block_hash=tip.block_hash,
                time_ns=tip.time_ns,
                app_hash=tip.app_hash,
                last_results_hash=tip.last_results_hash,
                genesis_hash=genesis.hash,
                validators=following,
                next_validators=following,
            ),
        )
        database.write(batch)
