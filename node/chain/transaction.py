"""Transactions: Ethereum types 0, 1 and 2 and the IMI transaction of type 0x49.

The IMI transaction is an EIP-2718 envelope
`0x49 || rlp([chain_id, nonce, valid_until, gas_limit, calls, scheme, public_key, signature])`
with `calls` a list of pairs `[to, data]`, executed in order, all or none. Its signing hash is keccak256 of
`0x49 || rlp(the list without signature)`.

`decode` accepts one form of each transaction only, and looks at the size before at anything else: what it
returns re-encodes to exactly the bytes that came in. Whether a transaction is *admitted* (chain id, gas,
time, signature) is decided elsewhere.

Sources: EIP-155, EIP-2718, EIP-2930, EIP-1559, EIP-2681 (nonce bound).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from node.chain.encoding import (
    RlpItem,
    keccak256,
    rlp_encode_bytes,
    rlp_encode_integer,
    rlp_encode_list,
    rlp_integer,
    rlp_outer_list,
    rlp_split,
    rlp_string,
)
from node.chain.errors import DecodeError

Address = bytes
"""20 bytes."""

AccessList = tuple[tuple[bytes, tuple[int, ...]], ...]
"""EIP-2930: (address, storage slots) pairs."""

IMI_TYPE: Final = 0x49
MAX_TRANSACTION_BYTES: Final = 1 << 20
"""The size no rules row may exceed; the rules in force set a lower one."""
MAX_CALLS: Final = 1_000
"""The number of calls no rules row may exceed; the rules in force set a lower one."""
MAX_PUBLIC_KEY_BYTES: Final = 4_096
MAX_SIGNATURE_BYTES: Final = 8_192

_MAX_NONCE: Final = (1 << 64) - 1
_MAX_CHAIN_ID: Final = 1 << 64
_MAX_GAS: Final = 1 << 63
_MAX_TIME: Final = 1 << 48
_MAX_WORD: Final = 1 << 256


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an IMI transaction: `to` is 20 bytes, `data` the calldata."""

    to: Address
    data: bytes


@dataclass(frozen=True, slots=True)
class EthereumTransaction:
    """Type 0 (EIP-155 only), 1 (EIP-2930) or 2 (EIP-1559).

    `max_priority_fee` and `max_fee` are both the gas price for types 0 and 1. `to` is None for a contract
    creation. `raw` is exactly what was decoded and `hash` its keccak256.
    """

    type: int
    chain_id: int
    nonce: int
    max_priority_fee: int
    max_fee: int
    gas_limit: int
    to: Address | None
    value: int
    data: bytes
    access_list: AccessList
    y_parity: int
    r: int
    s: int
    raw: bytes
    hash: bytes

    @property
    def signing_hash(self) -> bytes:
        """keccak256 of the unsigned form (for type 0 with the EIP-155 tail)."""
        return keccak256(_unsigned_bytes(self))


@dataclass(frozen=True, slots=True)
class ImiTransaction:
    """A batch of calls under one signature; `valid_until` in seconds since the epoch."""

    chain_id: int
    nonce: int
    valid_until: int
    gas_limit: int
    calls: tuple[Call, ...]
    scheme: int
    public_key: bytes
    signature: bytes
    raw: bytes
    hash: bytes

    @property
    def type(self) -> int:
        return IMI_TYPE

    @property
    def signing_hash(self) -> bytes:
        """keccak256(0x49 || rlp of the list without `signature`)."""
        _, start, end = rlp_outer_list(self.raw, 1)
        body = self.raw[start : end - len(rlp_encode_bytes(self.signature))]
        return keccak256(b"\x49" + rlp_encode_list((body,)))


Transaction = EthereumTransaction | ImiTransaction


@dataclass(frozen=True, slots=True)
class UnsignedImi:
    """An IMI transaction before its signature: what a person is shown and asked to sign."""

    chain_id: int
    nonce: int
    valid_until: int
    gas_limit: int
    calls: tuple[Call, ...]
    scheme: int
    public_key: bytes

    @property
    def signing_hash(self) -> bytes:
        return keccak256(b"\x49" + rlp_encode_list(self._items()))

    def with_signature(self, signature: bytes) -> ImiTransaction:
        """The signed transaction; DecodeError if any field is out of its range."""
        raw = b"\x49" + rlp_encode_list([*self._items(), rlp_encode_bytes(signature)])
        return _decode_imi(raw)

    def _items(self) -> list[bytes]:
        return [
            rlp_encode_integer(self.chain_id),
            rlp_encode_integer(self.nonce),
            rlp_encode_integer(self.valid_until),
            rlp_encode_integer(self.gas_limit),
            rlp_encode_list(
                rlp_encode_list((rlp_encode_bytes(call.to), rlp_encode_bytes(call.data)))
                for call in self.calls
            ),
            rlp_encode_integer(self.scheme),
            rlp_encode_bytes(self.public_key),
        ]


