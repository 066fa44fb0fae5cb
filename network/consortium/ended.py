"""Files that say a one-machine chain has ended.

    DATA/graduated.json                  the mark: no node makes blocks here any more (`require_not_ended`)
    DATA/node/validator.handover.json    beside the validator's key: the one handover that it has signed

The mark is written before anything leaves the machine, so the chain cannot go on behind the back of those who
take it over. It can be taken away (`reopen`) as long as the key has signed nothing; the record, which is
written before the signature is handed out, never. Both name the file formats and hold nothing secret.
`shelian node` reads them at each start, so this module imports little.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from network.comet.keyfiles import replace_file
from network.consortium import fields
from network.consortium.errors import CeremonyError
from network.consortium.fields import read_file, to_hex
from node.chain.encoding import encode_canonical_json
from node.chain.genesis import Genesis
from node.chain.handover_certificate import HandoverStatement

if TYPE_CHECKING:
    from node.ledger import Ledger

MARK_FORMAT: Final = "shelian-graduated/1"
RECORD_FORMAT: Final = "shelian-handed-over/1"
MARK: Final = "graduated.json"
RECORD_SUFFIX: Final = ".handover.json"
_MAX_BYTES: Final = 4_096


@dataclass(frozen=True, slots=True)
class Ending:
    """What the mark says: the chain and its last block."""

    chain_name: str
    height: int
    block_hash: bytes


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What the record beside a validator's key says: the chain it gave its ledger to."""

    chain_name: str
    genesis_hash: bytes
    initial_height: int
    old_genesis_hash: bytes


# ---- the mark


def mark_ended(data: Path, ledger: Ledger) -> Ending:
    """From now on no node makes blocks in this directory."""
    ending = Ending(ledger.genesis.chain_name, ledger.tip.height, ledger.tip.block_hash)
    content = {
        "format": MARK_FORMAT,
        "chain_name": ending.chain_name,
        "height": ending.height,
        "block_hash": to_hex(ending.block_hash),
    }
    replace_file(data / MARK, encode_canonical_json(content))
    return ending


def load_ending(data: Path) -> Ending | None:
    """What the mark says; None without one. Raises CeremonyError ceremony.*."""
    raw = _read(data / MARK)
    if raw is None:
        return None
    top = read_file(raw, "the mark of a chain that has ended", MARK_FORMAT, _MAX_BYTES)
    ending = Ending(
        top.take("chain_name", fields.chain_name),
        top.take("height", fields.integer(1, 1 << 62)),
        top.take("block_hash", fields.hex_bytes(32)),
    )
    top.finish()
    return ending


def require_not_ended(data: Path, key_file: Path) -> None:
    """Before an embedded engine starts. Raises CeremonyError graduate.went_on, graduate.ended."""
    record = load_record(key_file)
    if record is not None:
        raise CeremonyError(
            "graduate.went_on",
            f"this chain has gone on as {record.chain_name} from block {record.initial_height}; "
            "its old machine makes no more blocks",
            str(record_beside(key_file)),
            {"chain_name": record.chain_name, "genesis_hash": to_hex(record.genesis_hash)},
        )
    ending = load_ending(data)
    if ending is not None:
        raise CeremonyError(
            "graduate.ended",
            f"{ending.chain_name} was ended with block {ending.height}, to go on as a consortium's",
            str(data / MARK),
            "shelian consortium graduate reopen, if it is not to go on",
        )


def reopen(data: Path, key_file: Path) -> Ending:
    """Take the mark away. Raises CeremonyError graduate.not_ended, graduate.went_on."""
    if load_record(key_file) is not None:
        require_not_ended(data, key_file)
    ending = load_ending(data)
    if ending is None:
        raise CeremonyError("graduate.not_ended", "this chain was not ended", str(data / MARK))
    (data / MARK).unlink()
    return ending


# ---- one signature


def record_beside(key_file: Path) -> Path:
    """validator.key.json -> validator.handover.json"""
    return key_file.with_name(key_file.name.removesuffix(".json").removesuffix(".key") + RECORD_SUFFIX)


def load_record(key_file: Path) -> HandedOver | None:
    """The handover that this key has signed, if any. Raises CeremonyError ceremony.*."""
    raw = _read(record_beside(key_file))
    if raw is None:
        return None
    top = read_file(raw, "the record of a handover", RECORD_FORMAT, _MAX_BYTES)
    record = HandedOver(
        top.take("chain_name", fields.chain_name),
        top.take("genesis_hash", fields.hex_bytes(32)),
        top.take("initial_height", fields.integer(2, 1 << 62)),
        top.take("old_genesis_hash", fields.hex_bytes(32)),
    )
    top.finish()
    return record


def record_handover(key_file: Path, statement: HandoverStatement, genesis: Genesis) -> None:
    """Before this key signs: the one handover that it ever signs. Again for the same one is no other.

    Raises CeremonyError graduate.second_handover.
    """
    wanted = HandedOver(
        genesis.chain_name, genesis.hash, statement.initial_height, statement.old_genesis_hash
    )
    record = load_record(key_file)
    if record == wanted:
        return
    if record is not None:
        raise CeremonyError(
            "graduate.second_handover",
            f"this key has signed that the chain goes on as {record.chain_name}; it signs no second handover",
            wanted.genesis_hash,
            record.genesis_hash,
        )
    content = {
        "format": RECORD_FORMAT,
        "chain_name": wanted.chain_name,
        "genesis_hash": to_hex(wanted.genesis_hash),
        "initial_height": wanted.initial_height,
        "old_genesis_hash": to_hex(wanted.old_genesis_hash),
    }
    replace_file(record_beside(key_file), encode_canonical_json(content))


def _read(path: Path) -> bytes | None:
    """At most a byte more than any such file has."""
    try:
        with path.open("rb") as handle:
            return handle.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CeremonyError(
            "keys.unreadable", "the file cannot be read", f"{path}: {error.strerror or error}"
        ) from None
