"""A person acts on the chain with a key at hand: looked at before, signed, sent, waited for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from identity.keys import WEBAUTHN_P256, KeyPair
from identity.node import NodeClient, Receipt
from identity.signing import sign_imi
from network.consortium.governance import MembershipError
from network.consortium.reading import Standing, read_standing, try_calls
from node.chain.transaction import Call, build_imi

VALIDITY_S: Final = 600
"""From signing to the last moment at which the transaction may be in a block."""
_ROOM: Final = 20_000
"""Bytes beside the calls' data: the longest signature, key and envelope."""
_MARGIN: Final = 1.25
"""The state may have moved between estimate and block."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody with a key, and who they are on the chain."""

    key: KeyPair
    standing: Standing


def recognise(node: NodeClient, key: KeyPair) -> Actor:
    """Who a key is on this chain.

    Raises MembershipError membership.no_standing, membership.page_key, NodeError.
    """
    if key.algorithm is WEBAUTHN_P256:
        raise MembershipError(
            "membership.page_key", "a passkey signs on the signing page, not here", key.algorithm.name
        )
    standing = read_standing(node, key.address)
    if standing is None:
        raise MembershipError(
            "membership.no_standing",
            "the chain does not know this key, or its owner or organisation is suspended",
            key.address,
            "a key that two registrars enrolled",
        )
    return Actor(key, standing)


def require_voter(actor: Actor) -> None:
    """Raises MembershipError membership.no_voter."""
    if not actor.standing.may_vote:
        raise MembershipError(
            "membership.no_voter",
            "this key may neither propose nor vote",
            actor.standing.roles,
            "staff with the role OPERATOR or APPROVER: two registrars give it by `appoint`",
        )


def require_registrar(actor: Actor) -> None:
    """Raises MembershipError membership.no_registrar."""
    if not actor.standing.is_registrar:
        raise MembershipError(
            "membership.no_registrar", "this is an act of two registrars", actor.standing.roles, "REGISTRAR"
        )


def send(node: NodeClient, actor: Actor, calls: Sequence[Call], *, wait_s: float = 120.0) -> Receipt:
    """One transaction with all the calls, carried out whole or not at all; returns when it is in a block.

    Raises MembershipError membership.contract (the contracts refuse it now), membership.failed (they did in
    its block), NodeError.
    """
    key = actor.key
    size = sum(len(call.data) + 64 for call in calls) + _ROOM
    gas, refusal = try_calls(node, key.address, calls, key.scheme, size)
    if refusal is not None:
        raise refusal
    unsigned = build_imi(
        chain_id=node.chain_id(),
        nonce=node.nonce(key.address),
        valid_until=int(time.time()) + VALIDITY_S,
        gas_limit=int(gas * _MARGIN),
        calls=tuple(calls),
        scheme=key.scheme,
        public_key=key.public_key,
    )
    receipt = node.submit(sign_imi(key, unsigned, origin="", rp_id="").raw, wait=wait_s)
    if not receipt.ok:
        raise MembershipError(
            "membership.failed",
            "the transaction is in a block but changed nothing: the state had moved; look again",
            receipt.transaction,
        )
    return receipt
