"""An account and its bytes: the value that the account trie and the `accounts` table hold.

Source: Yellow Paper section 4.1; RLP of [nonce, balance, storage_root, code_hash].
"""

from __future__ import annotations

from typing import Final, NamedTuple

from node.chain.encoding import keccak256
from node.chain.errors import LedgerError
from node.state.nodes import EMPTY_ROOT, decode_bytes, encode_bytes, encode_list, split_list

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
        encode_bytes(nonce.to_bytes((nonce.bit_length() + 7) >> 3, "big"))
        + encode_bytes(balance.to_bytes((balance.bit_length() + 7) >> 3, "big"))
        + b"\xa0"
        + storage_root
        + b"\xa0"
        + code_hash
    )


def decode_account(raw: bytes) -> Account:
    """LedgerError `state.row_malformed` for anything `encode_account` does not give."""
    items = split_list(raw)
    if len(items) == 4 and len(items[2]) == len(items[3]) == 33:
        nonce, balance = decode_bytes(items[0]), decode_bytes(items[1])
        account = Account(
            int.from_bytes(nonce, "big"), int.from_bytes(balance, "big"), items[2][1:], items[3][1:]
        )
        if not (nonce.startswith(b"\x00") or balance.startswith(b"\x00")):
            return account
    raise LedgerError("state.row_malformed", "not an account", raw)
