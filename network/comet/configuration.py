"""CometBFT's config.toml, written anew at each start: only what differs from its defaults or must not change.

What a line is there for stands behind it in the file. Names are CometBFT's (its `config/config.go`, v0.40).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from network.comet.settings import CometSettings, StateSync, split_peer
from node.chain.genesis import Genesis

BATCH_REQUESTS: Final = 100
"""Transactions that our client sends in one JSON-RPC batch, at most."""
BATCH_BYTES: Final = 1 << 20
"""And their size, unless a single one is larger."""

_QUIET: Final = "main:info,statesync:info,blocksync:info,*:error"
_RATE: Final = 50_000_000

Value = str | int | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    key: str
    value: Value
    why: str


def max_transaction_bytes(genesis: Genesis) -> int:
    """What the mempool carries: the rules' limit, or a quarter of a block if that is more.

    A vote may raise the rules' limit while nodes run, and nodes must carry alike; how large a transaction may
    be now is judged by CheckTx.
    """
    return max(genesis.rules.max_transaction_bytes, genesis.consensus_params.block_max_bytes // 4)


def render_configuration(
    settings: CometSettings, genesis: Genesis, own_id: str, socket: Path, scratch: Path
) -> str:
    """config.toml of the node `own_id` whose application listens on `socket`; `scratch` takes what comes in
    by state sync until it is whole.
    """
    sections: list[tuple[str, list[_Entry]]] = [
        ("", _base(settings, socket)),
        ("rpc", _rpc(settings, genesis)),
        ("p2p", _p2p(settings, own_id)),
        ("mempool", _mempool(settings, genesis)),
        ("consensus", _consensus(settings)),
        ("storage", [_Entry("discard_abci_responses", True, "the ledger keeps receipts")]),
        ("tx_index", [_Entry("indexer", "null", "the ledger finds transactions")]),
        ("instrumentation", _instrumentation(settings)),
    ]
    if settings.state_sync is not None:
        sections.append(("statesync", _state_sync(settings.state_sync, scratch)))
    return (
        "# Written by shelian at each start, from settings.json one directory up: changes here are lost.\n"
        + "\n".join(_render_section(name, entries) for name, entries in sections)
    )


def _base(settings: CometSettings, socket: Path) -> list[_Entry]:
    return [
        _Entry("proxy_app", f"unix://{socket}", "the ledger"),
        _Entry("abci", "socket", "one connection for each use, answered independently"),
        _Entry("moniker", settings.name, "what peers call this node"),
        _Entry("log_format", "json", "read by the node, which logs it in its own form"),
        _Entry("log_level", "info" if settings.verbose else _QUIET, "consensus steps only on demand"),
        _Entry("filter_peers", True, "the ledger says who may connect"),
    ]


def _rpc(settings: CometSettings, genesis: Genesis) -> list[_Entry]:
    largest = max(BATCH_BYTES, max_transaction_bytes(genesis))
    body = largest * 4 // 3 + 256 * BATCH_REQUESTS
    return [
        _Entry("laddr", f"tcp://{settings.rpc_address}", "headers, commits and forwarding"),
        _Entry("unsafe", False, "no dialing and no flushing from outside"),
        _Entry("cors_allowed_origins", (), "no web page asks CometBFT"),
        _Entry("max_open_connections", 100, "the node and the members who join by state sync"),
        _Entry("max_request_batch_size", BATCH_REQUESTS, "one batch of forwarded transactions"),
        _Entry("max_body_bytes", body, "such a batch in base64"),
    ]


def _p2p(settings: CometSettings, own_id: str) -> list[_Entry]:
    others = [peer for peer in settings.bootstrap if split_peer(peer)[0] != own_id]
    return [
        _Entry("laddr", f"tcp://{settings.p2p_address}", "where peers connect to"),
        _Entry("persistent_peers", ",".join(others), "stay connected with these"),
        _Entry(
            "unconditional_peer_ids",
            ",".join(split_peer(peer)[0] for peer in others),
            "they come in however many are here",
        ),
        _Entry("pex", False, "peers are members, not strangers' recommendations"),
        _Entry("addr_book_strict", False, "private addresses are usual between agencies"),
        _Entry("allow_duplicate_ip", settings.one_machine, "true where nodes share a machine"),
        _Entry(
            "flush_throttle_timeout", _ms(settings.flush_throttle_ms), "a vote waits that long at each hop"
        ),
        _Entry("send_rate", _RATE, "a full block crosses at once"),
        _Entry("recv_rate", _RATE, "likewise"),
    ]


def _mempool(settings: CometSettings, genesis: Genesis) -> list[_Entry]:
    return [
        _Entry("type", "flood", "wakes consensus when a transaction comes"),
        _Entry("recheck", True, "what our pool gave up leaves the mempool too"),
        _Entry("keep-invalid-txs-in-cache", False, "a held-back transaction may come again"),
        _Entry("size", settings.mempool_count, "some blocks' worth: each block rechecks all of them"),
        _Entry("max_txs_bytes", settings.mempool_bytes, "likewise"),
        _Entry("cache_size", 4 * settings.mempool_count, "what was seen lately is not asked for again"),
        _Entry("max_tx_bytes", max_transaction_bytes(genesis), "alike on all nodes; CheckTx judges the size"),
    ]


def _consensus(settings: CometSettings) -> list[_Entry]:
    return [
        _Entry("timeout_propose", _ms(settings.timeout_propose_ms), "what a dead proposer costs"),
        _Entry("timeout_prevote", _ms(settings.timeout_vote_ms), "for more votes after two thirds"),
        _Entry("timeout_precommit", _ms(settings.timeout_vote_ms), "likewise; a dead proposer costs it too"),
        _Entry("timeout_commit", _ms(settings.timeout_commit_ms), "for late precommits"),
        _Entry("skip_timeout_commit", True, "none is late when all are there"),
        _Entry("create_empty_blocks", True, "with the interval below: wait for transactions so long"),
        _Entry("create_empty_blocks_interval", _ms(settings.heartbeat_ms), "keeps block time fresh"),
        _Entry("peer_gossip_sleep_duration", _ms(settings.gossip_sleep_ms), "votes and parts go on at once"),
    ]


def _instrumentation(settings: CometSettings) -> list[_Entry]:
    return [
        _Entry("prometheus", True, "metrics of consensus and peers"),
        _Entry("prometheus_listen_addr", settings.metrics_address, "loopback"),
    ]


def _state_sync(sync: StateSync, scratch: Path) -> list[_Entry]:
    return [
        _Entry("enable", True, "only used while this node has no block"),
        _Entry("rpc_servers", ",".join(sync.rpc_servers), "they show headers"),
        _Entry("trust_height", sync.trust_height, "what the operator trusts"),
        _Entry("trust_hash", sync.trust_hash.hex().upper(), "likewise"),
        _Entry("trust_period", f"{sync.trust_period_s}s", "how old that may be"),
        _Entry("discovery_time", "5s", "the shortest it takes"),
        _Entry("temp_dir", str(scratch), "a snapshot may be larger than /tmp"),
    ]


def _ms(milliseconds: int) -> str:
    return f"{milliseconds}ms"


def _render_section(name: str, entries: Iterable[_Entry]) -> str:
    lines = [f"[{name}]"] if name else []
    lines += [f"{entry.key} = {_render_value(entry.value)}  # {entry.why}" for entry in entries]
    return "\n".join(lines) + "\n"


def _render_value(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(_render_value(item) for item in value) + "]"
    # A JSON string is a TOML string, but that TOML wants DEL escaped and no halves of a character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