@dataclass(frozen=True, slots=True)
class UnsignedEthereum:
    """A type 0, 1 or 2 transaction before its signature."""

    type: int
    chain_id: int
    nonce: int
    max_priority_fee: int
    max_fee: int
    gas_limit: int
    to: Address | None
    value: int
    data: bytes
    access_list: AccessList

    @property
    def signing_hash(self) -> bytes:
        items = self._items()
        if self.type == 0:
            return keccak256(rlp_encode_list([*items, rlp_encode_integer(self.chain_id), b"\x80", b"\x80"]))
        return keccak256(bytes((self.type,)) + rlp_encode_list(items))

    def with_signature(self, y_parity: int, r: int, s: int) -> EthereumTransaction:
        """The signed transaction; DecodeError if any field is out of its range."""
        items = self._items()
        if self.type == 0:
            tail = [rlp_encode_integer(n) for n in (35 + 2 * self.chain_id + y_parity, r, s)]
            return _decode_legacy(rlp_encode_list(items + tail))
        tail = [rlp_encode_integer(n) for n in (y_parity, r, s)]
        return _decode_typed(bytes((self.type,)) + rlp_encode_list(items + tail))

    def _items(self) -> list[bytes]:
        middle = [
            rlp_encode_integer(self.gas_limit),
            rlp_encode_bytes(self.to or b""),
            rlp_encode_integer(self.value),
            rlp_encode_bytes(self.data),
        ]
        if self.type == 0:
            return [rlp_encode_integer(self.nonce), rlp_encode_integer(self.max_fee), *middle]
        fees = [self.max_fee] if self.type == 1 else [self.max_priority_fee, self.max_fee]
        access_list = rlp_encode_list(
            rlp_encode_list(
                (
                    rlp_encode_bytes(address),
                    rlp_encode_list(rlp_encode_bytes(slot.to_bytes(32, "big")) for slot in slots),
                )
            )
            for address, slots in self.access_list
        )
        head = [rlp_encode_integer(number) for number in (self.chain_id, self.nonce, *fees)]
        return [*head, *middle, access_list]


def build_imi(
    *,
    chain_id: int,
    nonce: int,
    valid_until: int,
    gas_limit: int,
    calls: Sequence[Call],
    scheme: int,
    public_key: bytes,
) -> UnsignedImi:
    """An IMI transaction to be signed; its fields are checked when the signature is added."""
    return UnsignedImi(chain_id, nonce, valid_until, gas_limit, tuple(calls), scheme, public_key)


def build_ethereum(
    *,
    type: int = 2,
    chain_id: int,
    nonce: int,
    gas_limit: int,
    to: Address | None,
    data: bytes = b"",
    value: int = 0,
    max_priority_fee: int = 0,
    max_fee: int = 0,
    access_list: AccessList = (),
) -> UnsignedEthereum:
    """A type 0, 1 or 2 transaction to be signed; for types 0 and 1 `max_fee` is the gas price.

    Raises DecodeError tx.type_not_allowed for another type.
    """
    if type not in (0, 1, 2):
        raise DecodeError("tx.type_not_allowed", "only types 0, 1 and 2 can be built", type, [0, 1, 2])
    if type != 2:
        max_priority_fee = max_fee
    return UnsignedEthereum(
        type, chain_id, nonce, max_priority_fee, max_fee, gas_limit, to, value, data, access_list
    )


