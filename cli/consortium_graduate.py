"""`shelian consortium graduate`: a one-machine production ledger goes on as a consortium's.

    on the old machine, node stopped   prepare       -> HANDOVER/old-genesis.json, HANDOVER/snapshot/
    on each agency's machine           (keygen, registrar, enrol for the new chain's name, as for any chain)
    anywhere                           merge         -> HANDOVER/genesis.json, genesis.ceremony.json
    on each agency's machine           sign --keys   -> court.handover.json
    on the old machine                 sign --data   -> old.handover.json
    anywhere                           check --save  -> HANDOVER/handover.json
    on each agency's machine           init          -> DATA, ready for `shelian node`

Every command verifies all of HANDOVER that it finds, by itself, from the old genesis on.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from cli.consortium_data import Addresses, listening, settings_for
from cli.consortium_files import (
    load_enrolments,
    load_genesis_file,
    record_beside,
    replace,
    require_absent,
    start_record,
    write_new,
)
from cli.consortium_genesis import parse_time
from cli.consortium_graduate_data import make_graduated_data
from cli.consortium_options import KeysDirectory, PassphraseFile, passphrase_of
from cli.consortium_words import genesis_summary, genesis_text, in_words
from cli.layout import Layout
from cli.node import load_genesis, validator_key
from cli.output import AsJson, result, say
from identity.keystore import load_key
from network.consortium.ceremony import MAX_RECORD_BYTES, decode_record, require_own, require_record_of
from network.consortium.certificates import moment
from network.consortium.closing import end_chain, is_idle, save_closing
from network.consortium.ended import load_ending, mark_ended, record_handover
from network.consortium.ended import reopen as take_mark_away
from network.consortium.enrolment import Enrolment
from network.consortium.errors import CeremonyError
from network.consortium.graduate import (
    MAX_SIGNED_BYTES,
    End,
    Signed,
    compare,
    continuing_genesis,
    decode_signed,
    encode_signed,
    gather,
    open_closing,
    require_graduating,
    sign_as_agency,
    sign_as_validator,
    statement_of,
)
from network.consortium.keys import (
    KeyDirectory,
    load_agency,
    load_enrolment,
    open_ca,
    read_bytes,
    require_node_keys,
)
from network.consortium.statements import spoken
from network.embedded import ValidatorKey
from node.chain.genesis import Genesis, encode_genesis
from node.chain.handover_certificate import HandoverCertificate
from node.ledger import Ledger
from node.ledger.continuation import try_opening
from node.ledger.shelf import SavedSnapshot

app = typer.Typer(
    no_args_is_help=True, help="升级为联盟链 a one-machine ledger goes on as a consortium's, history kept"
)

Directory = Annotated[Path, typer.Argument(help="交接目录 the handover directory, everywhere the same files")]
Data = Annotated[Path, typer.Option("--data", help="旧链的数据目录 the old chain's data directory")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="只说会做什么 say what would happen, change nothing")]


@dataclass(frozen=True, slots=True)
class Handover:
    """A handover directory."""

    path: Path

    @property
    def old_genesis(self) -> Path:
        return self.path / "old-genesis.json"

    @property
    def snapshot(self) -> Path:
        return self.path / "snapshot"

    @property
    def genesis(self) -> Path:
        return self.path / "genesis.json"

    @property
    def signed(self) -> Path:
        return self.path / "handover.json"


@app.command("prepare")
def prepare(
    data: Data,
    out: Annotated[Path, typer.Option(help="交接目录 handover directory to make")],
    dry_run: DryRun = False,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """On the old machine, its node stopped: end the chain with an empty block, and write what others need.

    From then on no node starts in this directory; `reopen` undoes that until the handover is signed.
    """
    layout, handover = Layout(data.resolve()), Handover(out)
    old = load_genesis(layout)
    require_graduating(old)
    with Ledger.open(layout.ledger, old) as ledger:
        idle = is_idle(ledger)
        ending = load_ending(layout.data)
        if dry_run:
            _tell_plan(layout, ledger, idle=idle, ended=ending is not None, as_json=as_json)
            return
        made = 0
        if not idle:
            made = end_chain(ledger, _old_key(layout, old, passphrase_file), time.time_ns)
        if ending is None:
            ending = mark_ended(layout.data, ledger)
        if (ending.height, ending.block_hash) != (ledger.tip.height, ledger.tip.block_hash):
            raise CeremonyError(
                "graduate.not_the_end",
                "there are blocks above the one that the mark names",
                ledger.tip.height,
                ending.height,
            )
        saved = save_closing(ledger, layout.node / "snapshots")
        last_ns = ledger.tip.time_ns
    handover.path.mkdir(parents=True, exist_ok=True)
    write_new(handover.old_genesis, encode_genesis(old))
    _copy_snapshot(saved, handover.snapshot)
    result(
        {
            "ok": True,
            "handover": handover.path,
            "chain_name": old.chain_name,
            "height": ending.height,
            "block_hash": ending.block_hash,
            "blocks_made": made,
            "state_root": saved.manifest.app_hash,
            "snapshot_hash": saved.hash,
            "spoken": spoken(saved.hash),
        },
        as_json=as_json,
        text="\n".join(
            [
                f"{old.chain_name} 已止于 ended with block {ending.height}，{in_words(moment(last_ns))}",
                f"  状态根 state root 0x{saved.manifest.app_hash.hex()}",
                f"  快照 snapshot   0x{saved.hash.hex()}",
                f"电话核对 to read out: {spoken(saved.hash)}",
                f"交给每一家 give everybody: {handover.path}",
                f"本机不再出块 This machine makes no more blocks; 反悔 to undo: "
                f"shelian consortium graduate reopen --data {data}",
            ]
        ),
    )


@app.command("reopen")
def reopen(data: Data, as_json: AsJson = False) -> None:
    """Let the old machine make blocks again. Not once its key has signed the handover."""
    layout = Layout(data.resolve())
    ending = take_mark_away(layout.data, layout.validator_key)
    result(
        {"ok": True, "data": layout.data, "chain_name": ending.chain_name, "height": ending.height},
        as_json=as_json,
        text=f"{ending.chain_name} 可以继续出块，已发出的交接目录作废 may go on from block {ending.height}; "
        "what was handed out is void",
    )


@app.command("merge")
def merge(
    directory: Directory,
    enrolment: Annotated[
        list[Path], typer.Option("--enrolment", help="登记文件, 每家一份 every member's, for the new name")
    ],
    chain_name: Annotated[
        str, typer.Option(help="新链名 the new chain's name, which every enrolment is for")
    ],
    start: Annotated[
        str, typer.Option("--time", help="开始时间 with its zone, such as 2026-12-01T09:00:00+08:00")
    ],
    as_json: AsJson = False,
) -> None:
    """Make the new genesis of the old chain's end and the enrolments. Everyone gets the same bytes."""
    handover, enrolments = Handover(directory), load_enrolments(enrolment)
    with _opened(handover, enrolments) as (end, ledger):
        made = continuing_genesis(end, enrolments, chain_name=chain_name, genesis_time_ns=parse_time(start))
        _try(ledger, made.genesis)
    write_new(handover.genesis, encode_genesis(made.genesis))
    record = start_record(handover.genesis, made.genesis, made.enrolments)
    result(
        {
            "ok": True,
            "genesis": handover.genesis,
            "record": record,
            **_end_summary(end),
            **genesis_summary(made.genesis),
        },
        as_json=as_json,
        text=f"{_end_text(end)}\n{genesis_text(made.genesis, made.enrolments)}",
    )


