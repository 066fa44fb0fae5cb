"""What an operator decides about one node's CometBFT: addresses, peers, pace; DATA/node/comet/settings.json.

Everything else of CometBFT's configuration follows from these, the genesis and the rules
(`network.comet.configuration`). A settings file is strict: an unknown key, a wrong kind or a value out of
range is refused with a code.

The pace was chosen by measuring four validators on one machine with two cores, from broadcast to commit, one
transaction at a time. Looking for what a peer lacks every 2, 5, 10 or 100 ms makes a median of 38, 44, 54 or
220 ms and costs an idle network (all four together) 12, 11, 9 or 2 % of a core. Gathering messages for 10 ms
instead of 2 ms makes it 60 ms; less than 2 ms brings nothing. `timeout_commit` of 0, 10 or 50 ms makes no
difference while all validators are there, since nobody waits when all precommits are in.

`timeout_propose` is what a dead proposer costs at each of its turns. With one of four dead, 20 transactions
a second, the machine busy with other programs (load 12): 3,000, 1,000, 500 or 300 ms make a median of 2.1,
0.85, 0.57 or 0.65 s and a p99 of 3.7, 1.9, 1.3 or 1.8 s. It must not be shorter than a member may need for
the block before: a full one takes half a second of a slow machine, and a validator that is done sooner
waits for one that is not. With all four alive, blocks of 400 transfers and that load, none of six, one of
five, one of five or two of four blocks needed a second round. Hence 1,000: twice the longest block. Below
500 a loaded network has more dead rounds than a dead member makes. In each further round of a height
CometBFT waits 500 ms longer, so a value that is too low for a slow link costs time, never safety (`python
-m bench network --only proposer`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

from network.comet.faults import CometFault
from node.chain.encoding import decode_strict_json
from node.chain.errors import DecodeError

MAX_SETTINGS_BYTES: Final = 1 << 20

_NAME: Final = re.compile(r"[!-~](?:[ -~]{0,48}[!-~])?")
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_NODE_ID: Final = re.compile(r"[0-9a-f]{40}")
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class StateSync:
    """Where a new node takes its state from instead of running every block.

    Attributes:
        rpc_servers: at least two members' CometBFT RPC, ``http://host:port``: they answer for headers.
        trust_height: of the header that the operator trusts.
        trust_hash: its hash, 32 bytes, learned on another way than from those servers.
        trust_period_s: how old that header may be.
    """

    rpc_servers: tuple[str, ...]
    trust_height: int
    trust_hash: bytes
    trust_period_s: int = 7 * 86_400

    def __post_init__(self) -> None:
        if len(self.rpc_servers) < 2:
            _refuse("state_sync.rpc_servers", "state sync asks at least two", len(self.rpc_servers), 2)
        for server in self.rpc_servers:
            _check_url(server, "state_sync.rpc_servers")
        _check_range("state_sync.trust_height", self.trust_height, 1, (1 << 63) - 1)
        _check_range("state_sync.trust_period_s", self.trust_period_s, 3_600, 3_650 * 86_400)
        if len(self.trust_hash) != 32:
            _refuse("state_sync.trust_hash", "has the wrong length", len(self.trust_hash), 32)


@dataclass(frozen=True, slots=True)
class CometSettings:
    """One node's settings. Raises CometFault `comet.settings_*` when they cannot work.

    Attributes:
        p2p_address: ``ip:port`` where peers connect to.
        rpc_address: ``ip:port`` of CometBFT's RPC; loopback unless `rpc_for_members`.
        metrics_address: ``ip:port`` for Prometheus; loopback.
        bootstrap: ``id@host:port`` of the peers to stay connected with; may name this node too, so that
            one list serves all.
        name: what peers call this node: 1 to 50 printable ASCII characters.
        one_machine: several nodes share an address, as in a network on one machine.
        rpc_for_members: other members may ask the RPC (they need it to join by state sync).
        heartbeat_ms: a block comes at least that often.
        timeout_propose_ms: how long validators wait for a proposal; a dead proposer costs that much.
        timeout_vote_ms: how long they wait for more votes when two thirds have voted without agreeing; a dead
            proposer costs that too.
        timeout_commit_ms: how long a node waits for late precommits after a block.
        gossip_sleep_ms: how often it looks whether a peer lacks something.
        flush_throttle_ms: how long small messages to one peer are gathered.
        mempool_count: transactions on their way between nodes; those that wait for a block are in our pool.
        mempool_bytes: and their size.
        verbose: log what consensus does step by step.
        state_sync: how a new node gets its state; without it, from every block.
    """

    p2p_address: str
    rpc_address: str
    metrics_address: str
    bootstrap: tuple[str, ...] = ()
    name: str = "shelian"
    one_machine: bool = False
    rpc_for_members: bool = False
    heartbeat_ms: int = 60_000
    timeout_propose_ms: int = 1_000
    timeout_vote_ms: int = 500
    timeout_commit_ms: int = 10
    gossip_sleep_ms: int = 5
    flush_throttle_ms: int = 2
    mempool_count: int = 5_000
    mempool_bytes: int = 16 << 20
    verbose: bool = False
    state_sync: StateSync | None = None

    def __post_init__(self) -> None:
        listening = {
            name: _listening_address(getattr(self, name), name)
            for name in ("p2p_address", "rpc_address", "metrics_address")
        }
        if len({port for _, port in listening.values()}) != len(listening):
            _refuse("addresses", "each needs a port of its own", [port for _, port in listening.values()])
        for name, consent in (("rpc_address", self.rpc_for_members), ("metrics_address", False)):
            host = listening[name][0]
            if not host.is_loopback and not consent:
                raise CometFault(
                    "comet.settings_exposed",
                    f"{name} is open to the network",
                    str(host),
                    "a loopback address" + (", or rpc_for_members" if name == "rpc_address" else ""),
                )
        ids = [split_peer(peer)[0] for peer in self.bootstrap]
        if len(set(ids)) != len(ids):
            _refuse("bootstrap", "names a peer twice", sorted(i for i in set(ids) if ids.count(i) > 1))
        if not _NAME.fullmatch(self.name):
            _refuse("name", "1 to 50 printable ASCII characters", self.name)
        for name, low, high in _RANGES:
            _check_range(name, getattr(self, name), low, high)


_RANGES: Final = (
    ("heartbeat_ms", 1_000, 3_600_000),
    ("timeout_propose_ms", 100, 60_000),
    ("timeout_vote_ms", 10, 60_000),
    ("timeout_commit_ms", 0, 60_000),
    ("gossip_sleep_ms", 1, 1_000),
    ("flush_throttle_ms", 0, 1_000),
    ("mempool_count", 1, 1_000_000),
    ("mempool_bytes", 1 << 20, 1 << 30),
)


def split_peer(peer: str) -> tuple[str, str]:
    """``id@host:port`` -> (id, host:port). Raises CometFault `comet.settings_peer`."""
    node_id, _, address = peer.partition("@")
    if not _NODE_ID.fullmatch(node_id):
        raise CometFault(
            "comet.settings_peer",
            "a peer begins with its node id",
            peer,
            "40 lower-case hex digits @host:port",
        )
    try:
        host, _ = split_address(address)
    except CometFault as fault:
        raise CometFault("comet.settings_peer", fault.message, peer, "id@host:port") from None
    if not _is_host(host):
        raise CometFault("comet.settings_peer", "a peer's host is a name or an IP address", peer)
    return node_id, address


def split_address(address: str) -> tuple[str, int]:
    """``host:port`` -> (host, port), an IPv6 host in brackets. Raises CometFault `comet.settings_address`."""
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:@/,\s]+):([1-9][0-9]{0,4})", address)
    if not found or int(found[2]) > 65_535:
        raise CometFault("comet.settings_address", "not an address", address, "host:port, port 1 to 65535")
    return found[1].strip("[]"), int(found[2])


def decode_settings(data: bytes) -> CometSettings:
    """Raises CometFault `comet.settings_malformed`, `…_unknown_key`, and what the values raise."""
    try:
        document = decode_strict_json(data, MAX_SETTINGS_BYTES)
    except DecodeError as error:
        raise CometFault("comet.settings_malformed", error.message, error.got, error.expected) from None
    plain = _object(document, CometSettings, "settings")
    if plain.get("state_sync") is not None:
        inner = _object(plain["state_sync"], StateSync, "state_sync")
        try:
            inner["trust_hash"] = bytes.fromhex(inner["trust_hash"].removeprefix("0x"))
        except ValueError:
            _refuse("state_sync.trust_hash", "must be hex", inner["trust_hash"])
        plain["state_sync"] = StateSync(**inner)
    return CometSettings(**plain)


def encode_settings(settings: CometSettings) -> dict[str, Any]:
    """What `decode_settings` reads, as Python data."""
    plain: dict[str, Any] = {one.name: getattr(settings, one.name) for one in fields(settings)}
    plain["bootstrap"] = list(settings.bootstrap)
    if (sync := settings.state_sync) is not None:
        plain["state_sync"] = {
            "rpc_servers": list(sync.rpc_servers),
            "trust_height": sync.trust_height,
            "trust_hash": "0x" + sync.trust_hash.hex(),
            "trust_period_s": sync.trust_period_s,
        }
    return plain


_KINDS: Final[Mapping[str, type]] = {
    "str": str,
    "int": int,
    "bool": bool,
    "bytes": str,
    "tuple[str, ...]": list,
    "StateSync | None": object,
}
"""The kind in JSON of each kind of field."""


def _object(document: object, kind: type, path: str) -> dict[str, Any]:
    """A dataclass's fields out of a JSON object: each of its kind, no other, none missing without default."""
    if not isinstance(document, dict):
        raise CometFault(
            "comet.settings_malformed", f"{path} must be an object", type(document).__name__, "object"
        )
    known = {one.name: one for one in fields(kind)}
    unknown = sorted(set(document) - set(known))
    if unknown:
        raise CometFault("comet.settings_unknown_key", f"{path} has unknown keys", unknown, sorted(known))
    plain: dict[str, Any] = {}
    for name, value in document.items():
        wanted = _KINDS[str(known[name].type)]
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            _refuse(name, "is of the wrong kind", type(value).__name__, wanted.__name__)
        if isinstance(value, list):
            if not all(isinstance(item, str) for item in value):
                _refuse(name, "must be a list of strings", value)
            value = tuple(value)
        plain[name] = value
    missing = [name for name, one in known.items() if name not in plain and one.default is MISSING]
    if missing:
        _refuse(path, "misses keys", sorted(plain), missing)
    return plain


def _listening_address(address: str, name: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]:
    host, port = split_address(address)
    try:
        return ipaddress.ip_address("127.0.0.1" if host == "localhost" else host), port
    except ValueError:
        raise CometFault(
            "comet.settings_address",
            f"{name} is where this machine listens",
            address,
            "an IP address and a port",
        ) from None


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _HOST_NAME.fullmatch(host) is not None
    return True


def _check_url(url: str, name: str) -> None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    plain = host is not None and parts.path in ("", "/") and not parts.query and parts.username is None
    if not plain or parts.scheme not in ("http", "https") or port is None or not _is_host(host or ""):
        raise CometFault("comet.settings_address", f"{name}: not an RPC server", url, "http://host:port")


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        _refuse(name, "is out of range", value, f"{low} to {high}")


def _refuse(name: str, message: str, got: object = None, expected: object = None) -> NoReturn:
    raise CometFault("comet.settings_value", f"{name}: {message}", got, expected)
