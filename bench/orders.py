"""Orders of the sharing community, from publication to the points' payment, WebAuthn-signed by residents."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bench.cast import CLERKS, RESIDENTS, identity_of
from bench.client import Client, slices
from bench.sending import Sender
from contracts.bindings import love_bank, sharing_orders
from node.chain.encoding import sha256
from node.chain.transaction import Call

STEPS = 7
"""Steps of one order; both sides check in."""

_KIND = 11
_UNITS = 100
_ENVELOPE_GAS = 60_000
_STEP_GAS = 100_000
_ISSUE_GAS = 250_000
_POINTS = 1_000
"""What a clerk may issue at once; an order of `_UNITS` of `_KIND` costs 130, and 200 at most."""
_ORDER_POINTS = 130


async def sign_orders(client: Client, tag: str, count: int, each: int = 1) -> list[list[bytes]]:
    """The stages of `count` orders: publish, accept, confirm, both check in, finish, complete.

    One transaction takes the same step of `each` orders between the same two residents. Points are issued to
    the residents first, by two clerks as the contract wants it, so that every order can be held in escrow.
    """
    chain_id = int(await client.call("eth_chainId"), 16)
    residents = [Sender(key, chain_id, 0) for key in RESIDENTS]
    clerks = [Sender(key, chain_id, 0) for key in CLERKS]
    await client.load_nonces([*residents, *clerks])
    orders = [sha256(f"order {tag} {i}".encode()) for i in range(count)]
    groups = list(slices(orders, each))
    turns = -(-len(groups) // len(residents))
    rounds = -(-turns * each * _ORDER_POINTS // _POINTS)
    payers = residents[: len(groups)]
    for clerk in clerks:  # the second one's call makes the entry
        await client.include_all(
            [clerk.sign_calls([_issue(payer, tag, i)], _ISSUE_GAS) for i in range(rounds) for payer in payers]
        )
    starts = int(time.time())

    def stage(offset: int, make: str, *arguments: object) -> list[bytes]:
        call = getattr(sharing_orders, make)
        return [
            residents[(i + offset) % len(residents)].sign_calls(
                [call(order, *arguments) for order in group], _gas(group)
            )
            for i, group in enumerate(groups)
        ]

    requester, provider = 0, 1
    return [
        stage(requester, "publish", False, _KIND, _UNITS, starts, bytes(32)),
        stage(provider, "accept"),
        stage(requester, "confirm"),
        stage(requester, "check_in", bytes(32)) + stage(provider, "check_in", bytes(32)),
        stage(provider, "finish"),
        stage(requester, "complete"),
    ]


def _gas(group: Sequence[bytes]) -> int:
    return _ENVELOPE_GAS + len(group) * _STEP_GAS


def _issue(resident: Sender, tag: str, number: int) -> Call:
    reference = sha256(f"points {tag} {number} {resident.address.hex()}".encode())
    return love_bank.issue(identity_of(resident.key), _POINTS, reference)