@app.command("sign")
def sign(
    directory: Directory,
    out: Annotated[Path, typer.Option(help="签名文件 signature to send to the others")],
    keys: Annotated[
        Path | None, typer.Option("--keys", help="机构密钥目录 the agency's directory of `keygen`")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="旧机器: 数据目录 the old machine's data directory instead")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="已经核对 sign without asking")] = False,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Agree to the handover: as an agency with --keys, as the old machine with --data. All of it is checked.

    The old machine signs once, and for one new genesis only.
    """
    if (keys is None) == (data is None):
        raise CeremonyError(
            "graduate.who_signs",
            "an agency signs with --keys, the old machine with --data",
            None,
            "one of them",
        )
    require_absent(out)
    handover = Handover(directory)
    genesis, members = _load_new(handover)
    with _opened(handover, members) as (end, ledger):
        compare(end, genesis, members)
        _try(ledger, genesis)
    if not yes:
        say(f"{_end_text(end)}\n{genesis_text(genesis, members)}")
        typer.confirm(
            "电话里与每一家核对过这两组数字了吗？ Have both figures been compared with everybody, by voice?",
            abort=True,
            err=True,
        )
    if keys is not None:
        part = _sign_as_agency(end, genesis, members, KeyDirectory(keys), passphrase_file)
    else:
        assert data is not None  # noqa: S101 (for the type checker: one of the two)
        part = _sign_as_old_machine(end, genesis, members, Layout(data.resolve()), passphrase_file)
    write_new(out, encode_signed(part))
    result(
        {"ok": True, "file": out, **_end_summary(end), **genesis_summary(genesis)},
        as_json=as_json,
        text=f"{out}: 已签 signed {end.old.chain_name} {end.height} -> {genesis.chain_name}",
    )


@app.command("check")
def check(
    directory: Directory,
    signature: Annotated[
        list[Path] | None, typer.Option("--signature", help="签名文件, 可多次 repeatable")
    ] = None,
    save: Annotated[
        bool, typer.Option("--save", help="保存 keep the signatures in handover.json beside genesis")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Verify the old chain's end, the new genesis and all signatures. Exit status 1 while one is missing."""
    handover = Handover(directory)
    genesis, members = _load_new(handover)
    with _opened(handover, members) as (end, ledger):
        compare(end, genesis, members)
        _try(ledger, genesis)
    signed = gather(end, genesis, _load_parts(handover, signature or ()))
    if save:
        replace(handover.signed, encode_signed(signed.certificate))
    result(
        {
            "ok": signed.is_complete,
            "saved": handover.signed if save else None,
            **_end_summary(end),
            **genesis_summary(genesis),
            "signed": [name for _, name in signed.signed],
            "missing": [name for _, name in signed.missing],
            "old_power": [signed.old_power, signed.total_power],
        },
        as_json=as_json,
        text=f"{_end_text(end)}\n{genesis_text(genesis, members)}\n{_signed_text(signed)}",
    )
    if not signed.is_complete:
        raise typer.Exit(1)


