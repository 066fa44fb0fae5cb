"""`shelian node snapshot`: a ledger's state at one height, made, listed, verified, made a ledger again."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cli.layout import Layout
from cli.node import load_genesis
from cli.output import AsJson, console, result
from cli.system import SystemFault
from node.chain.errors import DecodeError, GenesisError, ShelianError
from node.chain.genesis import Genesis, decode_genesis
from node.chain.header import Header, decode_header
from node.ledger import Ledger
from node.ledger.building import build_ledger
from node.ledger.manifest import require_app_hash, require_header, require_of_chain
from node.ledger.restore import Restore, finish_restore, require_without_blocks
from node.ledger.shelf import SavedSnapshot, Shelf

app = typer.Typer(help="快照：某一高度的账本状态 snapshots: the ledger's state at one height")

Data = Annotated[Path, typer.Option("--data", help="数据目录 data directory, not in use")]
Directory = Annotated[Path, typer.Argument(help="快照目录 the snapshot's directory")]
GenesisFile = Annotated[Path, typer.Option("--genesis", help="创世文件 the chain's genesis file")]
AppHash = Annotated[
    str | None,
    typer.Option(help="可信的状态根 app_hash of the header after its block, from someone you trust"),
]
HeaderHex = Annotated[
    str | None,
    typer.Option("--header", help="可信的区块头 that whole header: `encoded` of shelian_getHeader"),
]


@app.command()
def create(
    data: Data = Path("data"),
    keep: Annotated[int, typer.Option(min=1, help="how many to keep, newest first")] = 2,
    as_json: AsJson = False,
) -> None:
    """Make a snapshot of a stopped node's newest block; older ones beyond --keep are removed."""
    layout = Layout(data.resolve())
    shelf = _shelf(layout)
    with Ledger.open(layout.ledger, load_genesis(layout)) as ledger, ledger.snapshot() as snapshot:
        shelf.clean()
        saved = shelf.create(snapshot, ledger.genesis)
        removed = shelf.keep(keep, {snapshot.base, snapshot.tip.height})
    lines = [f"已做成 made: {saved.directory}", *_lines(saved)]
    lines += [f"  已删除 removed: {height}" for height in removed]
    result({"ok": True, **_document(saved), "removed": list(removed)}, as_json=as_json, text="\n".join(lines))


@app.command("list")
def list_snapshots(data: Data = Path("data"), as_json: AsJson = False) -> None:
    """List the snapshots of a data directory, newest first; the node may be running."""
    shelf = _shelf(Layout(data.resolve()))
    lines, documents = [], []
    for height in shelf.heights():
        try:
            saved = shelf.find(height)
        except ShelianError as error:
            lines.append(f"{height}: 不可读 cannot be read: {error}")
            documents.append({"height": height, "error": error.as_dict()})
            continue
        if saved is not None:
            lines += [f"{height}: {saved.directory}", *_lines(saved)]
            documents.append(_document(saved))
    text = "\n".join(lines) or f"没有快照 no snapshots in {shelf.directory}"
    result({"ok": True, "snapshots": documents}, as_json=as_json, text=text)


@app.command()
def verify(
    directory: Directory,
    genesis_file: GenesisFile,
    app_hash: AppHash = None,
    header: HeaderHex = None,
    as_json: AsJson = False,
) -> None:
    """Verify a snapshot by itself: every chunk, all storage, the state root; and against what you trust."""
    genesis = _read_genesis(genesis_file)
    saved = SavedSnapshot.load(directory.resolve())
    trusted = _require_trusted(saved, genesis, app_hash, header)
    with tempfile.TemporaryDirectory(prefix="shelian-snapshot-") as scratch:
        _build(Path(scratch) / "ledger", genesis, saved, as_json=as_json)
    lines = [f"通过 passed: {directory}", *_lines(saved), *(f"  {one}" for one in _proved(saved, trusted))]
    result(
        {"ok": True, **_document(saved), "compared_with": trusted, "notes": _proved(saved, trusted)},
        as_json=as_json,
        text="\n".join(lines),
    )


