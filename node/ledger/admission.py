"""Whether a transaction may be in a block: the one function that `check`, `process` and `finalize` share.

What is checked, in this order, each with its own code:

 1. `decode`: type, size, one form of the bytes          tx.*, rlp.*
 2. size by the rules in force                            tx.too_large
 3. chain id                                              tx.wrong_chain
 4. 0x49: number of calls, `valid_until`                  tx.too_many_calls, tx.expired, tx.valid_too_long
 5. the scheme has a price, initcode is not too large,    tx.scheme_off, tx.initcode_too_large,
    gas limit between intrinsic gas and cap               tx.gas_above_cap, tx.gas_below_intrinsic
 6. form of key and signature; the sender                 signature.*
 7. the sender's credential                               sender.unknown, .suspended, .revoked,
                                                          .not_yet_valid, .expired, .wrong_scheme
 8. its relying party                                     relying_party.unknown, .not_in_force
 9. the signature, under that relying party               signature.*
10. what is called                                        call.not_deployer, call.not_callable,
                                                          tx.value_not_zero
11. the sender is no contract (EIP-3607); the nonce       sender.is_contract, tx.nonce_too_low

The state read is whatever view is given: the tip for `check`, the parent state for `process`, the state as
the block has changed it so far for `finalize`.

A signature is verified **once**. What was found about a transaction is a `Known`, and lives while somebody
holds it: the pool while the transaction waits (`Admitted.known`), a submission or a block while it is looked
at, the last proposals that were judged. Whoever comes with the same bytes meanwhile finds it. It is verified
again only where its credential has come under another relying party (another rp id or origin to hold), and
after nobody held it any more.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol
from weakref import WeakValueDictionary

from node.chain.encoding import keccak256
from node.chain.errors import Refusal, SignatureRefused
from node.chain.rules import (
    CONSORTIUM,
    DOMAIN_STAFF,
    IDENTITY_REGISTRY,
    STATUS_ACTIVE,
    STATUS_SUSPENDED,
    Credential,
    RelyingParty,
    Rules,
    callable_slot,
    credential_slots,
    decode_credential,
    decode_relying_party,
    deployer_slot,
    is_localhost_origin,
    origin_slot,
    relying_party_slots,
)
from node.chain.signing import SECP256K1, SigningContext, check_form, sender_of, verify
from node.chain.transaction import (
    MAX_TRANSACTION_BYTES,
    Address,
    ImiTransaction,
    Transaction,
    decode,
)
from node.execution.gas import MAX_INITCODE_BYTES, intrinsic_gas
from node.state.account import EMPTY_CODE_HASH
from node.state.views import StateView

PROPOSALS_KEPT: Final = 4
"""Judged proposals whose signatures are remembered until a block is committed: a few rounds of one height."""

_SLOTS_REMEMBERED: Final = 65_536

_slots_of_credential = lru_cache(_SLOTS_REMEMBERED)(credential_slots)
_slots_of_party = lru_cache(_SLOTS_REMEMBERED)(relying_party_slots)
_slot_of_callable = lru_cache(_SLOTS_REMEMBERED)(callable_slot)


@dataclass(slots=True, weakref_slot=True, eq=False)
class Known:
    """A decoded transaction and what was found about its signature. Depends on no state."""

    transaction: Transaction
    sender: Address | SignatureRefused | None = None
    """None until it is asked for; the refusal if key or signature are malformed."""
    verdict: Verdict | None = None
    """Of the last verification of a 0x49 transaction."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verifying under a relying party gave: `refusal`, or None if the signature holds.

    It stands for every relying party with the same `rp_id_hash` and `allow_backup` that says `allowed` when
    asked for `origin` (None: no origin was asked for).
    """

    rp_id_hash: bytes
    allow_backup: bool
    origin: bytes | None
    allowed: bool
    refusal: SignatureRefused | None


@dataclass(frozen=True, slots=True)
class Admitted:
    """A transaction that may be in a block. `identity` is the 16 bytes its sender's credential names.

    `slots` of IdentityRegistry and Consortium were read: while none of them changes, nor the rules, what was
    found stays true but for what time and height do.
    """

    known: Known
    sender: Address
    identity: bytes
    domain: int
    gas_limit: int
    intrinsic_gas: int
    slots: tuple[int, ...]

    @property
    def transaction(self) -> Transaction:
        return self.known.transaction

    @property
    def is_staff(self) -> bool:
        return self.domain == DOMAIN_STAFF


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a transaction is admitted into: the state, the rules, the block's height and time (seconds)."""

    view: StateView
    rules: Rules
    height: int
    now: int


class _Slots(Protocol):
    def storage(self, address: Address, slot: int) -> int: ...


class _Recorder:
    """Storage of a view, and which slots were read."""

    __slots__ = ("_view", "slots")

    def __init__(self, view: StateView) -> None:
        self._view = view
        self.slots: list[int] = []

    def storage(self, address: Address, slot: int) -> int:
        self.slots.append(slot)
        return self._view.storage(address, slot)