@app.command("init")
def init(
    directory: Directory,
    keys: KeysDirectory,
    data: Annotated[Path, typer.Option("--data", help="数据目录 data directory to make")],
    ledger: Annotated[
        Path | None,
        typer.Option(
            help="旧链完整账本的数据目录 a stopped data directory with the old chain's whole ledger: "
            "copied, history and all; without it the node begins at the snapshot"
        ),
    ] = None,
    signature: Annotated[
        list[Path] | None, typer.Option("--signature", help="签名文件 besides handover.json, repeatable")
    ] = None,
    p2p: Annotated[
        str | None, typer.Option(help="ip:port to listen on for nodes; default 0.0.0.0 and the enrolled port")
    ] = None,
    rpc: Annotated[str, typer.Option(help="ip:port of CometBFT's RPC, loopback")] = "127.0.0.1:26657",
    metrics: Annotated[str, typer.Option(help="ip:port for Prometheus, loopback")] = "127.0.0.1:26660",
    as_json: AsJson = False,
) -> None:
    """Make this member's data directory: the old ledger, the new genesis, CometBFT. Starts nothing."""
    key_directory = KeyDirectory(keys)
    own = load_enrolment(key_directory)
    node = require_node_keys(key_directory, own)
    handover, layout = Handover(directory), Layout(data.resolve())
    genesis, members = _load_new(handover)
    require_own(members, own)
    with _opened(handover, members) as (end, opened):
        compare(end, genesis, members)
        _try(opened, genesis)
    signed = gather(end, genesis, _load_parts(handover, signature or ()))
    _require_complete(signed)
    settings = settings_for(own, members, Addresses(p2p or listening(own.content.address), rpc, metrics))
    source = None if ledger is None else Layout(ledger.resolve()).ledger
    make_graduated_data(
        layout, end.old, genesis, signed.certificate, members, node, settings, handover.snapshot, source
    )
    say(
        "验证者密钥现在有两份（密钥目录和数据目录）；绝不要用它启动第二个节点。\n"
        "The validator key now lies in two places, the keys and the data directory: never start a second "
        "node with it."
    )
    history = "区块自 1 起 blocks from 1 on" if source else f"区块自 {end.height + 1} 起 blocks from there on"
    result(
        {
            "ok": True,
            "data": layout.data,
            "chain_name": genesis.chain_name,
            "genesis_hash": genesis.hash,
            "initial_height": genesis.initial_height,
            "evm_chain_id": genesis.evm_chain_id,
            "whole_history": source is not None,
            "node_id": node.node_id,
            "peers": list(settings.bootstrap),
        },
        as_json=as_json,
        text=f"{layout.data}: {genesis.chain_name}，genesis 0x{genesis.hash.hex()}，{history}\n"
        f"下一步 next: shelian node --data {layout.data}",
    )


