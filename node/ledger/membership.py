"""The validator table of the Consortium contract, and the updates it gives the engine.

An engine halts for ever on a bad update (a key twice, an absent key removed, nobody left), so updates are not
taken from what a transaction did: the whole table after the block is compared with the set that the engine
was told last. A table that could not run a network is passed over, and so is everything in it, until it is a
sound one again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from node.chain.errors import SignatureRefused
from node.chain.rules import (
    CONSORTIUM,
    VALIDATOR_COUNT_SLOT,
    VALIDATORS_VERSION_SLOT,
    validator_key_slot,
    validator_power_slot,
)
from node.chain.signing import ED25519, check_public_key
from node.chain.validators import Validator, sort_validators, validator_updates
from node.state.views import StateView

MAX_VALIDATORS: Final = 1_000
MAX_TOTAL_POWER: Final = (1 << 63) // 8
"""CometBFT's bound on the sum of all powers."""


def load_validator_table(view: StateView) -> tuple[Validator, ...] | None:
    """The table in `view` in CometBFT's order, or None if no network can run with it."""
    count = view.storage(CONSORTIUM, VALIDATOR_COUNT_SLOT)
    if not 0 < count <= MAX_VALIDATORS:
        return None
    powers: dict[bytes, int] = {}
    for index in range(count):
        key = view.storage(CONSORTIUM, validator_key_slot(index)).to_bytes(32, "big")
        power = view.storage(CONSORTIUM, validator_power_slot(key))
        if key in powers or not 0 < power <= MAX_TOTAL_POWER:
            return None
        try:
            check_public_key(ED25519, key)
        except SignatureRefused:
            return None
        powers[key] = power
    if sum(powers.values()) > MAX_TOTAL_POWER:
        return None
    return sort_validators(Validator(key, power) for key, power in powers.items())


def load_validator_updates(
    before: StateView, after: StateView, told: Iterable[Validator]
) -> tuple[Validator, ...]:
    """What a block changed in the validator set; `told` is the set of height + 1, the last the engine knows
    of.
    """
    version = before.storage(CONSORTIUM, VALIDATORS_VERSION_SLOT)
    if after.storage(CONSORTIUM, VALIDATORS_VERSION_SLOT) == version:
        return ()
    table = load_validator_table(after)
    return () if table is None else validator_updates(told, table)
