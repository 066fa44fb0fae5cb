"""The manifest of a snapshot: what the state is of, and the hash of every chunk of it.

Canonical JSON (sorted keys, no spaces), so that it has one hash: that hash names the snapshot. Two nodes at
the same height make the same manifest, byte for byte: everything in it follows from the chain. What a node
may have or not have (header and commit of the block) is not in it. docs/SNAPSHOTS.md has the format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Final, NoReturn

from node.chain.encoding import decode_strict_json, encode_canonical_json, sha256
from node.chain.errors import DecodeError, ShelianError
from node.chain.header import Header
from node.chain.rules import SCHEME_SLOTS, Rules
from node.chain.validators import Validator, validators_hash
from node.state.blocks import BlockRecord, StoredValidator

FORMAT: Final = "shelian-snapshot/1"
MAX_MANIFEST_BYTES: Final = 3_500_000
"""CometBFT takes 4,000,000 bytes for the message that holds it."""
MAX_CHUNKS: Final = 1 << 15

_MAX_NUMBER: Final = 1 << 256
_MAX_HEIGHT: Final = 1 << 63

ValidatorSet = tuple[StoredValidator, ...]


class SnapshotRefused(ShelianError):
    """A snapshot that is malformed, damaged, of another chain, or not the state that is trusted."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a snapshot holds.

    Attributes:
        chain_name, genesis_hash: of the chain.
        block: the record of the block whose state it is. `state_root` and `results_hash` of it are `app_hash`
            and `last_results_hash` of the header after it.
        validators: the sets that sign this height, the next one and the one after it.
        rules: in force at the next height.
        accounts, slots, codes: how many.
        raw_bytes: of all chunks, not compressed.
        chunks: sha256 of each chunk, not compressed, in order.
    """

    chain_name: str
    genesis_hash: bytes
    block: BlockRecord
    validators: tuple[ValidatorSet, ValidatorSet, ValidatorSet]
    rules: Rules
    accounts: int
    slots: int
    codes: int
    raw_bytes: int
    chunks: tuple[bytes, ...]

    @property
    def height(self) -> int:
        return self.block.height

    @property
    def app_hash(self) -> bytes:
        """The state root, which the header after the block states."""
        return self.block.state_root


def encode_manifest(manifest: Manifest) -> bytes:
    block = manifest.block
    return encode_canonical_json(
        {
            "format": FORMAT,
            "chain_name": manifest.chain_name,
            "genesis_hash": _hex(manifest.genesis_hash),
            "height": block.height,
            "block_hash": _hex(block.hash),
            "time_ns": block.time_ns,
            "proposer_address": _hex(block.proposer_address),
            "app_hash": _hex(block.state_root),
            "last_results_hash": _hex(block.results_hash),
            "rules_version": block.rules_version,
            "gas_limit": block.gas_limit,
            "gas_used": block.gas_used,
            "logs_bloom": _hex(block.logs_bloom),
            "transaction_count": block.transaction_count,
            "transaction_bytes": block.size,
            "validators": [
                [[_hex(one.public_key), one.power] for one in validators]
                for validators in manifest.validators
            ],
            "next_rules": asdict(manifest.rules),
            "accounts": manifest.accounts,
            "slots": manifest.slots,
            "codes": manifest.codes,
            "raw_bytes": manifest.raw_bytes,
            "chunks": [chunk.hex() for chunk in manifest.chunks],
        }
    )


def manifest_hash(encoded: bytes) -> bytes:
    """What names the snapshot: sha256 of the manifest's bytes."""
    return sha256(encoded)


def decode_manifest(encoded: bytes) -> Manifest:
    """The manifest that `encoded` is the only encoding of. Raises SnapshotRefused snapshot.format,
    snapshot.manifest.
    """
    try:
        document = decode_strict_json(encoded, MAX_MANIFEST_BYTES)
    except DecodeError as error:
        raise SnapshotRefused("snapshot.manifest", error.message, error.got, error.expected) from error
    if not isinstance(document, dict):
        _malformed("the manifest", type(document).__name__)
    if document.get("format") != FORMAT:
        raise SnapshotRefused(
            "snapshot.format", "the snapshot is of another format", document.get("format"), FORMAT
        )
    sets = [_validators(one) for one in _list(document, "validators", 3)]
    if len(sets) != 3:
        _malformed("validators", len(sets))
    chunks = _list(document, "chunks", MAX_CHUNKS)
    manifest = Manifest(
        chain_name=_text(document, "chain_name"),
        genesis_hash=_bytes(document, "genesis_hash", 32),
        block=BlockRecord(
            height=_number(document, "height", _MAX_HEIGHT),
            hash=_bytes(document, "block_hash", 32),
            time_ns=_number(document, "time_ns", _MAX_HEIGHT),
            proposer_address=_bytes(document, "proposer_address", 20),
            state_root=_bytes(document, "app_hash", 32),
            results_hash=_bytes(document, "last_results_hash", 32),
            rules_version=_number(document, "rules_version"),
            gas_limit=_number(document, "gas_limit"),
            gas_used=_number(document, "gas_used"),
            logs_bloom=_bytes(document, "logs_bloom", 256),
            transaction_count=_number(document, "transaction_count"),
            size=_number(document, "transaction_bytes"),
        ),
        validators=(sets[0], sets[1], sets[2]),
        rules=_rules(document.get("next_rules")),
        accounts=_number(document, "accounts"),
        slots=_number(document, "slots"),
        codes=_number(document, "codes"),
        raw_bytes=_number(document, "raw_bytes"),
        chunks=tuple(_unhex("chunks", chunk, 32) for chunk in chunks),
    )
    if manifest.height == 0 or not manifest.chunks or not all(manifest.validators):
        _malformed("height, chunks or validators", [manifest.height, len(manifest.chunks)])
    if encode_manifest(manifest) != encoded:
        raise SnapshotRefused("snapshot.manifest", "the manifest is not in its one canonical form")
    return manifest