def decode(raw: bytes, max_bytes: int = MAX_TRANSACTION_BYTES) -> Transaction:
    """The transaction that `raw` is the only encoding of.

    Raises DecodeError: tx.empty, tx.type_not_allowed, tx.too_large, tx.not_replay_protected, tx.field_count,
    tx.bad_address, tx.bad_access_list, tx.bad_y_parity, tx.priority_fee_too_high, tx.no_calls,
    tx.too_many_calls, tx.bad_call, tx.bad_scheme, tx.key_too_large, tx.signature_too_large, rlp.*.
    """
    if not raw:
        raise DecodeError("tx.empty", "the transaction is empty")
    kind = raw[0]
    if kind != IMI_TYPE and kind not in (1, 2) and kind < 0xC0:
        raise DecodeError(
            "tx.type_not_allowed", "this transaction type is not allowed", kind, [0, 1, 2, IMI_TYPE]
        )
    if len(raw) > max_bytes:
        raise DecodeError("tx.too_large", "the transaction is too large", len(raw), max_bytes)
    if kind == IMI_TYPE:
        return _decode_imi(raw)
    if kind >= 0xC0:
        return _decode_legacy(raw)
    return _decode_typed(raw)


def _decode_imi(raw: bytes) -> ImiTransaction:
    _, start, end = rlp_outer_list(raw, 1)
    items = _fields(raw, start, end, 8)
    scheme = rlp_integer(raw, items[5], "scheme", 256)
    if scheme == 0:
        raise DecodeError("tx.bad_scheme", "scheme 0 belongs to types 0, 1 and 2", scheme)
    public_key = rlp_string(raw, items[6], "public_key")
    if len(public_key) > MAX_PUBLIC_KEY_BYTES:
        raise DecodeError(
            "tx.key_too_large", "the public key is too large", len(public_key), MAX_PUBLIC_KEY_BYTES
        )
    signature = rlp_string(raw, items[7], "signature")
    if len(signature) > MAX_SIGNATURE_BYTES:
        raise DecodeError(
            "tx.signature_too_large", "the signature is too large", len(signature), MAX_SIGNATURE_BYTES
        )
    return ImiTransaction(
        rlp_integer(raw, items[0], "chain_id", _MAX_CHAIN_ID),
        rlp_integer(raw, items[1], "nonce", _MAX_NONCE),
        rlp_integer(raw, items[2], "valid_until", _MAX_TIME),
        rlp_integer(raw, items[3], "gas_limit", _MAX_GAS),
        _decode_calls(raw, items[4]),
        scheme,
        public_key,
        signature,
        raw,
        keccak256(raw),
    )


def _decode_calls(raw: bytes, item: RlpItem) -> tuple[Call, ...]:
    is_list, start, end = item
    if not is_list:
        raise DecodeError("tx.bad_call", "calls must be a list")
    if start == end:
        raise DecodeError("tx.no_calls", "at least one call is wanted", 0, "1 or more")
    pairs = rlp_split(raw, start, end, MAX_CALLS + 1)
    if len(pairs) > MAX_CALLS:
        raise DecodeError("tx.too_many_calls", "too many calls in one transaction", len(pairs), MAX_CALLS)
    calls = []
    for pair_is_list, pair_start, pair_end in pairs:
        pair = rlp_split(raw, pair_start, pair_end, 3) if pair_is_list else []
        if len(pair) != 2 or pair[0][0] or pair[1][0]:
            raise DecodeError("tx.bad_call", "a call is a pair of address and data", len(pair), 2)
        _, to_start, to_end = pair[0]
        if to_end - to_start != 20:
            raise DecodeError("tx.bad_address", "a call goes to a full address", to_end - to_start, 20)
        calls.append(Call(raw[to_start:to_end], raw[pair[1][1] : pair[1][2]]))
    return tuple(calls)


def _decode_typed(raw: bytes) -> EthereumTransaction:
    kind = raw[0]
    _, start, end = rlp_outer_list(raw, 1)
    if kind == 1:
        items = _fields(raw, start, end, 11)
        max_fee = rlp_integer(raw, items[2], "gas_price", _MAX_WORD)
        priority_fee = max_fee
        rest = items[3:]
    else:
        items = _fields(raw, start, end, 12)
        priority_fee = rlp_integer(raw, items[2], "max_priority_fee", _MAX_WORD)
        max_fee = rlp_integer(raw, items[3], "max_fee", _MAX_WORD)
        if priority_fee > max_fee:
            raise DecodeError("tx.priority_fee_too_high", "the tip is above the fee", priority_fee, max_fee)
        rest = items[4:]
    y_parity = rlp_integer(raw, rest[5], "y_parity", _MAX_WORD)
    if y_parity > 1:
        raise DecodeError("tx.bad_y_parity", "y_parity is 0 or 1", y_parity, [0, 1])
    return EthereumTransaction(
        kind,
        rlp_integer(raw, items[0], "chain_id", _MAX_CHAIN_ID),
        rlp_integer(raw, items[1], "nonce", _MAX_NONCE),
        priority_fee,
        max_fee,
        rlp_integer(raw, rest[0], "gas_limit", _MAX_GAS),
        _recipient(raw, rest[1]),
        rlp_integer(raw, rest[2], "value", _MAX_WORD),
        rlp_string(raw, rest[3], "data"),
        _decode_access_list(raw, rest[4]),
        y_parity,
        rlp_integer(raw, rest[6], "r", _MAX_WORD),
        rlp_integer(raw, rest[7], "s", _MAX_WORD),
        raw,
        keccak256(raw),
    )


