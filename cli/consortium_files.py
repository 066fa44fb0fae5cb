"""The ceremony's files on a disk: which there are, where they lie, how they are written.

Beside `genesis.json` lies the ceremony's record, `genesis.ceremony.json`: `merge` writes it with everybody's
enrolment, `check --save` adds signatures. So two files travel together and nobody types names of many.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from network.consortium.ceremony import (
    MAX_RECORD_BYTES,
    MAX_SIGNATURE_BYTES,
    GenesisSignature,
    Record,
    decode_record,
    decode_signature,
    encode_record,
    require_record_of,
)
from network.consortium.enrolment import Enrolment, decode_enrolment
from network.consortium.errors import CeremonyError
from network.consortium.keys import read_bytes
from node.chain.genesis import MAX_GENESIS_BYTES, Genesis, decode_genesis

RECORD_SUFFIX: Final = ".ceremony.json"
_T = TypeVar("_T")


def record_beside(genesis_file: Path) -> Path:
    """genesis.json -> genesis.ceremony.json"""
    return genesis_file.with_name(genesis_file.name.removesuffix(".json") + RECORD_SUFFIX)


def load_genesis_file(path: Path) -> Genesis:
    """Raises CeremonyError keys.unreadable, GenesisError."""
    return decode_genesis(read_bytes(path, MAX_GENESIS_BYTES))


def load_enrolments(paths: Iterable[Path]) -> tuple[Enrolment, ...]:
    """Enrolment files, each verified. Raises CeremonyError, whose message begins with the file's name."""
    return tuple(_named(path, lambda path: decode_enrolment(read_bytes(path))) for path in paths)


def load_ceremony(
    genesis_file: Path, genesis: Genesis, enrolments: Sequence[Path], signatures: Sequence[Path]
) -> tuple[tuple[Enrolment, ...], tuple[GenesisSignature, ...]]:
    """What is known of a genesis: the record beside it, and the files given; the files' enrolments stand
    in place of the record's where any are given.

    Raises CeremonyError ceremony.no_record where there is neither, ceremony.other_genesis for a record of
    another genesis.
    """
    path = record_beside(genesis_file)
    record = None
    if path.exists():
        record = _named(path, lambda path: _record_of(genesis, path))
    elif not enrolments:
        raise CeremonyError(
            "ceremony.no_record",
            "who takes part is not known: the ceremony's record does not lie beside genesis",
            str(path),
            "the file that merge wrote, or --enrolment for every member",
        )
    members = load_enrolments(enrolments) or (record.enrolments if record else ())
    given = tuple(
        _named(one, lambda one: decode_signature(read_bytes(one, MAX_SIGNATURE_BYTES))) for one in signatures
    )
    return members, ((record.signatures if record else ()) + given)


def start_record(genesis_file: Path, genesis: Genesis, enrolments: Sequence[Enrolment]) -> Path:
    """The record without signatures beside a new genesis; a record of the same genesis is left as it is.

    Raises CeremonyError ceremony.other_genesis.
    """
    path = record_beside(genesis_file)
    if not path.exists():
        return save_record(genesis_file, genesis, enrolments, ())
    _named(path, lambda path: _record_of(genesis, path))
    return path


def save_record(
    genesis_file: Path,
    genesis: Genesis,
    enrolments: Sequence[Enrolment],
    signatures: Sequence[GenesisSignature],
) -> Path:
    """Write the record beside genesis, in place of the one that lies there."""
    path = record_beside(genesis_file)
    replace(path, encode_record(Record(genesis.hash, tuple(enrolments), tuple(signatures))))
    return path


def write_new(path: Path, data: bytes) -> None:
    """A file for others. What lies there already is never overwritten, unless it is the same.

    Raises CeremonyError ceremony.output_exists.
    """
    if not path.exists():
        replace(path, data)
    elif path.read_bytes() != data:
        require_absent(path)


def require_absent(path: Path) -> None:
    """Raises CeremonyError ceremony.output_exists where a file lies already."""
    if path.exists():
        raise CeremonyError(
            "ceremony.output_exists",
            "another file lies there; it is not overwritten",
            str(path),
            "a new name",
        )


def replace(path: Path, data: bytes) -> None:
    """The whole file or the old one, never a half."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)


def _record_of(genesis: Genesis, path: Path) -> Record:
    record = decode_record(read_bytes(path, MAX_RECORD_BYTES))
    require_record_of(genesis, record)
    return record


def _named(path: Path, load: Callable[[Path], _T]) -> _T:
    """A refusal says which of many files it is about."""
    try:
        return load(path)
    except CeremonyError as error:
        raise CeremonyError(error.code, f"{path.name}: {error.message}", error.got, error.expected) from None