class Admission:
    """Admission on one chain. Threads may share it."""

    def __init__(self, chain_id: int, is_demo: bool) -> None:
        self._chain_id = chain_id
        self._is_demo = is_demo
        self._known: WeakValueDictionary[bytes, Known] = WeakValueDictionary()
        self._lock = threading.Lock()
        self._judged: deque[tuple[Known, ...]] = deque(maxlen=PROPOSALS_KEPT)

    def decode(self, raw: bytes, max_bytes: int = MAX_TRANSACTION_BYTES) -> Known:
        """The transaction in `raw`, decoded once while somebody holds it. Raises DecodeError."""
        known = self._known.get(raw)
        if known is None:
            transaction = decode(raw, max_bytes)
            with self._lock:
                known = self._known.get(raw)
                if known is None:
                    known = self._known[raw] = Known(transaction)
        return known

    def keep_judged(self, proposal: Iterable[Known]) -> None:
        """Hold what was found about a proposal until it, or another one, is decided."""
        self._judged.append(tuple(proposal))

    def forget_judged(self) -> None:
        """A block was committed: what was proposed for its height is done with."""
        self._judged.clear()

    def admit(self, raw: bytes, around: Surroundings) -> Admitted:
        """The transaction in `raw`, if it may be in the block. Raises DecodeError, SignatureRefused,
        Refusal.
        """
        return self.admit_known(self.decode(raw, around.rules.max_transaction_bytes), around)

    def admit_known(self, known: Known, around: Surroundings) -> Admitted:
        """Steps 2 to 11 for a decoded transaction. Raises SignatureRefused, Refusal."""
        tx, rules = known.transaction, around.rules
        self._check_envelope(tx, around)
        intrinsic = _check_gas(tx, rules)
        sender = self.sender_of(known)
        view = _Recorder(around.view)
        credential = _credential(view, sender)
        _check_credential(credential, tx, sender, around.now)
        party = _relying_party(view, credential)
        if not party.in_force(around.height):
            raise Refusal(
                "relying_party.not_in_force",
                "the relying party of this credential is not in force at this height",
                around.height,
                [party.from_height, party.until_height],
            )
        self._verify(known, view, credential, party)
        _check_calls(tx, view, sender, credential, party)
        account = around.view.account(sender)
        if account is not None:
            if account.code_hash != EMPTY_CODE_HASH:
                raise Refusal("sender.is_contract", "an address with code cannot send (EIP-3607)", sender)
            if tx.nonce < account.nonce:
                raise Refusal("tx.nonce_too_low", "the nonce has been used already", tx.nonce, account.nonce)
        return Admitted(
            known, sender, credential.identity, credential.domain, tx.gas_limit, intrinsic, tuple(view.slots)
        )

    def sender_of(self, known: Known) -> Address:
        """Step 6. Raises SignatureRefused."""
        sender = known.sender
        if sender is None:
            try:
                check_form(known.transaction)
                sender = sender_of(known.transaction)
            except SignatureRefused as refusal:
                sender = refusal
            known.sender = sender
        if isinstance(sender, SignatureRefused):
            raise _again(sender)
        return sender

    def is_signed(self, known: Known, view: StateView) -> bool:
        """Whether the signature holds for this chain, whatever the credential's status and times are now.

        What is found is remembered in `known`.
        """
        tx = known.transaction
        if tx.chain_id != self._chain_id:
            return False
        try:
            credential = _credential(view, self.sender_of(known))
            self._verify(known, view, credential, _relying_party(view, credential))
        except (SignatureRefused, Refusal):
            return False
        return True

    def _check_envelope(self, tx: Transaction, around: Surroundings) -> None:
        rules = around.rules
        if len(tx.raw) > rules.max_transaction_bytes:
            raise Refusal(
                "tx.too_large", "the transaction is too large", len(tx.raw), rules.max_transaction_bytes
            )
        if tx.chain_id != self._chain_id:
            raise Refusal("tx.wrong_chain", "signed for another chain", tx.chain_id, self._chain_id)
        if isinstance(tx, ImiTransaction):
            if len(tx.calls) > rules.max_calls:
                raise Refusal("tx.too_many_calls", "too many calls", len(tx.calls), rules.max_calls)
            if tx.valid_until <= around.now:
                raise Refusal("tx.expired", "valid_until has passed", tx.valid_until, f"> {around.now}")
            if tx.valid_until > around.now + rules.max_validity:
                raise Refusal(
                    "tx.valid_too_long",
                    "valid_until is too far ahead",
                    tx.valid_until,
                    f"<= {around.now + rules.max_validity}",
                )

    def _verify(self, known: Known, view: _Slots, credential: Credential, party: RelyingParty) -> None:
        tx = known.transaction
        if not isinstance(tx, ImiTransaction):
            return  # types 0-2: recovering the sender verified the signature
        allow_backup = credential.domain != DOMAIN_STAFF
        asked: list[tuple[bytes, bool]] = []

        def allows_origin(origin: bytes) -> bool:
            allowed = self._allows_origin(view, credential.relying_party, party, origin)
            asked.append((origin, allowed))
            return allowed

        verdict = known.verdict
        if (
            verdict is None
            or (verdict.rp_id_hash, verdict.allow_backup) != (party.rp_id_hash, allow_backup)
            or (verdict.origin is not None and allows_origin(verdict.origin) != verdict.allowed)
        ):
            asked.clear()
            refusal = None
            try:
                verify(tx, SigningContext(party.rp_id_hash, allows_origin, allow_backup))
            except SignatureRefused as error:
                refusal = error
            origin, allowed = asked[-1] if asked else (None, True)
            verdict = known.verdict = Verdict(party.rp_id_hash, allow_backup, origin, allowed, refusal)
        if verdict.refusal is not None:
            raise _again(verdict.refusal)

    def _allows_origin(self, view: _Slots, relying_party: bytes, party: RelyingParty, origin: bytes) -> bool:
        if party.localhost_any_port and self._is_demo and is_localhost_origin(origin):
            return True
        return view.storage(CONSORTIUM, origin_slot(relying_party, keccak256(origin))) != 0


