"""`shelian consortium show | merge | sign | check`: from the enrolments to a genesis that all have signed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.markup import escape

from cli.consortium_files import (
    load_ceremony,
    load_enrolments,
    load_genesis_file,
    save_record,
    start_record,
    write_new,
)
from cli.consortium_options import (
    Enrolments,
    GenesisFile,
    KeysDirectory,
    PassphraseFile,
    Signatures,
    passphrase_of,
)
from cli.consortium_words import (
    enrolment_summary,
    enrolment_text,
    genesis_summary,
    genesis_text,
    registrar_text,
    relying_party_line,
    remarks_text,
    signature_text,
    standing_summary,
    standing_text,
)
from cli.output import AsJson, result, say
from network.consortium import enrolment as enrolments
from network.consortium import registrars, relying_parties
from network.consortium.ceremony import (
    RECORD_FORMAT,
    SIGNATURE_FORMAT,
    check_ceremony,
    compare,
    decode_record,
    decode_signature,
    encode_signature,
    require_own,
    sign_genesis,
)
from network.consortium.enrolment import decode_enrolment
from network.consortium.errors import CeremonyError
from network.consortium.keys import KeyDirectory, load_agency, load_enrolment, open_ca, read_bytes
from network.consortium.merge import arrange, remarks
from network.consortium.merge import merge as merge_enrolments
from network.consortium.statements import spoken
from node.chain.encoding import decode_strict_json
from node.chain.errors import DecodeError
from node.chain.genesis import FORMAT as GENESIS_FORMAT
from node.chain.genesis import decode_genesis, encode_genesis

_MAX_FILE_BYTES: Final = 32 << 20
_SECOND_NS: Final = 1_000_000_000


def show(
    file: Annotated[Path, typer.Argument(help="any file of the ceremony")], as_json: AsJson = False
) -> None:
    """Say in plain words what a file of the ceremony says, with figures to read out over the telephone."""
    raw = read_bytes(file, _MAX_FILE_BYTES)
    try:
        document = decode_strict_json(raw, _MAX_FILE_BYTES)
    except DecodeError as error:
        raise CeremonyError("ceremony.malformed", f"{file.name}: {error.message}", error.got) from None
    format = document.get("format") if isinstance(document, dict) else None
    shown = _SHOWN.get(format) if isinstance(format, str) else None
    if shown is None:
        raise CeremonyError("ceremony.other_format", "no file of the ceremony", format, sorted(_SHOWN))
    summary, text = shown(raw)
    result({"ok": True, "format": format, **summary}, as_json=as_json, text=text)


def merge(
    files: Annotated[list[Path], typer.Argument(help="每家的登记文件 everybody's enrolment files")],
    chain_name: Annotated[str, typer.Option(help="链名 the name that every enrolment is for")],
    time: Annotated[
        str,
        typer.Option(help="创世时间 with its zone, such as 2026-12-01T09:00:00+08:00; blocks begin then"),
    ],
    out: Annotated[Path, typer.Option(help="genesis.json to write; the record comes beside it")],
    systems: Annotated[
        str, typer.Option(help="系统 correction, sharing, or both with a comma")
    ] = "correction",
    as_json: AsJson = False,
) -> None:
    """Make one genesis of everybody's enrolments. Anyone may; everyone gets the same bytes."""
    merged = merge_enrolments(
        load_enrolments(files),
        chain_name=chain_name,
        systems=systems.split(","),
        genesis_time_ns=parse_time(time),
    )
    write_new(out, encode_genesis(merged.genesis))
    record = start_record(out, merged.genesis, merged.enrolments)
    text = genesis_text(merged.genesis, merged.enrolments)
    result(
        {
            "ok": True,
            "genesis": out,
            "record": record,
            **genesis_summary(merged.genesis),
            "remarks": [one.code for one in merged.remarks],
        },
        as_json=as_json,
        text="\n".join(part for part in (f"{out}, {record}", text, remarks_text(merged.remarks)) if part),
    )


