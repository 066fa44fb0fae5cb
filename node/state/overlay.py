"""A block's changes above a view: read and written by execution, journalled, thrown away or sealed.

Nothing here touches the database: an overlay that is not sealed and written leaves no trace. Sealing computes the new
state root with one trie commit and gives a frozen `StateChange`, which `add_state_change` turns into rows of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from node.state.account import Account
from node.state.database import Batch
from node.state.views import BaseView, StateView

View = TypeVar("View", bound=StateView, covariant=True)
Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class StateChange:
    """What one block did to the state; `state_root` is the root after it."""

    state_root: bytes
    accounts: Mapping[bytes, Account | None]  # None: deleted
    slots: Mapping[tuple[bytes, int], int]  # (address, slot) -> value; 0: deleted
    codes: Mapping[bytes, bytes]  # code hash -> code
    nodes: Mapping[bytes, bytes]  # owner || hash -> node RLP, newly part of the state
    stale: tuple[bytes, ...]  # owner || hash, no longer part of the state


class Overlay(Generic[View]):
    """Changes above `view`. Is itself a `StateView`, so overlays can be stacked.

    Accounts are values: read one, `_replace` a field, set it. The `storage_root` of an account read here is the one
    below the overlay; roots follow storage at `seal` only.
    """

    def __init__(self, view: View) -> None: ...

    def account(self, address: bytes) -> Account | None: ...
    def set_account(self, address: bytes, account: Account) -> None: ...
    def delete_account(self, address: bytes) -> None:
        """Remove the account and all its storage. It may come back by `set_account`, with empty storage."""

    def storage(self, address: bytes, slot: int) -> int: ...
    def set_storage(self, address: bytes, slot: int, value: int) -> None: ...
    def wipe_storage(self, address: bytes) -> None:
        """Set every slot of the account to zero, also those that were never read. Takes constant time."""

    def code(self, code_hash: bytes) -> bytes: ...
    def add_code(self, code: bytes) -> bytes:
        """Keep `code` and give its hash, to put in an account."""

    def checkpoint(self) -> int:
        """A mark to `revert` to or `commit`. Marks nest."""

    def revert(self, checkpoint: int) -> None:
        """Undo everything since the mark."""

    def commit(self, checkpoint: int) -> None:
        """Keep everything since the mark; an outer mark can still undo it."""

    def remember(self, mapping: dict[Key, Value], key: Key) -> None:
        """Journal what `mapping[key]` is now (or that it is absent), so that `revert` restores it.

        Lets execution keep warm sets and transient storage (as dicts) in the same journal. Call before the change.
        """

    def seal(self: Overlay[BaseView]) -> StateChange:
        """Everything changed against the view, under its new state root. Changes nothing; may be called again."""


def add_state_change(batch: Batch, height: int, change: StateChange) -> None:
    """Add the rows of a sealed block at `height`: flat accounts and slots, codes, trie nodes, journal of stale nodes."""
