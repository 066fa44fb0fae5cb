"""An account, a storage value, and their bytes in the tries and the flat tables.

Source: Yellow Paper, section 4.1 and appendix D: the account trie holds RLP [nonce, balance, storage_root,
code_hash] under keccak256(address), a storage trie holds RLP(value) under keccak256(slot as 32 bytes).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from node.chain.encoding import keccak256, rlp_encode_integer
from node.chain.errors import LedgerError
from node.state.nodes import EMPTY_ROOT, decode_string, encode_list, split_list

EMPTY_CODE_HASH: Final = keccak256(b"")


class Account(NamedTuple):
    """nonce and balance are integers, storage_root and code_hash 32 bytes each."""

    nonce: int
    balance: int
    storage_root: bytes
    code_hash: bytes


EMPTY_ACCOUNT: Final = Account(0, 0, EMPTY_ROOT, EMPTY_CODE_HASH)
"""What an account is before anything has happened to it."""


def encode_account(account: Account) -> bytes:
    nonce, balance, storage_root, code_hash = account
    return encode_list(
        rlp_encode_integer(nonce) + rlp_encode_integer(balance) + b"\xa0" + storage_root + b"\xa0" + code_hash
    )


def decode_account(raw: bytes) -> Account:
    """LedgerError `state.row_malformed` for anything `encode_account` does not give."""
    try:
        nonce, balance, storage_root, code_hash = split_list(raw)
        account = Account(_integer(nonce), _integer(balance), storage_root[1:], code_hash[1:])
    except (LedgerError, ValueError) as error:
        raise LedgerError("state.row_malformed", "not an account", raw) from error
    if len(storage_root) != 33 or len(code_hash) != 33:
        raise LedgerError("state.row_malformed", "not an account", raw)
    return account


def account_key(address: bytes) -> bytes:
    """Key of an account in the account trie."""
    return keccak256(address)


def storage_key(slot: int) -> bytes:
    """Key of a slot in its account's storage trie."""
    return keccak256(slot.to_bytes(32, "big"))


def encode_storage(value: int) -> bytes:
    return rlp_encode_integer(value)


def decode_storage(raw: bytes | None) -> int:
    """The value of a storage trie's leaf; 0 for none. LedgerError `state.row_malformed`."""
    if raw is None:
        return 0
    value = 0 if not raw or raw[0] >= 0xC0 or len(raw) > 33 else _integer(raw)
    if value == 0 or encode_storage(value) != raw:
        raise LedgerError("state.row_malformed", "not a storage value", raw)
    return value


def _integer(item: bytes) -> int:
    digits = decode_string(item)
    if digits.startswith(b"\x00"):
        raise LedgerError("state.row_malformed", "an integer with a leading zero", item)
    return int.from_bytes(digits, "big")