@app.command()
def restore(
    directory: Directory,
    genesis_file: GenesisFile,
    data: Annotated[Path, typer.Option("--data", help="新的数据目录 new data directory")] = Path("data"),
    app_hash: AppHash = None,
    header: HeaderHex = None,
    as_json: AsJson = False,
) -> None:
    """Make a data directory that goes on from a snapshot. Cut off, run it again."""
    layout = Layout(data.resolve())
    genesis = _read_genesis(genesis_file)
    saved = SavedSnapshot.load(directory.resolve())
    trusted = _require_trusted(saved, genesis, app_hash, header)
    if trusted is None:
        raise SystemFault(
            "snapshot.not_trusted",
            "a snapshot is restored against a state root that you trust",
            None,
            "--app-hash or --header, of the block after it, from another agency's node",
        )
    layout.node.mkdir(parents=True, exist_ok=True, mode=0o700)
    if layout.genesis.exists() and load_genesis(layout).hash != genesis.hash:
        raise SystemFault("snapshot.other_data", "the data directory is of another chain", str(layout.data))
    finish_restore(layout.ledger)
    require_without_blocks(layout.ledger)
    restoring = Restore.begin(layout.ledger, genesis, saved.encoded, saved.manifest.app_hash)
    for index in restoring.missing:
        stored = saved.load_stored(index)
        if stored is None:
            saved.load_chunk(index)
        else:
            restoring.add_chunk(index, stored)
    witness = saved.load_witness()
    if witness is not None:
        restoring.add_witness(witness)
    with _bar(as_json=as_json) as bar:
        task = bar.add_task("chunks", total=None)
        made = restoring.build(lambda done, total: bar.update(task, completed=done, total=total))
    made.put_in_place(layout.ledger, _shelf(layout).directory)
    if not layout.genesis.exists():
        layout.genesis.write_bytes(genesis_file.read_bytes())
    height = saved.manifest.height
    lines = [
        f"已恢复 restored: {layout.data}",
        *_lines(saved),
        *(f"  {one}" for one in _proved(saved, trusted)),
        f"  区块从 {height + 1} 起；更早的不在此。Blocks from {height + 1} on; no older ones.",
        f"  启动 start: shelian node --data {data}",
    ]
    document = {"ok": True, "data": layout.data, **_document(saved), "compared_with": trusted}
    result(document, as_json=as_json, text="\n".join(lines))


def _shelf(layout: Layout) -> Shelf:
    return Shelf(layout.node / "snapshots")


def _read_genesis(file: Path) -> Genesis:
    try:
        return decode_genesis(file.read_bytes())
    except OSError as error:
        raise GenesisError(
            "genesis.unreadable", "the genesis file cannot be read", str(error), file
        ) from None


def _require_trusted(
    saved: SavedSnapshot, genesis: Genesis, app_hash: str | None, header: str | None
) -> str | None:
    """What the snapshot was compared with; None where nothing was given. Raises SnapshotRefused,
    SystemFault.
    """
    require_of_chain(saved.manifest, genesis.chain_name, genesis.hash)
    if app_hash is not None:
        require_app_hash(saved.manifest, _unhex("--app-hash", app_hash))
    if header is not None:
        require_header(saved.manifest, _header(header))
        return "header"
    return None if app_hash is None else "app_hash"


def _header(text: str) -> Header:
    try:
        return decode_header(_unhex("--header", text))
    except DecodeError as error:
        raise SystemFault("snapshot.bad_option", f"--header: {error.message}", error.got) from error


def _unhex(name: str, text: str) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise SystemFault("snapshot.bad_option", f"{name} is not hexadecimal", text[:80]) from None


def _build(path: Path, genesis: Genesis, saved: SavedSnapshot, *, as_json: bool) -> None:
    with _bar(as_json=as_json) as bar:
        task = bar.add_task("chunks", total=None)
        build_ledger(path, genesis, saved, lambda done, total: bar.update(task, completed=done, total=total))


def _bar(*, as_json: bool) -> Progress:
    columns = (TextColumn("重建 rebuilding"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, console=console, disable=as_json, transient=True)


def _proved(saved: SavedSnapshot, trusted: str | None) -> list[str]:
    """What is known now, and what is not."""
    state = "每一条记录合成此状态根 every record together gives this state root"
    rest = "区块哈希、时间、验证者未核对 the block's hash and time and the validators were not compared"
    match trusted:
        case "header":
            said = [state, "与可信区块头一致 agrees with the header that you trust"]
        case "app_hash":
            said = [state, "与可信状态根一致 agrees with the app hash that you trust", rest]
        case _:
            said = [
                state,
                "未与可信来源比较 compared with nothing that you trust: compare app_hash with "
                f"header {saved.manifest.height + 1} of a node you trust (--app-hash, --header)",
            ]
    if saved.load_witness() is not None:
        said.append("附有区块头与签名 its block's header and commit are beside it, rightly signed")
    return said


def _lines(saved: SavedSnapshot) -> list[str]:
    manifest = saved.manifest
    return [
        f"  高度 height {manifest.height}, {_time(manifest.block.time_ns)}, {manifest.chain_name}",
        f"  状态根 app_hash 0x{manifest.app_hash.hex()}",
        f"  快照 snapshot 0x{saved.hash.hex()}",
        f"  {manifest.accounts} 账户 accounts, {manifest.slots} 存储 slots, {manifest.codes} 代码 codes; "
        f"{len(manifest.chunks)} 块 chunks, {saved.stored_bytes} bytes",
    ]


def _document(saved: SavedSnapshot) -> dict[str, Any]:
    manifest = saved.manifest
    return {
        "height": manifest.height,
        "block_hash": manifest.block.hash,
        "app_hash": manifest.app_hash,
        "time": _time(manifest.block.time_ns),
        "hash": saved.hash,
        "directory": saved.directory,
        "accounts": manifest.accounts,
        "slots": manifest.slots,
        "codes": manifest.codes,
        "chunks": len(manifest.chunks),
        "bytes": saved.stored_bytes,
    }


def _time(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
