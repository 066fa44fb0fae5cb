"""Every table of the database in one list: name, prefix, key and value layout, meaning.

One LevelDB holds them all; the first byte of a key is its table. Heights, indexes and slots are big-endian,
so that LevelDB's byte order is their numeric order and a range of heights is a range of keys. Integers inside
values are RLP integers (big-endian, no leading zero) unless the layout says otherwise.

`docs/STORAGE.md` is the operator's copy of this list; a test keeps the two equal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from node.chain.errors import LedgerError
from node.state.rows import decode_row, encode_row

FORMAT_VERSION: Final = 2
"""Version of the layout below. A database of another version is refused, never guessed at."""

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Table(Generic[K, V]):
    """One table: how its keys and values become bytes and come back.

    `encode_key` gives the key without the prefix; `key` gives the whole database key. Decoders raise
    LedgerError `state.row_malformed` for bytes that the encoder cannot have written.
    """

    name: str
    prefix: bytes
    key_layout: str
    value_layout: str
    meaning: str
    encode_key: Callable[[K], bytes]
    decode_key: Callable[[bytes], K]
    encode_value: Callable[[V], bytes]
    decode_value: Callable[[bytes], V]

    def key(self, key: K) -> bytes:
        return self.prefix + self.encode_key(key)


def _same(raw: bytes) -> bytes:
    return raw


def _sized(what: str, *sizes: int) -> Callable[[bytes], bytes]:
    def check(raw: bytes) -> bytes:
        if len(raw) not in sizes:
            raise LedgerError("state.row_malformed", f"{what} of a wrong length", len(raw), sizes)
        return raw

    return check


def encode_height(height: int) -> bytes:
    """8 bytes, big-endian."""
    return height.to_bytes(8, "big")


def decode_height(raw: bytes) -> int:
    return int.from_bytes(_sized("height", 8)(raw), "big")


def encode_place(place: tuple[int, int]) -> bytes:
    """A transaction's place, (height, index in the block): 8 + 4 bytes, big-endian."""
    return place[0].to_bytes(8, "big") + place[1].to_bytes(4, "big")


def decode_place(raw: bytes) -> tuple[int, int]:
    _sized("place of a transaction", 12)(raw)
    return int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:], "big")


def encode_log_position(position: tuple[int, int, int]) -> bytes:
    """A log's position, (height, transaction index, log index in the block): 8 + 4 + 4 bytes, big-endian."""
    return position[0].to_bytes(8, "big") + position[1].to_bytes(4, "big") + position[2].to_bytes(4, "big")


def decode_log_position(raw: bytes) -> tuple[int, int, int]:
    _sized("log position", 16)(raw)
    return int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:12], "big"), int.from_bytes(raw[12:], "big")


def encode_slot(value: int) -> bytes:
    """A storage value, big-endian without leading zeros. Zero is never stored: the row is absent."""
    return value.to_bytes((value.bit_length() + 7) >> 3, "big")


def decode_slot(raw: bytes) -> int:
    if not raw or raw[0] == 0 or len(raw) > 32:
        raise LedgerError(
            "state.row_malformed", "storage value not minimal", raw, "1 to 32 bytes, no leading zero"
        )
    return int.from_bytes(raw, "big")


def _decode_keys(raw: bytes) -> tuple[bytes, ...]:
    return tuple(_NODE_KEY(key) for key in decode_row(raw))


def _encode_heights(heights: tuple[int, ...]) -> bytes:
    return b"".join(map(encode_height, heights))


def _decode_heights(raw: bytes) -> tuple[int, ...]:
    if len(raw) < 16 or len(raw) % 8:
        raise LedgerError(
            "state.row_malformed", "a row of heights of a wrong length", len(raw), "two or more"
        )
    return tuple(int.from_bytes(raw[start : start + 8], "big") for start in range(0, len(raw), 8))


def _encode_storage_key(key: tuple[bytes, int]) -> bytes:
    return key[0] + key[1].to_bytes(32, "big")