def require_of_chain(manifest: Manifest, chain_name: str, genesis_hash: bytes) -> None:
    """Raises SnapshotRefused snapshot.other_chain."""
    got, expected = (manifest.chain_name, manifest.genesis_hash), (chain_name, genesis_hash)
    if got != expected:
        raise SnapshotRefused("snapshot.other_chain", "the snapshot is of another chain", got, expected)


def require_app_hash(manifest: Manifest, app_hash: bytes) -> None:
    """Raises SnapshotRefused snapshot.app_hash unless the state is the one that is trusted."""
    if manifest.app_hash != app_hash:
        raise SnapshotRefused(
            "snapshot.app_hash", "the snapshot is of another state", manifest.app_hash, app_hash
        )


def require_header(manifest: Manifest, header: Header) -> None:
    """Everything that the header after the block says of it, when that header is trusted.

    Raises SnapshotRefused snapshot.header (got and expected: name and value), snapshot.app_hash.
    """
    if header.height != manifest.height + 1:
        raise SnapshotRefused(
            "snapshot.header",
            "the header after the snapshot's block is asked for",
            header.height,
            manifest.height + 1,
        )
    require_app_hash(manifest, header.app_hash)
    _, following, after_it = manifest.validators
    for name, got, expected in (
        ("chain_name", manifest.chain_name, header.chain_name),
        ("block_hash", manifest.block.hash, header.last_block_id.hash),
        ("last_results_hash", manifest.block.results_hash, header.last_results_hash),
        ("validators", hash_of(following), header.validators_hash),
        ("next validators", hash_of(after_it), header.next_validators_hash),
        ("rules", manifest.rules.version, header.app_version),
    ):
        if got != expected:
            raise SnapshotRefused(
                "snapshot.header", "the header says something else", [name, got], [name, expected]
            )


def hash_of(validators: Sequence[StoredValidator]) -> bytes:
    """As headers state it."""
    return validators_hash([Validator(one.public_key, one.power) for one in validators])


def _hex(raw: bytes) -> str:
    return "0x" + raw.hex()


def _malformed(name: str, got: object) -> NoReturn:
    shown = got if isinstance(got, int | list) or got is None else str(got)[:80]
    raise SnapshotRefused("snapshot.manifest", f"the manifest is malformed: {name}", shown)


def _text(document: Mapping[str, object], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        _malformed(name, value)
    return value


def _number(document: Mapping[str, object], name: str, below: int = _MAX_NUMBER) -> int:
    value = document.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < below:
        _malformed(name, value)
    return value


def _list(document: Mapping[str, object], name: str, most: int) -> list[object]:
    value = document.get(name)
    if not isinstance(value, list) or len(value) > most:
        _malformed(name, len(value) if isinstance(value, list) else value)
    return value


def _bytes(document: Mapping[str, object], name: str, size: int) -> bytes:
    value = document.get(name)
    return _unhex(name, value[2:] if isinstance(value, str) and value.startswith("0x") else None, size)


def _unhex(name: str, value: object, size: int) -> bytes:
    if not isinstance(value, str) or len(value) != 2 * size:
        _malformed(name, value)
    try:
        return bytes.fromhex(value)
    except ValueError:
        _malformed(name, value)


def _validators(value: object) -> ValidatorSet:
    if not isinstance(value, list):
        _malformed("validators", value)
    found = []
    for entry in value:
        if not isinstance(entry, list) or len(entry) != 2:
            _malformed("validators", str(entry))
        row = {"public key": entry[0], "power": entry[1]}
        found.append(StoredValidator(_bytes(row, "public key", 32), _number(row, "power", _MAX_HEIGHT)))
    return tuple(found)


def _rules(value: object) -> Rules:
    if not isinstance(value, dict):
        _malformed("next_rules", value)
    numbers = {
        field.name: _number(value, field.name) for field in fields(Rules) if field.name != "scheme_gas"
    }
    prices = _list(value, "scheme_gas", SCHEME_SLOTS)
    gas = tuple(_number({"price": price}, "price") for price in prices)
    return Rules(**numbers, scheme_gas=gas)