# ---- the files


@contextmanager
def _opened(handover: Handover, enrolments: Sequence[Enrolment]) -> Iterator[tuple[End, Ledger]]:
    """The old chain's end, verified, in a scratch directory."""
    old = load_genesis_file(handover.old_genesis)
    saved = SavedSnapshot.load(handover.snapshot)
    with (
        tempfile.TemporaryDirectory(prefix="shelian-graduate-") as scratch,
        open_closing(old, saved, Path(scratch) / "ledger", enrolments) as opened,
    ):
        yield opened


def _try(ledger: Ledger, genesis: Genesis) -> None:
    """The genesis' calls go through above the old state. Raises GenesisError."""
    with ledger.snapshot() as snapshot:
        try_opening(snapshot, genesis, ledger.executor)


def _load_new(handover: Handover) -> tuple[Genesis, tuple[Enrolment, ...]]:
    """The new genesis, and everybody's enrolments in the order of the members' numbers in it."""
    genesis = load_genesis_file(handover.genesis)
    record = decode_record(read_bytes(record_beside(handover.genesis), MAX_RECORD_BYTES))
    require_record_of(genesis, record)
    place = {one.name: one.id for one in genesis.organisations}
    return genesis, tuple(sorted(record.enrolments, key=lambda one: place.get(one.content.name, 1 << 16)))


def _load_parts(handover: Handover, files: Sequence[Path]) -> list[HandoverCertificate]:
    paths = ([handover.signed] if handover.signed.exists() else []) + list(files)
    return [decode_signed(read_bytes(path, MAX_SIGNED_BYTES), path.name) for path in paths]


