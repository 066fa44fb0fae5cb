"""A block's changes above a view: read and written by execution, journalled, thrown away or sealed.

Nothing here touches the database: an overlay that is not sealed and written leaves no trace. Sealing computes
the new state root with one trie commit and gives a frozen `StateChange`, which `add_state_change` turns into
rows of a batch.

Values read from the view are kept twice: as what was there (`_below_*`) and as what is there now. What
differs at `seal` has changed; so a slot that was written back costs nothing, and the journal only needs the
old entries of dictionaries. A storage wipe swaps an account's slot dictionary for an empty one, and is undone
by swapping back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, TypeVar

from node.chain.encoding import keccak256
from node.state import trie
from node.state.account import (
    EMPTY_CODE_HASH,
    Account,
    account_key,
    encode_account,
    encode_storage,
    storage_key,
)
from node.state.database import Batch
from node.state.nodes import EMPTY_ROOT
from node.state.tables import ACCOUNTS, CODES, NODES, SLOTS, STALE, encode_height
from node.state.views import BaseView, StateView

View = TypeVar("View", bound=StateView, covariant=True)
Key = TypeVar("Key")
Value = TypeVar("Value")

JOURNAL_PART: Final = 256
"""Node keys in one row of the journal of stale nodes, at most."""

_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class StateChange:
    """What one block did to the state; `state_root` is the root after it."""

    state_root: bytes
    accounts: Mapping[bytes, Account | None]  # by address; None: deleted
    slots: Mapping[tuple[bytes, int], int]  # by (address, slot); 0: deleted
    codes: Mapping[bytes, bytes]  # by code hash
    nodes: Mapping[bytes, bytes]  # owner || hash -> node RLP: newly part of the state
    stale: tuple[bytes, ...]  # owner || hash: no longer part of the state


class Overlay(Generic[View]):
    """Changes above `view`. Is itself a `StateView`, so overlays can be stacked.

    Accounts are values: read one, `_replace` a field, set it. The `storage_root` of an account read here is
    the one below the overlay (`EMPTY_ROOT` after a wipe); `seal` alone computes roots and ignores what is set
    in that field. Writing storage does not create the account; storage of an account that does not exist at
    `seal` is dropped.
    """

    __slots__ = (
        "_accounts",
        "_below_accounts",
        "_below_slots",
        "_codes",
        "_journal",
        "_slots",
        "_view",
        "_wiped",
    )

    def __init__(self, view: View) -> None:
        self._view = view
        self._accounts: dict[bytes, Account | None] = {}
        self._below_accounts: dict[bytes, Account | None] = {}
        self._slots: dict[bytes, dict[int, int]] = {}
        self._below_slots: dict[bytes, dict[int, int]] = {}
        self._wiped: dict[bytes, bool] = {}
        self._codes: dict[bytes, bytes] = {EMPTY_CODE_HASH: b""}
        self._journal: list[tuple[dict[Any, Any], Any, Any]] = []

    # ---- accounts

    def account(self, address: bytes) -> Account | None:
        try:
            return self._accounts[address]
        except KeyError:
            account = self._view.account(address)
            self._accounts[address] = self._below_accounts[address] = account
            return account

    def set_account(self, address: bytes, account: Account) -> None:
        """Put `account` at `address`, whether there was one or not."""
        self._journal.append((self._accounts, address, self.account(address)))
        self._accounts[address] = account

    def delete_account(self, address: bytes) -> None:
        """Remove the account and all its storage. It may come back by `set_account`, with empty storage."""
        self.wipe_storage(address)
        self._journal.append((self._accounts, address, self.account(address)))
        self._accounts[address] = None

    # ---- storage

    def storage(self, address: bytes, slot: int) -> int:
        try:
            return self._slots[address][slot]
        except KeyError:
            return self._read_slot(address, slot)

    def set_storage(self, address: bytes, slot: int, value: int) -> None:
        old = self.storage(address, slot)
        if old != value:
            slots = self._slots[address]
            self._journal.append((slots, slot, old))
            slots[slot] = value

    def wipe_storage(self, address: bytes) -> None:
        """Set every slot of the account to zero, also those that were never read. Takes constant time."""
        self.remember(self._slots, address)
        self.remember(self._wiped, address)
        self._slots[address] = {}
        self._wiped[address] = True
        account = self.account(address)
        if account is not None and account.storage_root != EMPTY_ROOT:
            self.set_account(address, account._replace(storage_root=EMPTY_ROOT))

    def _read_slot(self, address: bytes, slot: int) -> int:
        value = 0 if address in self._wiped else self._view.storage(address, slot)
        if address not in self._wiped:
            self._below_slots.setdefault(address, {})[slot] = value
        self._slots.setdefault(address, {})[slot] = value
        return value

    # ---- code

    def code(self, code_hash: bytes) -> bytes:
        """The code with this hash, the same object each time. LedgerError `state.code_missing`."""
        code = self._codes.get(code_hash)
        return self._view.code(code_hash) if code is None else code

    def add_code(self, code: bytes) -> bytes:
        """Keep `code` and give its hash, to put in an account. Only code that an account has at `seal` is
        stored.
        """
        code_hash = keccak256(code)
        self._codes.setdefault(code_hash, code)
        return code_hash

    # ---- journal

    def checkpoint(self) -> int:
        """A mark to `revert` to or `commit`. Marks nest."""
        return len(self._journal)

    def revert(self, checkpoint: int) -> None:
        """Undo everything since the mark."""
        journal = self._journal
        while len(journal) > checkpoint:
            mapping, key, old = journal.pop()
            if old is _ABSENT:
                mapping.pop(key, None)
            else:
                mapping[key] = old

    def commit(self, checkpoint: int) -> None:
        """Keep everything since the mark; an outer mark can still undo it."""

    def settle(self) -> None:
        """Forget all marks: what is here now can be thrown away with the overlay only. Call after each
        transaction.
        """
        self._journal.clear()

    def remember(self, mapping: dict[Key, Value], key: Key) -> None:
        """Journal what `mapping[key]` is now (or that it is absent), so that `revert` restores it.

        Execution keeps warm sets and transient storage (as dictionaries) in the same journal. Call before the
        change.
        """
        self._journal.append((mapping, key, mapping.get(key, _ABSENT)))

    # ---- seal

    def seal(self: Overlay[BaseView]) -> StateChange:
        """Everything changed against the view, under its new state root. Changes nothing; may be called
        again.

        Raises LedgerError `state.trie_node_missing` or `state.trie_node_malformed` if the view's trie is
        damaged.
        """
        return _Seal(self._view, self._wiped).run(
            self._accounts, self._below_accounts, self._slots, self._below_slots, self._codes
        )


class _Seal:
    """The work of `Overlay.seal`: storage tries first, since accounts carry their roots, then the account
    trie.
    """

    __slots__ = ("_nodes", "_slots", "_stale", "_view", "_wiped")

    def __init__(self, view: BaseView, wiped: Mapping[bytes, bool]) -> None:
        self._view = view
        self._wiped = wiped
        self._nodes: dict[bytes, bytes] = {}
        self._stale: list[bytes] = []
        self._slots: dict[tuple[bytes, int], int] = {}

    def run(
        self,
        accounts: Mapping[bytes, Account | None],
        below_accounts: Mapping[bytes, Account | None],
        slots: Mapping[bytes, Mapping[int, int]],
        below_slots: Mapping[bytes, Mapping[int, int]],
        codes: Mapping[bytes, bytes],
    ) -> StateChange:
        changed: dict[bytes, Account | None] = {}
        changed_codes: dict[bytes, bytes] = {}
        for address in sorted(accounts.keys() | slots.keys()):
            below = below_accounts[address] if address in accounts else self._view.account(address)
            account = accounts.get(address, below)
            if account is below and address not in slots:
                continue
            root = EMPTY_ROOT if below is None else below.storage_root
            if account is None or address in self._wiped:
                root = self._rebuild_storage(address, root, {} if account is None else slots[address])
            elif address in slots:
                root = self._change_storage(address, root, slots[address], below_slots[address])
            if account is not None:
                account = account._replace(storage_root=root)
                code = codes.get(account.code_hash)
                if code and (below is None or below.code_hash != account.code_hash):
                    changed_codes[account.code_hash] = code
            if account != below:
                changed[address] = account
        leaves: dict[bytes, bytes | None] = {}
        before: dict[bytes, bytes] = {}
        for address, account in changed.items():
            key = account_key(address)
            leaves[key] = None if account is None else encode_account(account)
            below = below_accounts[address] if address in below_accounts else self._view.account(address)
            if below is not None:
                before[key] = encode_account(below)
        root = self._update(b"", self._view.state_root, leaves, before)
        return StateChange(root, changed, self._slots, changed_codes, self._nodes, tuple(self._stale))

    def _change_storage(
        self, address: bytes, root: bytes, now: Mapping[int, int], below: Mapping[int, int]
    ) -> bytes:
        """The storage root after the slots that differ from below; `below` has every slot of `now`."""
        leaves: dict[bytes, bytes | None] = {}
        before: dict[bytes, bytes] = {}
        for slot, value in now.items():
            old = below[slot]
            if value != old:
                self._slots[address, slot] = value
                key = storage_key(slot)
                leaves[key] = encode_storage(value) if value else None
                if old:
                    before[key] = encode_storage(old)
        return self._update(address, root, leaves, before)

    def _rebuild_storage(self, address: bytes, root: bytes, now: Mapping[int, int]) -> bytes:
        """The storage root of an account that lost all it had: what is there now is all there is."""
        load = partial(self._view.load_node, address)
        kept = {slot: value for slot, value in now.items() if value}
        old = dict(self._view.slots(address)) if root != EMPTY_ROOT else {}
        for slot in old.keys() | kept.keys():
            if old.get(slot) != kept.get(slot):
                self._slots[address, slot] = kept.get(slot, 0)
        old_nodes = set(trie.hashes(load, root))
        leaves = {storage_key(slot): encode_storage(value) for slot, value in kept.items()}
        change = trie.update(load, EMPTY_ROOT, leaves)
        self._nodes |= {address + key: node for key, node in change.nodes.items() if key not in old_nodes}
        self._stale += [address + key for key in sorted(old_nodes - change.nodes.keys())]
        return change.root

    def _update(
        self,
        owner: bytes,
        root: bytes,
        leaves: Mapping[bytes, bytes | None],
        before: Mapping[bytes, bytes],
    ) -> bytes:
        change = trie.update(partial(self._view.load_node, owner), root, leaves, before)
        self._nodes |= {owner + node_hash: node for node_hash, node in change.nodes.items()}
        self._stale += [owner + node_hash for node_hash in change.stale]
        return change.root


def add_state_change(batch: Batch, height: int, change: StateChange) -> None:
    """Add the rows of a sealed block: flat accounts and slots, codes, trie nodes, the journal of stale nodes.

    A node's row starts with `height`, so that pruning can tell a node that came back after it had become
    stale. The journal comes in parts, because pruning works off one part in one write.
    """
    rows = batch.rows
    for address, account in change.accounts.items():
        rows[ACCOUNTS.prefix + address] = None if account is None else encode_account(account)
    for (address, slot), value in change.slots.items():
        if value:
            batch.put(SLOTS, (address, slot), value)
        else:
            batch.delete(SLOTS, (address, slot))
    for code_hash, code in change.codes.items():
        batch.put(CODES, code_hash, code)
    birth = encode_height(height)
    for key, node in change.nodes.items():
        rows[NODES.prefix + key] = birth + node
    for part, start in enumerate(range(0, len(change.stale), JOURNAL_PART)):
        batch.put(STALE, (height, part), change.stale[start : start + JOURNAL_PART])