def _again(refusal: SignatureRefused) -> SignatureRefused:
    """A remembered refusal, to be raised anew: an exception that is raised twice gathers its tracebacks."""
    return SignatureRefused(refusal.code, refusal.message, refusal.got, refusal.expected)


def _check_gas(tx: Transaction, rules: Rules) -> int:
    if isinstance(tx, ImiTransaction):
        if not rules.scheme_enabled(tx.scheme):
            enabled = [scheme for scheme, gas in enumerate(rules.scheme_gas) if gas]
            raise Refusal("tx.scheme_off", "the rules in force do not allow this scheme", tx.scheme, enabled)
    elif tx.to is None and len(tx.data) > MAX_INITCODE_BYTES:
        raise Refusal("tx.initcode_too_large", "initcode is too large", len(tx.data), MAX_INITCODE_BYTES)
    if tx.gas_limit > rules.transaction_gas:
        raise Refusal("tx.gas_above_cap", "the gas limit is too high", tx.gas_limit, rules.transaction_gas)
    intrinsic = intrinsic_gas(tx, rules)
    if tx.gas_limit < intrinsic:
        raise Refusal(
            "tx.gas_below_intrinsic", "the gas limit is below the intrinsic gas", tx.gas_limit, intrinsic
        )
    return intrinsic


def _credential(view: _Slots, sender: Address) -> Credential:
    first, second = _slots_of_credential(sender)
    word = view.storage(IDENTITY_REGISTRY, first)
    credential = decode_credential(word, view.storage(IDENTITY_REGISTRY, second)) if word else None
    if credential is None:
        raise Refusal("sender.unknown", "no credential is registered for this key", sender)
    return credential


def _check_credential(credential: Credential, tx: Transaction, sender: Address, now: int) -> None:
    if credential.status == STATUS_SUSPENDED:
        raise Refusal("sender.suspended", "the credential is suspended", sender)
    if credential.status != STATUS_ACTIVE:
        raise Refusal("sender.revoked", "the credential is revoked", sender)
    if now < credential.valid_from:
        raise Refusal(
            "sender.not_yet_valid", "the credential is not valid yet", now, f">= {credential.valid_from}"
        )
    if not credential.in_time(now):
        raise Refusal("sender.expired", "the credential has expired", now, f"< {credential.valid_until}")
    scheme = tx.scheme if isinstance(tx, ImiTransaction) else SECP256K1
    if credential.scheme != scheme:
        raise Refusal("sender.wrong_scheme", "the credential is of another scheme", scheme, credential.scheme)


def _relying_party(view: _Slots, credential: Credential) -> RelyingParty:
    first, second = _slots_of_party(credential.relying_party)
    party = decode_relying_party(view.storage(CONSORTIUM, first), view.storage(CONSORTIUM, second))
    if party is None:
        raise Refusal(
            "relying_party.unknown", "the credential's relying party is not there", credential.relying_party
        )
    return party


def _check_calls(
    tx: Transaction, view: _Slots, sender: Address, credential: Credential, party: RelyingParty
) -> None:
    if isinstance(tx, ImiTransaction):
        targets = {call.to: None for call in tx.calls}
    elif tx.to is not None:
        targets = {tx.to: None}
    else:
        targets = {}
        if not view.storage(CONSORTIUM, deployer_slot(sender)):
            raise Refusal("call.not_deployer", "this account may not create contracts", sender)
    if not party.any_contract:
        for target in targets:
            if not view.storage(CONSORTIUM, _slot_of_callable(credential.relying_party, target)):
                raise Refusal(
                    "call.not_callable",
                    "the relying party of this credential may not call this contract",
                    target,
                )
    if not isinstance(tx, ImiTransaction) and tx.value:
        raise Refusal("tx.value_not_zero", "there is no money on this ledger", tx.value, 0)