def _decode_storage_key(raw: bytes) -> tuple[bytes, int]:
    _sized("storage key", 52)(raw)
    return raw[:20], int.from_bytes(raw[20:], "big")


def _encode_sender_key(key: tuple[bytes, int, int]) -> bytes:
    return key[0] + encode_place(key[1:])


def _decode_sender_key(raw: bytes) -> tuple[bytes, int, int]:
    _sized("sender key", 32)(raw)
    return (raw[:20], *decode_place(raw[20:]))


Position = tuple[int, int, int]


def _posting_key(
    criterion: int,
) -> tuple[Callable[[tuple[bytes, Position]], bytes], Callable[[bytes], tuple[bytes, Position]]]:
    """Keys of a log index: what is looked for (`criterion` bytes), then where it is."""

    def encode(key: tuple[bytes, Position]) -> bytes:
        return key[0] + encode_log_position(key[1])

    def decode(raw: bytes) -> tuple[bytes, Position]:
        _sized("log index key", criterion + 16)(raw)
        return raw[:criterion], decode_log_position(raw[criterion:])

    return encode, decode


_ADDRESS = _sized("address", 20)
_HASH = _sized("hash", 32)
_NODE_KEY = _sized("trie node key", 32, 52)
_EMPTY = _sized("value of an index row", 0)