def _decode_legacy(raw: bytes) -> EthereumTransaction:
    _, start, end = rlp_outer_list(raw, 0)
    items = _fields(raw, start, end, 9)
    v = rlp_integer(raw, items[6], "v", 2 * _MAX_CHAIN_ID + 35)
    if v < 37:
        raise DecodeError(
            "tx.not_replay_protected", "a type 0 transaction must name its chain (EIP-155)", v, ">= 37"
        )
    gas_price = rlp_integer(raw, items[1], "gas_price", _MAX_WORD)
    return EthereumTransaction(
        0,
        (v - 35) >> 1,
        rlp_integer(raw, items[0], "nonce", _MAX_NONCE),
        gas_price,
        gas_price,
        rlp_integer(raw, items[2], "gas_limit", _MAX_GAS),
        _recipient(raw, items[3]),
        rlp_integer(raw, items[4], "value", _MAX_WORD),
        rlp_string(raw, items[5], "data"),
        (),
        (v - 35) & 1,
        rlp_integer(raw, items[7], "r", _MAX_WORD),
        rlp_integer(raw, items[8], "s", _MAX_WORD),
        raw,
        keccak256(raw),
    )


def _fields(raw: bytes, start: int, end: int, count: int) -> list[RlpItem]:
    items = rlp_split(raw, start, end, count + 1)
    if len(items) != count:
        raise DecodeError(
            "tx.field_count", "the transaction has the wrong number of fields", len(items), count
        )
    return items


def _recipient(raw: bytes, item: RlpItem) -> Address | None:
    to = rlp_string(raw, item, "to")
    if not to:
        return None
    if len(to) != 20:
        raise DecodeError("tx.bad_address", "an address has 20 bytes", len(to), 20)
    return to


def _decode_access_list(raw: bytes, item: RlpItem) -> AccessList:
    is_list, start, end = item
    if not is_list:
        raise DecodeError("tx.bad_access_list", "the access list must be a list")
    if start == end:
        return ()
    entries = []
    # Of more items than proper entries have room for, one is too small: it is refused below.
    for entry_is_list, entry_start, entry_end in rlp_split(raw, start, end, (end - start) // 23 + 1):
        entry = rlp_split(raw, entry_start, entry_end, 3) if entry_is_list else []
        if len(entry) != 2 or entry[0][0] or not entry[1][0] or entry[0][2] - entry[0][1] != 20:
            raise DecodeError("tx.bad_access_list", "an entry is an address and a list of slots")
        _, slots_start, slots_end = entry[1]
        slots = []
        for slot_is_list, slot_start, slot_end in rlp_split(
            raw, slots_start, slots_end, (slots_end - slots_start) // 33 + 1
        ):
            if slot_is_list or slot_end - slot_start != 32:
                raise DecodeError("tx.bad_access_list", "a slot has 32 bytes", slot_end - slot_start, 32)
            slots.append(int.from_bytes(raw[slot_start:slot_end], "big"))
        entries.append((raw[entry[0][1] : entry[0][2]], tuple(slots)))
    return tuple(entries)


def _unsigned_bytes(tx: EthereumTransaction) -> bytes:
    # The signature stands last and every integer has one form, so the unsigned fields are a prefix.
    _, start, end = rlp_outer_list(tx.raw, 0 if tx.type == 0 else 1)
    v = 35 + 2 * tx.chain_id + tx.y_parity if tx.type == 0 else tx.y_parity
    tail = sum(len(rlp_encode_integer(number)) for number in (v, tx.r, tx.s))
    body = tx.raw[start : end - tail]
    if tx.type == 0:
        return rlp_encode_list((body, rlp_encode_integer(tx.chain_id), b"\x80\x80"))
    return bytes((tx.type,)) + rlp_encode_list((body,))
