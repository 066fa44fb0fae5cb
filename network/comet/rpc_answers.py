"""What CometBFT's RPC says, read strictly: header, commit, validators, status, peers.

CometBFT writes 64-bit integers as strings, hashes as upper-case hex, keys and signatures as base64 and times
as RFC 3339 with up to nine digits of a second. A header and a commit come out only if they have one encoding
and the header's hash is the block id that the commit is about.

Raises CometFault `comet.rpc_malformed`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from network.comet.faults import CometFault
from network.comet.keyfiles import PUBLIC_KIND
from node.chain.commit import Commit, CommitSignature, decode_commit, encode_commit
from node.chain.errors import ShelianError
from node.chain.header import BlockId, Header, decode_header, encode_header, header_hash
from node.chain.validators import Validator

_T = TypeVar("_T")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z")
_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,18}")
_HEX: Final = re.compile(r"(?:[0-9A-F]{2})*")


@dataclass(frozen=True, slots=True)
class Peer:
    """A node that this one is connected with.

    Attributes:
        id: 40 hex digits, proven by the connection's handshake.
        address: where it listens, as it says itself.
        remote_ip: where the connection comes from.
        name: what it calls itself.
        is_outbound: this node dialed.
        connected_s: how long the connection has stood, seconds.
    """

    id: str
    address: str
    remote_ip: str
    name: str
    is_outbound: bool
    connected_s: float


@dataclass(frozen=True, slots=True)
class CometStatus:
    """Of this node's CometBFT.

    Attributes:
        node_id: 40 hex digits.
        chain_name: `chain_id` of CometBFT's genesis.
        height: of the last block it stored; the ledger may be one behind. 0 before the first.
        block_time_ns: header time of that block, nanoseconds since the epoch.
        earliest_height: lowest height it still holds.
        catching_up: it fetches blocks and takes no part in consensus yet.
        validator_key: 32 bytes, what this node signs with.
        voting_power: 0 for a node that is no validator now.
        peers: connected ones.
    """

    node_id: str
    chain_name: str
    height: int
    block_time_ns: int
    earliest_height: int
    catching_up: bool
    validator_key: bytes
    voting_power: int
    peers: tuple[Peer, ...]


def decode_signed_header(result: object, height: int) -> tuple[Header, Commit, bool]:
    """Header and commit of `height`, and whether the commit is the one the next block holds.

    Raises CometFault `comet.rpc_malformed`, `comet.rpc_wrong_height`, `comet.rpc_wrong_hash`.
    """
    answer = _Answer.of(result, "commit")
    signed = answer.inner("signed_header")
    header, commit = _header(signed.inner("header")), _commit(signed.inner("commit"))
    if header.height != height or commit.height != height:
        raise CometFault(
            "comet.rpc_wrong_height",
            "header or commit of another height",
            [header.height, commit.height],
            height,
        )
    hash = header_hash(header)
    if commit.block_id.hash != hash:
        raise CometFault(
            "comet.rpc_wrong_hash", "the commit is not for this header", commit.block_id.hash, hash
        )
    return header, commit, answer.take("canonical", _boolean)


def decode_last_commit(result: object, height: int) -> Commit:
    """The commit in block `height`, of the height before.

    Raises CometFault `comet.rpc_malformed`, `comet.rpc_wrong_height`.
    """
    commit = _commit(_Answer.of(result, "block").inner("block").inner("last_commit"))
    if commit.height != height - 1:
        raise CometFault("comet.rpc_wrong_height", "a commit of another height", commit.height, height - 1)
    return commit


def decode_validators(result: object, height: int) -> tuple[tuple[Validator, ...], int]:
    """One page of validators, in CometBFT's order, and how many there are in all.

    Raises CometFault `comet.rpc_malformed`, `comet.rpc_wrong_height`.
    """
    answer = _Answer.of(result, "validators")
    if (at := answer.take("block_height", _integer)) != height:
        raise CometFault("comet.rpc_wrong_height", "validators of another height", at, height)
    page = tuple(_validator(entry) for entry in answer.inner_list("validators"))
    return page, answer.take("total", _integer)


def decode_status(status: object, network: object) -> CometStatus:
    """From the answers of `status` and `net_info`."""
    answer = _Answer.of(status, "status")
    node, sync, validator = (answer.inner(key) for key in ("node_info", "sync_info", "validator_info"))
    return CometStatus(
        node_id=node.take("id", _text),
        chain_name=node.take("network", _text),
        height=sync.take("latest_block_height", _integer),
        block_time_ns=sync.take("latest_block_time", _time),
        earliest_height=sync.take("earliest_block_height", _integer),
        catching_up=sync.take("catching_up", _boolean),
        validator_key=_public_key(validator.inner("pub_key")),
        voting_power=validator.take("voting_power", _integer),
        peers=decode_peers(network),
    )


def decode_peers(result: object) -> tuple[Peer, ...]:
    """From the answer of `net_info`, ordered by id."""
    peers = [_peer(entry) for entry in _Answer.of(result, "net_info").inner_list("peers")]
    return tuple(sorted(peers, key=lambda peer: peer.id))


def decode_genesis_identity(result: object) -> tuple[str, str]:
    """(chain name, hash of our genesis as 0x hex) from the answer of `genesis`; no hash: empty."""
    genesis = _Answer.of(result, "genesis").inner("genesis")
    state = genesis.items.get("app_state")
    claimed = state.get("genesis_hash") if isinstance(state, dict) else None
    return genesis.take("chain_id", _text), claimed if isinstance(claimed, str) else ""


# ---- the parts


def _header(answer: _Answer) -> Header:
    version = answer.inner("version")
    header = Header(
        chain_name=answer.take("chain_id", _text),
        height=answer.take("height", _integer),
        time_ns=answer.take("time", _time),
        last_block_id=_block_id(answer.inner("last_block_id")),
        last_commit_hash=answer.take("last_commit_hash", _hex),
        data_hash=answer.take("data_hash", _hex),
        validators_hash=answer.take("validators_hash", _hex),
        next_validators_hash=answer.take("next_validators_hash", _hex),
        consensus_hash=answer.take("consensus_hash", _hex),
        app_hash=answer.take("app_hash", _hex),
        last_results_hash=answer.take("last_results_hash", _hex),
        evidence_hash=answer.take("evidence_hash", _hex),
        proposer_address=answer.take("proposer_address", _hex),
        app_version=_optional_integer(version, "app"),
        block_version=_optional_integer(version, "block"),
    )
    return _sound(header, lambda: decode_header(encode_header(header)), answer.path)


def _commit(answer: _Answer) -> Commit:
    commit = Commit(
        height=answer.take("height", _integer),
        round=answer.take("round", _number),
        block_id=_block_id(answer.inner("block_id")),
        signatures=tuple(_signature(entry) for entry in answer.inner_list("signatures")),
    )
    return _sound(commit, lambda: decode_commit(encode_commit(commit)), answer.path)


def _signature(answer: _Answer) -> CommitSignature:
    return CommitSignature(
        flag=answer.take("block_id_flag", _number),
        validator_address=answer.take("validator_address", _hex),
        time_ns=answer.take("timestamp", _time),
        signature=answer.take("signature", _optional_base64),
    )


def _block_id(answer: _Answer) -> BlockId:
    parts = answer.inner("parts")
    return BlockId(answer.take("hash", _hex), parts.take("total", _number), parts.take("hash", _hex))


def _validator(answer: _Answer) -> Validator:
    validator = Validator(_public_key(answer.inner("pub_key")), answer.take("voting_power", _integer))
    if answer.take("address", _hex) != validator.address:
        raise _malformed(answer.path, "the address is not that of the key")
    return validator


def _public_key(answer: _Answer) -> bytes:
    kind, key = answer.take("type", _text), answer.take("value", _base64)
    if kind != PUBLIC_KIND or len(key) != 32:
        raise _malformed(answer.path, "not an Ed25519 key", kind)
    return key


def _peer(answer: _Answer) -> Peer:
    node = answer.inner("node_info")
    return Peer(
        id=node.take("id", _text),
        address=node.take("listen_addr", _text),
        remote_ip=answer.take("remote_ip", _text),
        name=node.take("moniker", _text),
        is_outbound=answer.take("is_outbound", _boolean),
        connected_s=answer.inner("connection_status").take("Duration", _integer) / 1_000_000_000,
    )


def _sound(value: _T, decoded: Callable[[], _T], path: str) -> _T:
    """What our own encoding cannot hold, or holds differently, did not come from a block."""
    try:
        if decoded() == value:
            return value
    except (ShelianError, OverflowError, ValueError) as error:
        raise _malformed(path, str(error)) from None
    raise _malformed(path, "not in its canonical form")


# ---- reading values


@dataclass(frozen=True, slots=True)
class _Answer:
    """An object of an answer, and the path to it."""

    items: Mapping[str, Any]
    path: str

    @classmethod
    def of(cls, value: object, path: str) -> _Answer:
        if not isinstance(value, dict):
            raise _malformed(path, "must be an object", type(value).__name__)
        return cls(value, path)

    def take(self, key: str, read: Callable[[Any, str], _T]) -> _T:
        if key not in self.items:
            raise _malformed(f"{self.path}.{key}", "is missing")
        return read(self.items[key], f"{self.path}.{key}")

    def inner(self, key: str) -> _Answer:
        return self.take(key, _Answer.of)

    def inner_list(self, key: str) -> list[_Answer]:
        def read(value: Any, path: str) -> list[_Answer]:
            if not isinstance(value, list):
                raise _malformed(path, "must be a list", type(value).__name__)
            return [_Answer.of(item, f"{path}[{index}]") for index, item in enumerate(value)]

        return self.take(key, read)


def _malformed(path: str, message: str, got: object = None) -> CometFault:
    return CometFault("comet.rpc_malformed", f"{path}: {message}", got, "an answer of CometBFT 0.40")


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise _malformed(path, "must be a string", type(value).__name__)
    return value


def _boolean(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise _malformed(path, "must be true or false", type(value).__name__)
    return value


def _number(value: Any, path: str) -> int:
    """A 32-bit integer, which CometBFT writes as a number."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 32:
        raise _malformed(path, "must be a 32-bit number", str(value)[:40])
    return value