META: Final[Table[bytes, bytes]] = Table(
    "meta", b"m", "name (ASCII)", "by name: format = 4-byte big-endian version; genesis = genesis JSON; "
    "tip = RLP Tip; seen_commit = 8-byte height || commit; history = RLP History; base = RLP Base; "
    "seam = RLP Seam; old_genesis = genesis JSON; certificate = encoded HandoverCertificate",
    "what there is one of",
    _same, _same, _same, _same,
)  # fmt: skip
ACCOUNTS: Final[Table[bytes, bytes]] = Table(
    "accounts", b"a", "address(20)", "RLP [nonce, balance, storage_root, code_hash]", "account at the tip",
    _same, _ADDRESS, _same, _same,
)  # fmt: skip
SLOTS: Final[Table[tuple[bytes, int], int]] = Table(
    "slots", b"s", "address(20) || slot(32)", "value, big-endian, minimal",
    "storage at the tip; zero has no row",
    _encode_storage_key, _decode_storage_key, encode_slot, decode_slot,
)  # fmt: skip
CODES: Final[Table[bytes, bytes]] = Table(
    "codes", b"c", "keccak256(code)(32)", "code", "contract code, kept for ever",
    _same, _HASH, _same, _same,
)  # fmt: skip
NODES: Final[Table[bytes, bytes]] = Table(
    "nodes", b"n", "hash(32) in the account trie; address(20) || hash(32) in a storage trie",
    "height(8) of the block that wrote it || node RLP", "Merkle-Patricia nodes of every height held",
    _same, _NODE_KEY, _same, _same,
)  # fmt: skip
STALE: Final[Table[tuple[int, int], tuple[bytes, ...]]] = Table(
    "stale", b"j", "height(8) || part(4)", "RLP list of at most 256 node keys",
    "nodes no longer part of the state after this height; what pruning has yet to look at",
    encode_place, decode_place, encode_row, _decode_keys,
)  # fmt: skip
HELD: Final[Table[bytes, tuple[int, ...]]] = Table(
    "held", b"d", "node key, as in nodes",
    "height(8) at which it left the state last || height(8) of each snapshot",
    "nodes that left the state and are kept for snapshots",
    _same, _NODE_KEY, _encode_heights, _decode_heights,
)  # fmt: skip
BLOCKS: Final[Table[int, bytes]] = Table(
    "blocks", b"b", "height(8)", "RLP BlockRecord", "summary of a block: hash, time, state root, totals",
    encode_height, decode_height, _same, _same,
)  # fmt: skip
HEADERS: Final[Table[int, bytes]] = Table(
    "headers", b"h", "height(8)", "encoded header (CometBFT protobuf)", "header as signed, where it is known",
    encode_height, decode_height, _same, _same,
)  # fmt: skip
COMMITS: Final[Table[int, bytes]] = Table(
    "commits", b"k", "height(8)", "encoded commit (CometBFT protobuf)",
    "canonical commit for a height: last_commit of the next block",
    encode_height, decode_height, _same, _same,
)  # fmt: skip
VALIDATORS: Final[Table[int, bytes]] = Table(
    "validators", b"v", "height(8)", "RLP list of public_key, power, public_key, …",
    "validator set in force from this height until the next row",
    encode_height, decode_height, _same, _same,
)  # fmt: skip
TRANSACTIONS: Final[Table[tuple[int, int], bytes]] = Table(
    "transactions", b"t", "height(8) || index(4)", "transaction bytes as decided", "transactions",
    encode_place, decode_place, _same, _same,
)  # fmt: skip
RECEIPTS: Final[Table[tuple[int, int], bytes]] = Table(
    "receipts", b"r", "height(8) || index(4)", "RLP StoredReceipt",
    "receipt, result and what else execution told",
    encode_place, decode_place, _same, _same,
)  # fmt: skip
BLOCK_HASHES: Final[Table[bytes, int]] = Table(
    "block_hashes", b"x", "block hash(32)", "height(8)", "height of a block hash",
    _same, _HASH, encode_height, decode_height,
)  # fmt: skip
TRANSACTION_HASHES: Final[Table[bytes, tuple[int, int]]] = Table(
    "transaction_hashes", b"y", "transaction hash(32)", "height(8) || index(4)",
    "place of a transaction hash, of its last inclusion",
    _same, _HASH, encode_place, decode_place,
)  # fmt: skip
SENDERS: Final[Table[tuple[bytes, int, int], bytes]] = Table(
    "senders", b"u", "address(20) || height(8) || index(4)", "empty", "transactions of a sender",
    _encode_sender_key, _decode_sender_key, _same, _EMPTY,
)  # fmt: skip
LOGS: Final[Table[Position, bytes]] = Table(
    "logs", b"l", "height(8) || transaction index(4) || log index(4)",
    "RLP [address, topics joined, data, transaction_hash]",
    "logs in order", encode_log_position, decode_log_position, _same, _same,
)  # fmt: skip
LOGS_BY_ADDRESS: Final[Table[tuple[bytes, Position], bytes]] = Table(
    "logs_by_address", b"A", "address(20) || log position(16)", "empty", "logs of an address",
    *_posting_key(20), _same, _EMPTY,
)  # fmt: skip
LOGS_BY_TOPIC: Final[Table[tuple[bytes, Position], bytes]] = Table(
    "logs_by_topic", b"T", "topic number 0-3 (1) || topic(32) || log position(16)", "empty",
    "logs with a topic in a place",
    *_posting_key(33), _same, _EMPTY,
)  # fmt: skip
LOGS_BY_ADDRESS_TOPIC: Final[Table[tuple[bytes, Position], bytes]] = Table(
    "logs_by_address_topic", b"B", "address(20) || first topic(32) || log position(16)", "empty",
    "logs of one event of one contract", *_posting_key(52), _same, _EMPTY,
)  # fmt: skip

TABLES: tuple[Table[object, object], ...] = (
    META, ACCOUNTS, SLOTS, CODES, NODES, STALE, HELD, BLOCKS, HEADERS, COMMITS, VALIDATORS, TRANSACTIONS,
    RECEIPTS, BLOCK_HASHES, TRANSACTION_HASHES, SENDERS, LOGS, LOGS_BY_ADDRESS, LOGS_BY_TOPIC,
    LOGS_BY_ADDRESS_TOPIC,
)  # type: ignore[assignment]  # fmt: skip
"""All of them, in the order of `docs/STORAGE.md`."""
