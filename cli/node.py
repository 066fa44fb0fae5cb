"""`shelian node`: run one node until it is told to stop; below it, what is done to a stopped one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import structlog
import typer

from cli.layout import Layout
from cli.lazy import lazy_group
from cli.logs import configure_logs
from cli.passphrase import passphrase_for
from cli.system import DEFAULT_PORT_BASE, OFFSETS, SystemFault
from identity.keys import KeyPair
from identity.keystore import load_key
from network.consortium.ended import require_not_ended
from network.embedded import Pace, ValidatorKey
from network.operations.config import PORT_ABOVE_RPC, operations_config
from network.runner import CometConfig, EmbeddedConfig, HistoryFrom, NodeConfig, run_node
from node.chain.errors import GenesisError, ShelianError
from node.chain.genesis import Genesis, decode_genesis
from node.ledger.retention import Retention
from node.rpc.access import load_tokens
from node.rpc.config import LOOPBACK_NAMES, RpcConfig, Tls

app = typer.Typer(
    cls=lazy_group(
        {
            "repair": "cli.repair:repair",
            "backup": "cli.backup:backup",
            "restore": "cli.backup:restore",
            "snapshot": "cli.snapshot:app",
            "status": "cli.node_status:status",
        }
    )
)

_log = structlog.get_logger("cli.node")


@app.callback(invoke_without_command=True)
def node(
    context: typer.Context,
    data: Annotated[Path, typer.Option("--data", help="数据目录 data directory")] = Path("data"),
    host: Annotated[
        str, typer.Option(help="address to listen on; beyond loopback tokens or mTLS are required")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="JSON-RPC, HTTP and WebSocket")] = DEFAULT_PORT_BASE
    + OFFSETS["node"],
    heartbeat: Annotated[
        float, typer.Option(help="seconds without a block, at most; a consortium's are in its settings.json")
    ] = 60.0,
    history: Annotated[
        str,
        typer.Option(help="旧状态 old states to keep: archive (all), recent:N, snapshot:EVERY[:KEEP]"),
    ] = "archive",
    snapshot_every: Annotated[
        int, typer.Option(min=0, help="快照 blocks between snapshots that joining nodes begin with; 0 = none")
    ] = 0,
    history_from: Annotated[
        list[str] | None,
        typer.Option(help="旧区块 node to fetch blocks below a snapshot from (URL), repeatable"),
    ] = None,
    history_token_file: Annotated[
        Path | None, typer.Option(help="file with the bearer token that those nodes ask for")
    ] = None,
    history_ca: Annotated[Path | None, typer.Option(help="certificates (PEM) for their TLS")] = None,
    tokens: Annotated[Path | None, typer.Option(help="file of bearer tokens and their scopes")] = None,
    certificate: Annotated[Path | None, typer.Option(help="TLS certificate (PEM)")] = None,
    certificate_key: Annotated[Path | None, typer.Option(help="its private key (PEM)")] = None,
    client_ca: Annotated[
        Path | None, typer.Option(help="mTLS: callers need a certificate of this CA")
    ] = None,
    allowed_host: Annotated[list[str] | None, typer.Option(help="name accepted in Host, repeatable")] = None,
    allowed_origin: Annotated[
        list[str] | None, typer.Option(help="web origin that may call, repeatable")
    ] = None,
    operations: Annotated[
        str | None,
        typer.Option(
            help="运维端口 status page, metrics, health: HOST:PORT, or off; by default JSON-RPC's port + 36"
        ),
    ] = None,
    passphrase_file: Annotated[Path | None, typer.Option(help="opens the validator key")] = None,
    log_json: Annotated[
        bool, typer.Option("--json", "--log-json", help="structured logs, one JSON object a line")
    ] = False,
) -> None:
    """Run one node: ledger, blocks, JSON-RPC. With CometBFT if DATA/node/comet is there, else alone."""
    if context.invoked_subcommand is not None:
        _require_no_options(context)
        return
    configure_logs(as_json=log_json)
    try:
        layout = Layout(data.resolve())
        genesis = load_genesis(layout)
        rpc = RpcConfig(
            host=host,
            port=port,
            tokens=() if tokens is None else load_tokens(tokens),
            tls=_tls(certificate, certificate_key, client_ca),
            allowed_hosts=LOOPBACK_NAMES | frozenset(allowed_host or ()),
            allowed_origins=frozenset(allowed_origin or ()),
        )
        config = NodeConfig(
            directory=layout.ledger,
            engine=_engine(layout, genesis, passphrase_file, heartbeat),
            rpc=rpc,
            genesis=genesis,
            retention=Retention.parse(history),
            snapshot_every=snapshot_every,
            history_from=HistoryFrom(
                tuple(history_from or ()),
                "" if history_token_file is None else history_token_file.read_text().strip(),
                history_ca,
            ),
            data=layout.data,
            operations=_operations(rpc, operations),
            operations_required=operations is not None,
        )
        run_node(config)
    except ShelianError as error:
        if not log_json:
            raise
        # One line like all the others, where a program reads them.
        _log.error("the node did not start, or ended", **error.as_dict())
        raise typer.Exit(1) from None


def _operations(rpc: RpcConfig, wanted: str | None) -> RpcConfig | None:
    """Raises SystemFault node.operations_address and what RpcConfig refuses."""
    if wanted == "off":
        return None
    if wanted is None:
        beside = rpc.port + PORT_ABOVE_RPC
        return operations_config(rpc, "127.0.0.1", beside if rpc.port and beside <= 65_535 else 0)
    host, _, port = wanted.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise SystemFault("node.operations_address", "not an address", wanted, "HOST:PORT, or off")
    return operations_config(rpc, host.strip("[]"), int(port))


def _engine(
    layout: Layout, genesis: Genesis, passphrase_file: Path | None, heartbeat: float
) -> EmbeddedConfig | CometConfig:
    """A directory of CometBFT makes the node one of a consortium."""
    if layout.comet.is_dir():
        return CometConfig(layout.comet)
    require_not_ended(layout.data, layout.validator_key)
    passphrase = passphrase_for(genesis.purpose, passphrase_file)
    key = load_key(layout.validator_key, passphrase, chain_purpose=genesis.purpose)
    return EmbeddedConfig(validator_key(key), Pace(heartbeat_s=heartbeat))


def _require_no_options(context: typer.Context) -> None:
    """`shelian node --data X repair` must not repair the default directory instead of X."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise SystemFault(
                "node.option_before_command",
                f"options go after the command: shelian node {context.invoked_subcommand} …",
                name,
            )


def _tls(certificate: Path | None, key: Path | None, client_ca: Path | None) -> Tls | None:
    if certificate is None and key is None and client_ca is None:
        return None
    if certificate is None or key is None:
        raise SystemFault(
            "node.tls_incomplete", "TLS needs a certificate and its key", [str(certificate), str(key)], "both"
        )
    return Tls(certificate, key, client_ca)


def load_genesis(layout: Layout) -> Genesis:
    """The genesis of a data directory. Raises GenesisError."""
    try:
        raw = layout.genesis.read_bytes()
    except OSError as error:
        raise GenesisError(
            "genesis.unreadable", "there is no genesis here; run shelian init", str(error), layout.genesis
        ) from None
    return decode_genesis(raw)


def validator_key(key: KeyPair) -> ValidatorKey:
    from nacl.signing import SigningKey

    signing_key = SigningKey(key.secret)
    return ValidatorKey(key.public_key, lambda message: signing_key.sign(message).signature)