def sign(
    genesis_file: GenesisFile,
    keys: KeysDirectory,
    out: Annotated[Path, typer.Option(help="签名文件 signature to send to the others")],
    enrolment: Enrolments = None,
    yes: Annotated[bool, typer.Option("--yes", help="已经核对 sign without asking")] = False,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Agree to a genesis: checks all of it, shows it, asks, and signs its hash with the agency's CA key."""
    directory = KeyDirectory(keys)
    agency, own = load_agency(directory), load_enrolment(directory)
    genesis = load_genesis_file(genesis_file)
    members, _ = load_ceremony(genesis_file, genesis, enrolment or (), ())
    require_own(members, own)
    compare(genesis, members)
    if not yes:
        everybody = arrange(members)
        say(genesis_text(genesis, everybody))
        say(escape(remarks_text(remarks(everybody, genesis.genesis_time_ns))))
        typer.confirm(
            "电话里与每一家核对过这些数字了吗？ Have the figures been compared with every member, by voice?",
            abort=True,
            err=True,
        )
    ca = open_ca(directory, agency, passphrase_of(agency.purpose, passphrase_file))
    signature = sign_genesis(genesis, members, own, ca)
    write_new(out, encode_signature(signature))
    result(
        {"ok": True, "file": out, **genesis_summary(genesis)},
        as_json=as_json,
        text=f"{out}: {own.who} 已签 signed 0x{genesis.hash.hex()}",
    )


def check(
    genesis_file: GenesisFile,
    enrolment: Enrolments = None,
    signature: Signatures = None,
    save: Annotated[
        bool, typer.Option("--save", help="保存 keep enrolments and signatures in the record beside genesis")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Is everybody's enrolment in the genesis exactly, and has everybody signed it?

    Works offline, years later. Exit status 1 as long as a signature is missing.
    """
    genesis = load_genesis_file(genesis_file)
    members, signatures = load_ceremony(genesis_file, genesis, enrolment or (), signature or ())
    standing = check_ceremony(genesis, members, signatures)
    saved = save_record(genesis_file, genesis, members, signatures) if save else None
    result(
        {
            "ok": standing.is_complete,
            "record": saved,
            **genesis_summary(genesis),
            **standing_summary(standing),
        },
        as_json=as_json,
        text=f"{genesis_text(genesis, standing.members)}\n{standing_text(standing)}",
    )
    if not standing.is_complete:
        raise typer.Exit(1)


def parse_time(text: str) -> int:
    """ISO 8601 with a zone, whole seconds, as nanoseconds since the epoch.

    Raises CeremonyError ceremony.time.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None or time.microsecond or time.year < 1971:
        raise CeremonyError(
            "ceremony.time", "a time with its zone, in whole seconds", text, "2026-12-01T09:00:00+08:00"
        )
    return int(time.timestamp()) * _SECOND_NS


# ---- what `show` says, by the file's format

_Shown = tuple[Mapping[str, Any], str]


def _enrolment(raw: bytes) -> _Shown:
    enrolment = decode_enrolment(raw)
    return enrolment_summary(enrolment), enrolment_text(enrolment, datetime.now(UTC))


def _registrar(raw: bytes) -> _Shown:
    statement = registrars.decode_registrar_statement(raw)
    one = statement.registrar
    summary = {
        "chain_name": statement.chain_name,
        "kind": statement.kind,
        "name": statement.organisation,
        "identity": one.identity,
        "scheme": one.scheme,
        "public_key": one.public_key,
    }
    return summary, registrar_text(statement)


def _relying_party(raw: bytes) -> _Shown:
    row = relying_parties.decode_relying_party(raw)
    return relying_parties.as_json(row), relying_party_line(row)


def _signature(raw: bytes) -> _Shown:
    one = decode_signature(raw)
    summary = {
        "chain_name": one.chain_name,
        "kind": one.kind,
        "name": one.organisation,
        "genesis_hash": one.genesis_hash,
        "spoken": spoken(one.genesis_hash),
    }
    return summary, signature_text(one)


def _record(raw: bytes) -> _Shown:
    record = decode_record(raw)
    summary = {
        "genesis_hash": record.genesis_hash,
        "spoken": spoken(record.genesis_hash),
        "enrolments": [enrolment_summary(one) for one in record.enrolments],
        "signatures": [f"{one.organisation} ({one.kind})" for one in record.signatures],
    }
    lines = [enrolment_text(one, datetime.now(UTC)) for one in record.enrolments]
    lines += [signature_text(one) for one in record.signatures]
    return summary, "\n\n".join(lines)


def _genesis(raw: bytes) -> _Shown:
    genesis = decode_genesis(raw)
    return genesis_summary(genesis), genesis_text(genesis)


_SHOWN: Final[Mapping[str, Callable[[bytes], _Shown]]] = {
    enrolments.FORMAT: _enrolment,
    registrars.FORMAT: _registrar,
    relying_parties.FORMAT: _relying_party,
    SIGNATURE_FORMAT: _signature,
    RECORD_FORMAT: _record,
    GENESIS_FORMAT: _genesis,
}
