"""Whose nodes and keys these are, by the Consortium contract at the tip.

The contract's tables are read by its own view functions, and again only when its storage has changed: a
consortium votes seldom. Names stand in the genesis; an organisation that was voted in later has its number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from contracts.bindings import consortium
from node.chain.errors import DecodeError
from node.chain.genesis import Genesis
from node.chain.rules import CONSORTIUM, SYSTEM, decode_rules, rules_slots
from node.chain.transaction import Call
from node.execution import BlockContext, CallRequest, Executor
from node.ledger import LedgerSnapshot

_GAS: Final = 30_000_000
_MOST_PEERS: Final = 128
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Member:
    """An organisation. `certificate`: sha256 of its authority's certificate (DER), zero for none."""

    id: int
    name: str
    certificate: bytes


@dataclass(frozen=True, slots=True)
class Membership:
    """Attributes:
    members: by organisation number.
    nodes: organisation of each listed node, by id in hex.
    validators: organisation of each validator, by public key.
    rules_unknown: the first version in the table of rules that this program does not understand; 0: none.
    """

    members: Mapping[int, Member] = field(default_factory=dict)
    nodes: Mapping[str, int] = field(default_factory=dict)
    validators: Mapping[bytes, int] = field(default_factory=dict)
    rules_unknown: int = 0

    def name_of(self, organisation: int) -> str:
        """Empty for nobody's."""
        member = self.members.get(organisation)
        return member.name if member is not None else f"机构 {organisation}" if organisation else ""


class MembershipReader:
    """Remembers what it read until the contract's storage changes. One thread at a time."""

    def __init__(self, genesis: Genesis, executor: Executor) -> None:
        self._genesis = genesis
        self._executor = executor
        self._root: bytes | None = None
        self._read = Membership()

    def read(self, snapshot: LedgerSnapshot) -> Membership:
        """Raises LedgerError state.*."""
        account = snapshot.tip_view.account(CONSORTIUM)
        root = b"" if account is None else account.storage_root
        if root != self._root:
            self._read = load_membership(snapshot, self._genesis, self._executor)
            self._root = root
        return self._read


def load_membership(snapshot: LedgerSnapshot, genesis: Genesis, executor: Executor) -> Membership:
    """What the contract says; where it answers nothing, what the genesis says. Raises LedgerError state.*."""
    names = {one.id: one.name for one in genesis.organisations}
    unknown = _unknown_rules(snapshot)
    try:
        ids = consortium.decode_organisations(_ask(snapshot, executor, consortium.organisations()))
        members = {}
        for id in ids:
            found = consortium.decode_organisation(_ask(snapshot, executor, consortium.organisation(id)))
            members[id] = Member(id, names.get(id, f"机构 {id}"), found.certificate)
        peers = consortium.decode_peers(_ask(snapshot, executor, consortium.peers(0, _MOST_PEERS)))
        signers = consortium.decode_validators(_ask(snapshot, executor, consortium.validators()))
    except DecodeError:
        return Membership(
            members={id: Member(id, name, bytes(32)) for id, name in names.items()},
            validators={one.public_key: one.organisation for one in genesis.validators},
            rules_unknown=unknown,
        )
    return Membership(
        members=members,
        nodes={id.hex(): owner for id, owner in zip(peers.node_ids, peers.organisations, strict=True)},
        validators=dict(zip(signers.keys, signers.organisations, strict=True)),
        rules_unknown=unknown,
    )


def _ask(snapshot: LedgerSnapshot, executor: Executor, call: Call) -> bytes:
    """The answer of a view function; empty where there is no such contract."""
    tip = snapshot.tip
    context = BlockContext(tip.height + 1, tip.time_ns // 1_000_000_000, _GAS, 1)
    request = CallRequest(SYSTEM, (call,), _GAS, work_limited=False)
    execution = executor.call(snapshot.tip_view, context, request)
    return execution.output if execution.success else b""


def _unknown_rules(snapshot: LedgerSnapshot) -> int:
    """The first row after the rules in force that makes no sense to this program; 0: there is none."""
    version = snapshot.rules.version + 1
    while True:
        words = [snapshot.tip_view.storage(CONSORTIUM, slot) for slot in rules_slots(version)]
        if not any(words):
            return 0
        if decode_rules(version, *words) is None:
            return version
        version += 1
