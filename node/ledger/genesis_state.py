"""The state before the first block: the allocated accounts, then the genesis calls, run in the EVM at height
0.

A chain that goes on with another one's ledger has that one's last state in place of it. Its genesis calls
run at the start of its first block, so the state before that block, which its header names, is the old one.

What the calls leave must agree with what the genesis file says beside them, or the network would start with
one set of validators or rules and continue with another.
"""

from __future__ import annotations

from node.chain.errors import GenesisError
from node.chain.genesis import Genesis
from node.chain.rules import COINBASE, CONSORTIUM, SYSTEM, Rules, decode_rules, rules_at, rules_slots
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
    _run_calls(genesis, 0, overlay, executor)
    words = [overlay.storage(CONSORTIUM, slot) for slot in rules_slots(genesis.rules.version)]
    _check_agreement(genesis, decode_rules(genesis.rules.version, *words), overlay)
    return overlay.seal()


def run_opening(genesis: Genesis, overlay: Overlay[BaseView], executor: Executor) -> None:
    """The calls of a genesis that goes on, above the old chain's last state: the start of its first block.

    Raises GenesisError as `build_genesis_state`. What it does depends on that state and the genesis alone, so
    a ledger for which it went through once (`node.ledger.continuation`) never meets these.
    """
    first = genesis.initial_height
    _run_calls(genesis, first, overlay, executor)
    rules = rules_at(first, genesis.rules, lambda slot: overlay.storage(CONSORTIUM, slot))
    _check_agreement(genesis, rules, overlay)


def _run_calls(genesis: Genesis, height: int, overlay: Overlay[BaseView], executor: Executor) -> None:
    """At `height` and the genesis time, which is the first block's."""
    seconds = genesis.genesis_time_ns // 1_000_000_000
    context = BlockContext(height, seconds, genesis.rules.block_gas, genesis.evm_chain_id)
    for index, call in enumerate(genesis.calls):
        request = CallRequest(SYSTEM, (Call(call.to, call.data),), CALL_GAS, work_limited=False)
        execution = executor.apply(overlay, context, request)
        if not execution.success:
            raise GenesisError(
                "genesis.call_failed",
                "a genesis call failed",
                {"index": index, "to": call.to, "error": execution.error, "output": execution.output},
            )


def _check_agreement(genesis: Genesis, rules: Rules | None, overlay: Overlay[BaseView]) -> None:
    if rules != genesis.rules:
        raise GenesisError(
            "genesis.rules_differ",
            "the rules in the Consortium contract are not those of the file",
            None if rules is None else rules.version,
            genesis.rules.version,
        )
    table = load_validator_table(overlay)
    if table != genesis_validators(genesis):
        raise GenesisError(
            "genesis.validators_differ",
            "the validators in the Consortium contract are not those of the file",
            [] if table is None else [validator.public_key for validator in table],
            [validator.public_key for validator in genesis_validators(genesis)],
        )
