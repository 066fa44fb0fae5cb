"""Orders of the sharing community, from publication to the points' payment, WebAuthn-signed by residents."""

from __future__ import annotations

import time

from bench.cast import CLERKS, RESIDENTS, identity_of
from bench.load import Client
from bench.sending import Sender
from contracts.bindings import love_bank, sharing_orders
from node.chain.encoding import sha256
from node.chain.transaction import Call

STEPS = 7
"""Transactions of one order."""

_KIND = 11
_UNITS = 100
_STEP_GAS = 150_000
_ISSUE_GAS = 250_000
_POINTS = 1_000
"""What a clerk may issue at once; an order of `_UNITS` of `_KIND` costs 130, and 200 at most."""
_ORDER_POINTS = 130


async def sign_orders(client: Client, tag: str, count: int) -> list[list[bytes]]:
    """The stages of `count` orders: publish, accept, confirm, both check in, finish, complete.

    Points are issued to the residents first, by two clerks as the contract wants it, so that every order can
    be held in escrow.
    """
    chain_id = int(await client.call("eth_chainId"), 16)
    residents = [Sender(key, chain_id, 0) for key in RESIDENTS]
    clerks = [Sender(key, chain_id, 0) for key in CLERKS]
    await client.load_nonces([*residents, *clerks])
    issues = -(-count * _ORDER_POINTS // (len(residents) * _POINTS)) * len(residents)
    for clerk in clerks:  # the second one's call makes the entry
        await client.include_all(
            [
                clerk.sign_calls([_issue(residents[i % len(residents)], tag, i)], _ISSUE_GAS)
                for i in range(issues)
            ]
        )
    orders = [sha256(f"order {tag} {i}".encode()) for i in range(count)]
    starts = int(time.time())

    def stage(offset: int, make: str, *arguments: object) -> list[bytes]:
        call = getattr(sharing_orders, make)
        return [
            residents[(i + offset) % len(residents)].sign_calls([call(order, *arguments)], _STEP_GAS)
            for i, order in enumerate(orders)
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


def _issue(resident: Sender, tag: str, number: int) -> Call:
    return love_bank.issue(identity_of(resident.key), _POINTS, sha256(f"points {tag} {number}".encode()))
