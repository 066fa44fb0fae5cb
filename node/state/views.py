"""Reading accounts and storage: at the tip from the flat tables, at any height held through the trie.

Both give the same answers for the same state root. A view lives as long as the snapshot it reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from node.state import trie
from node.state.account import (
    EMPTY_ACCOUNT,
    Account,
    account_key,
    decode_account,
    decode_storage,
    storage_key,
)
from node.state.snapshot import DatabaseSnapshot
from node.state.tables import ACCOUNTS, SLOTS, decode_slot

_REMEMBERED: Final = 16_384
"""Accounts, and slots, that a `FlatView` remembers: a few megabytes, some full blocks' worth."""


class StateView(Protocol):
    """What execution and RPC read. Addresses are 20 bytes, slots and values integers below 2**256."""

    def account(self, address: bytes) -> Account | None:
        """The account, or None where there is none."""
        ...

    def storage(self, address: bytes, slot: int) -> int:
        """The value of a storage slot; 0 where nothing is stored."""
        ...

    def code(self, code_hash: bytes) -> bytes:
        """The code with this hash; LedgerError `state.code_missing`."""
        ...


class BaseView(StateView, Protocol):
    """A view that a block can be built on: it also knows its root, its trie nodes and the slots of an
    account.
    """

    @property
    def state_root(self) -> bytes: ...

    def load_node(self, owner: bytes, node_hash: bytes) -> bytes:
        """RLP of a node of the storage trie of `owner`, or of the account trie if `owner` is empty."""
        ...

    def slots(self, address: bytes) -> Iterator[tuple[int, int]]:
        """All (slot, value) of an account, values not zero, in slot order."""
        ...


class FlatView:
    """The state at the tip as of a snapshot: one database read an account or slot. A `BaseView`.

    What was read is remembered, so admission and execution of a block's transactions, in whatever threads,
    read each row once: a read of LevelDB gives up the interpreter lock, and getting it back takes longer than
    the read. A snapshot never changes, so threads can only store the same value twice.
    """

    __slots__ = ("_accounts", "_get", "_root", "_slots", "_snapshot")

    def __init__(
        self, snapshot: DatabaseSnapshot, state_root: bytes, same_state: FlatView | None = None
    ) -> None:
        """`state_root` is the tip's of that snapshot, or `EMPTY_ROOT` of an empty database.

        What `same_state`, a view of the same state in another snapshot, has read or will read is shared.
        """
        self._snapshot = snapshot
        self._get = snapshot.get_raw
        self._root = state_root
        self._accounts: dict[bytes, Account | None] = {} if same_state is None else same_state._accounts
        self._slots: dict[tuple[bytes, int], int] = {} if same_state is None else same_state._slots

    @property
    def state_root(self) -> bytes:
        return self._root

    def account(self, address: bytes) -> Account | None:
        try:
            return self._accounts[address]
        except KeyError:
            raw = self._get(ACCOUNTS.prefix + address)
            account = None if raw is None else decode_account(raw)
            if len(self._accounts) >= _REMEMBERED:
                self._accounts = {}
            self._accounts[address] = account
            return account

    def storage(self, address: bytes, slot: int) -> int:
        key = (address, slot)
        try:
            return self._slots[key]
        except KeyError:
            raw = self._get(SLOTS.prefix + address + slot.to_bytes(32, "big"))
            value = 0 if raw is None else decode_slot(raw)
            if len(self._slots) >= _REMEMBERED:
                self._slots = {}
            self._slots[key] = value
            return value

    def code(self, code_hash: bytes) -> bytes:
        return self._snapshot.load_code(code_hash)

    def load_node(self, owner: bytes, node_hash: bytes) -> bytes:
        return self._snapshot.load_node(owner, node_hash)

    def slots(self, address: bytes) -> Iterator[tuple[int, int]]:
        for (_, slot), value in self._snapshot.scan(SLOTS, prefix=address):
            yield slot, value


class TrieView:
    """The state under any root whose nodes are held. Accounts are read once; slots each time."""

    __slots__ = ("_accounts", "_snapshot", "state_root")

    def __init__(self, snapshot: DatabaseSnapshot, state_root: bytes) -> None:
        """Reads raise LedgerError `state.trie_node_missing` if the root is not held."""
        self._snapshot = snapshot
        self._accounts: dict[bytes, Account | None] = {}
        self.state_root = state_root

    def account(self, address: bytes) -> Account | None:
        try:
            return self._accounts[address]
        except KeyError:
            load = partial(self._snapshot.load_node, b"")
            raw = trie.read(load, self.state_root, account_key(address))
            account = self._accounts[address] = None if raw is None else decode_account(raw)
            return account

    def storage(self, address: bytes, slot: int) -> int:
        account = self.account(address)
        if account is None:
            return 0
        load = partial(self._snapshot.load_node, address)
        return decode_storage(trie.read(load, account.storage_root, storage_key(slot)))

    def code(self, code_hash: bytes) -> bytes:
        return self._snapshot.load_code(code_hash)


@dataclass(frozen=True, slots=True)
class StorageProof:
    slot: int
    value: int
    nodes: tuple[bytes, ...]  # node RLPs from the storage root on


@dataclass(frozen=True, slots=True)
class AccountProof:
    """EIP-1186: an account, or its absence, under a state root, and slots under its storage root."""

    address: bytes
    account: Account  # EMPTY_ACCOUNT where there is none
    nodes: tuple[bytes, ...]  # node RLPs from the state root on
    storage: tuple[StorageProof, ...]


def prove_account(
    snapshot: DatabaseSnapshot, state_root: bytes, address: bytes, slots: Sequence[int] = ()
) -> AccountProof:
    """The proof of an account and some of its slots. LedgerError `state.trie_node_missing`."""
    view = TrieView(snapshot, state_root)
    account = view.account(address) or EMPTY_ACCOUNT
    load = partial(snapshot.load_node, address)
    return AccountProof(
        address,
        account,
        trie.prove(partial(snapshot.load_node, b""), state_root, account_key(address)),
        tuple(
            StorageProof(
                slot, view.storage(address, slot), trie.prove(load, account.storage_root, storage_key(slot))
            )
            for slot in slots
        ),
    )