def _copy_snapshot(saved: SavedSnapshot, place: Path) -> None:
    if place.exists():
        if SavedSnapshot.load(place).hash == saved.hash:
            return
        require_absent(place)
    making = place.with_name(f".{place.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    shutil.copytree(saved.directory, making)
    making.rename(place)


# ---- signing


def _sign_as_agency(
    end: End, genesis: Genesis, members: Sequence[Enrolment], keys: KeyDirectory, passphrase_file: Path | None
) -> HandoverCertificate:
    agency, own = load_agency(keys), load_enrolment(keys)
    require_own(members, own)
    ca = open_ca(keys, agency, passphrase_of(agency.purpose, passphrase_file))
    return sign_as_agency(end, genesis, members, own, ca)


def _sign_as_old_machine(
    end: End, genesis: Genesis, members: Sequence[Enrolment], layout: Layout, passphrase_file: Path | None
) -> HandoverCertificate:
    """Only where the chain really ends with this block, and for no second genesis."""
    ending = load_ending(layout.data)
    with Ledger.open(layout.ledger, end.old) as ledger:
        tip = ledger.tip
    if ending is None or (ending.height, ending.block_hash) != (tip.height, tip.block_hash):
        raise CeremonyError(
            "graduate.not_the_end", "the old chain is not ended with this block; prepare again", tip.height
        )
    if tip.height != end.height or tip.app_hash != end.state_root:
        raise CeremonyError(
            "graduate.not_the_end", "the handover is of another block", end.height, tip.height
        )
    key = _old_key(layout, end.old, passphrase_file)
    record_handover(layout.validator_key, statement_of(end, genesis), genesis)
    return sign_as_validator(end, genesis, members, key.public_key, key.sign)


def _old_key(layout: Layout, old: Genesis, passphrase_file: Path | None) -> ValidatorKey:
    passphrase = passphrase_of(old.purpose, passphrase_file)
    return validator_key(load_key(layout.validator_key, passphrase, chain_purpose=old.purpose))


def _require_complete(signed: Signed) -> None:
    if signed.missing:
        raise CeremonyError(
            "graduate.not_signed", "not every agency has signed", [name for _, name in signed.missing]
        )
    if not signed.is_complete:
        raise CeremonyError(
            "graduate.not_signed", "the old machine has not signed", signed.old_power, signed.total_power
        )


# ---- words


def _tell_plan(layout: Layout, ledger: Ledger, *, idle: bool, ended: bool, as_json: bool) -> None:
    tip = ledger.tip
    blocks = "不需再出块 no block is needed" if idle else "再出一个空块 an empty block is made"
    lines = [
        f"{ledger.genesis.chain_name}，块 block {tip.height}，{in_words(moment(tip.time_ns))}",
        f"  {blocks}",
        "  做快照，写交接目录 a snapshot is made, the handover directory written",
        "  已标记结束 it is marked as ended already"
        if ended
        else f"  标记 {layout.data / 'graduated.json'}：本机不再出块 this machine makes no more blocks",
        "什么也没改 nothing was changed",
    ]
    result(
        {"ok": True, "dry_run": True, "height": tip.height, "idle": idle, "ended": ended},
        as_json=as_json,
        text="\n".join(lines),
    )


def _end_text(end: End) -> str:
    header = end.block.header
    return "\n".join(
        [
            f"旧链 old chain {end.old.chain_name}，止于 ends with block {end.height}，"
            f"{in_words(moment(header.time_ns))}",
            f"  旧创世 old genesis 0x{end.old.hash.hex()}",
            f"  状态根 state root  0x{end.state_root.hex()}",
            f"  快照 snapshot      0x{end.snapshot_hash.hex()}",
            f"电话核对 to read out: {spoken(end.snapshot_hash)}",
        ]
    )


def _end_summary(end: End) -> dict[str, object]:
    return {
        "old_chain_name": end.old.chain_name,
        "old_genesis_hash": end.old.hash,
        "height": end.height,
        "state_root": end.state_root,
        "snapshot_hash": end.snapshot_hash,
        "end_spoken": spoken(end.snapshot_hash),
    }


def _signed_text(signed: Signed) -> str:
    lines = [f"  已签 signed   {id:>3}  {name}" for id, name in signed.signed]
    lines += [f"  未签 MISSING  {id:>3}  {name}" for id, name in signed.missing]
    old = "已签 signed " if signed.old_power * 3 > signed.total_power * 2 else "未签 MISSING"
    lines.append(f"  {old}  旧机器 the old machine")
    done = "全部签名 everybody has signed" if signed.is_complete else "还不能启动 not ready to start"
    return "\n".join([*lines, done])
