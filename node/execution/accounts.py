"""py-evm's account database over a block's `Overlay`.

One `AccountDatabase` lives for one transaction. Everything that a reverted frame must undo is in the
overlay's own journal: accounts, storage, warm addresses and slots (EIP-2929), transient storage (EIP-1153),
logs, and which accounts are to be destroyed.
What belongs to the transaction as a whole (original values of EIP-2200, which accounts it wrote) is kept here
and needs no undoing.

An account that a transaction leaves empty is removed (EIP-161); touching one does not make it.
"""

from __future__ import annotations

from typing import Any

from eth.abc import AccountDatabaseAPI

from node.chain.receipt import Log
from node.state.account import EMPTY_ACCOUNT, EMPTY_CODE_HASH, Account
from node.state.nodes import EMPTY_ROOT
from node.state.overlay import Overlay

StorageKey = tuple[bytes, int]


class AccountDatabase(AccountDatabaseAPI):  # type: ignore[misc]
    """Addresses are 20 bytes, slots and values unsigned 256-bit integers."""

    __slots__ = ("_destroyed", "_logs", "_originals", "_overlay", "_transient", "_warm", "_written")

    def __init__(self, overlay: Overlay[Any]) -> None:
        self._overlay = overlay
        self._warm: dict[bytes | StorageKey, None] = {}
        self._transient: dict[StorageKey, bytes] = {}
        self._logs: dict[int, Log] = {}
        self._destroyed: dict[bytes, None] = {}
        self._originals: dict[StorageKey, int] = {}
        self._written: dict[bytes, None] = {}

    # Accounts

    def _write(self, address: bytes, account: Account) -> None:
        self._overlay.set_account(address, account)
        self._written[address] = None

    def get_balance(self, address: bytes) -> int:
        account = self._overlay.account(address)
        return account.balance if account else 0

    def set_balance(self, address: bytes, balance: int) -> None:
        account = self._overlay.account(address) or EMPTY_ACCOUNT
        if account.balance != balance:
            self._write(address, account._replace(balance=balance))

    def get_nonce(self, address: bytes) -> int:
        account = self._overlay.account(address)
        return account.nonce if account else 0

    def set_nonce(self, address: bytes, nonce: int) -> None:
        self._write(address, (self._overlay.account(address) or EMPTY_ACCOUNT)._replace(nonce=nonce))

    def increment_nonce(self, address: bytes) -> None:
        self.set_nonce(address, self.get_nonce(address) + 1)

    def get_code_hash(self, address: bytes) -> bytes:
        account = self._overlay.account(address)
        return account.code_hash if account else EMPTY_CODE_HASH

    def get_code(self, address: bytes) -> bytes:
        account = self._overlay.account(address)
        if account is None or account.code_hash == EMPTY_CODE_HASH:
            return b""
        return self._overlay.code(account.code_hash)

    def set_code(self, address: bytes, code: bytes) -> None:
        code_hash = self._overlay.add_code(code) if code else EMPTY_CODE_HASH
        self._write(address, (self._overlay.account(address) or EMPTY_ACCOUNT)._replace(code_hash=code_hash))

    def delete_code(self, address: bytes) -> None:
        self.set_code(address, b"")

    def account_exists(self, address: bytes) -> bool:
        return self._overlay.account(address) is not None

    def account_is_empty(self, address: bytes) -> bool:
        account = self._overlay.account(address)
        return account is None or _is_empty(account)

    def account_has_code_or_nonce(self, address: bytes) -> bool:
        """Whether a contract may not be created here: code, a nonce, or (EIP-7610) storage."""
        account = self._overlay.account(address)
        return account is not None and (
            account.nonce != 0 or account.code_hash != EMPTY_CODE_HASH or account.storage_root != EMPTY_ROOT
        )

    def touch_account(self, address: bytes) -> None:
        """Nothing: an account comes into being when something is written to it."""

    def delete_account(self, address: bytes) -> None:
        self._overlay.delete_account(address)

    def clear_empty_accounts(self) -> None:
        """EIP-161: at the end of the transaction."""
        for address in self._written:
            account = self._overlay.account(address)
            if account is not None and _is_empty(account):
                self._overlay.delete_account(address)

    # Storage

    def get_storage(self, address: bytes, slot: int, from_journal: bool = True) -> int:
        if not from_journal:
            original = self._originals.get((address, slot))
            if original is not None:
                return original
        return self._overlay.storage(address, slot)

    def set_storage(self, address: bytes, slot: int, value: int) -> None:
        key = (address, slot)
        if key not in self._originals:
            self._originals[key] = self._overlay.storage(address, slot)
        self._overlay.set_storage(address, slot, value)

    def delete_storage(self, address: bytes) -> None:
        if self._overlay.account(address) is not None:
            self._overlay.wipe_storage(address)

    def get_transient(self, address: bytes, slot: int) -> bytes:
        return self._transient.get((address, slot), b"")

    def set_transient(self, address: bytes, slot: int, value: bytes) -> None:
        key = (address, slot)
        self._overlay.remember(self._transient, key)
        self._transient[key] = value

    # Logs and destroyed accounts, by insertion

    @property
    def logs(self) -> tuple[Log, ...]:
        return tuple(self._logs.values())

    def add_log(self, log: Log) -> None:
        number = len(self._logs)
        self._overlay.remember(self._logs, number)
        self._logs[number] = log

    def destroy(self, address: bytes) -> None:
        """Have `delete_destroyed` remove the account."""
        self._overlay.remember(self._destroyed, address)
        self._destroyed[address] = None

    def delete_destroyed(self) -> None:
        """EIP-6780: at the end of the transaction."""
        for address in self._destroyed:
            self.delete_account(address)

    # EIP-2929

    def is_address_warm(self, address: bytes) -> bool:
        return address in self._warm

    def mark_address_warm(self, address: bytes) -> None:
        self._mark_warm(address)

    def is_storage_warm(self, address: bytes, slot: int) -> bool:
        return (address, slot) in self._warm

    def mark_storage_warm(self, address: bytes, slot: int) -> None:
        self._mark_warm((address, slot))

    def _mark_warm(self, key: bytes | StorageKey) -> None:
        if key not in self._warm:
            self._overlay.remember(self._warm, key)
            self._warm[key] = None

    # Frames

    def record(self) -> int:
        return self._overlay.checkpoint()

    def discard(self, checkpoint: int) -> None:
        self._overlay.revert(checkpoint)

    def commit(self, checkpoint: int) -> None:
        self._overlay.commit(checkpoint)

    # py-evm's interface asks for these; a transaction has no root, the ledger seals the block's overlay.

    @property
    def state_root(self) -> bytes:
        raise NotImplementedError("a transaction has no state root")

    def has_root(self, state_root: bytes) -> bool:
        raise NotImplementedError("a transaction has no state root")

    def lock_changes(self) -> None:
        raise NotImplementedError("one database lives for one transaction")

    def make_state_root(self) -> bytes:
        raise NotImplementedError("the ledger seals the block's overlay")

    def persist(self) -> None:
        raise NotImplementedError("the ledger seals the block's overlay")


def _is_empty(account: Account) -> bool:
    return account.nonce == 0 and account.balance == 0 and account.code_hash == EMPTY_CODE_HASH