def _integer(value: Any, path: str) -> int:
    """A 64-bit integer, which CometBFT writes as a string."""
    if not isinstance(value, str) or not _INTEGER.fullmatch(value):
        raise _malformed(path, "must be a whole number in a string", str(value)[:40])
    return int(value)


def _optional_integer(answer: _Answer, key: str) -> int:
    """CometBFT leaves a version out when it is 0."""
    return answer.take(key, _integer) if key in answer.items else 0


def _hex(value: Any, path: str) -> bytes:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise _malformed(path, "must be upper-case hex", str(value)[:80])
    return bytes.fromhex(value)


def _base64(value: Any, path: str) -> bytes:
    try:
        data = base64.b64decode(_text(value, path), validate=True)
    except ValueError:
        raise _malformed(path, "must be base64", str(value)[:80]) from None
    if base64.b64encode(data).decode() != value:
        raise _malformed(path, "must be canonical base64", str(value)[:80])
    return data


def _optional_base64(value: Any, path: str) -> bytes:
    """An absent vote has no signature: null."""
    return b"" if value is None else _base64(value, path)


def _time(value: Any, path: str) -> int:
    """Nanoseconds since the epoch, back to the year 1 (Go's zero time)."""
    found = _TIME.fullmatch(_text(value, path))
    try:
        if found:
            moment = datetime.fromisoformat(f"{found[1]}+00:00")
            return (moment - _EPOCH) // timedelta(seconds=1) * 1_000_000_000 + int(
                (found[2] or "").ljust(9, "0")
            )
    except ValueError:
        pass
    raise _malformed(path, "must be a time in UTC", str(value)[:80])
