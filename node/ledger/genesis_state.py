"""The state before the first block: the allocated accounts, then the genesis calls, run in the EVM at height
0.

What the calls leave must agree with what the genesis file says beside them, or the network would start with
one set of validators or rules and continue with another.
"""

from __future__ import annotations

from node.chain.errors import GenesisError
from node.chain.genesis import Genesis
from node.chain.rules import COINBASE, CONSORTIUM, SYSTEM, decode_rules, rules_slots
from node.chain.transaction import Call
from node.chain.validators import Validator, sort_validators
from node.execution import BlockContext, CallRequest, Executor
from node.ledger.membership import load_validator_table
from node.state.account import EMPTY_ACCOUNT
from node.state.overlay import Overlay, StateChange
from node.state.views import BaseView

CALL_GAS = 1 << 40
"""Gas of each genesis call: no bound but the file's own size and the patience of who wrote it."""


def genesis_validators(genesis: Genesis) -> tuple[Validator, ...]:
    """In CometBFT's order."""
    return sort_validators(
        Validator(validator.public_key, validator.power) for validator in genesis.validators
    )


def build_genesis_state(genesis: Genesis, empty: BaseView, executor: Executor) -> StateChange:
    """The genesis state above `empty`, a view of nothing.

    Raises GenesisError genesis.call_failed (got: index, error and revert data), genesis.rules_differ,
    genesis.validators_differ.
    """
    overlay = Overlay(empty)
    for allocated in genesis.alloc:
        account = EMPTY_ACCOUNT._replace(nonce=allocated.nonce)
        if allocated.code:
            account = account._replace(code_hash=overlay.add_code(allocated.code))
        overlay.set_account(allocated.address, account)
    if overlay.account(COINBASE) is None:
        overlay.set_account(COINBASE, EMPTY_ACCOUNT._replace(nonce=1))
    seconds = genesis.genesis_time_ns // 1_000_000_000
    context = BlockContext(0, seconds, genesis.rules.block_gas, genesis.evm_chain_id)
    for index, call in enumerate(genesis.calls):
        request = CallRequest(SYSTEM, (Call(call.to, call.data),), CALL_GAS, work_limited=False)
        execution = executor.apply(overlay, context, request)
        if not execution.success:
            raise GenesisError(
                "genesis.call_failed",
                "a genesis call failed",
                {"index": index, "to": call.to, "error": execution.error, "output": execution.output},
            )
    _check_agreement(genesis, overlay)
    return overlay.seal()


def _check_agreement(genesis: Genesis, overlay: Overlay[BaseView]) -> None:
    words = [overlay.storage(CONSORTIUM, slot) for slot in rules_slots(genesis.rules.version)]
    if decode_rules(genesis.rules.version, *words) != genesis.rules:
        raise GenesisError(
            "genesis.rules_differ",
            "the rules in the Consortium contract are not those of the file",
            words,
        )
    table = load_validator_table(overlay)
    if table != genesis_validators(genesis):
        raise GenesisError(
            "genesis.validators_differ",
            "the validators in the Consortium contract are not those of the file",
            [] if table is None else [validator.public_key for validator in table],
            [validator.public_key for validator in genesis_validators(genesis)],
        )
