"""Executing a decided block: a total function of the parent state and the block.

Nothing a transaction holds or does makes it raise. Each transaction ends in one of four ways:

- it is no transaction at all: result code 1, no receipt, nothing changes;
- it is not admissible in the state the block has made so far (its credential was revoked by an earlier one,
  say): a status-0 receipt. If it is rightly signed and its nonce is the sender's, it costs its intrinsic gas
  and the nonce; otherwise nothing;
- it runs and fails: a status-0 receipt, its gas and its nonce;
- it runs and succeeds.

What does raise is the machine below: LedgerError when the database cannot be read.

The first block of a chain that goes on with another one's ledger begins with the calls of its genesis
(`node.ledger.genesis_state`). They leave no receipts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from node.chain.errors import DecodeError, Refusal, SignatureRefused
from node.chain.genesis import Genesis
from node.chain.receipt import (
    UNDECODABLE_RESULT,
    Log,
    TransactionResult,
    build_receipt,
    encode_receipt,
    result_of,
    results_hash,
)
from node.chain.rules import CONSORTIUM, Rules, rules_at
from node.chain.transaction import Address, Transaction
from node.chain.validators import Validator
from node.execution import BlockContext, Execution, Executor
from node.execution.gas import intrinsic_gas
from node.ledger.admission import Admission, Known, Surroundings
from node.ledger.blocks import DecidedBlock, FinalizedBlock
from node.ledger.genesis_state import run_opening
from node.ledger.membership import load_validator_updates
from node.state.account import EMPTY_ACCOUNT
from node.state.blocks import OUTPUT_LIMIT, StoredReceipt
from node.state.overlay import Overlay
from node.state.views import BaseView


@dataclass(frozen=True, slots=True)
class Parent:
    """What a block builds on: the state, the rules in force in it, the validators of its next height."""

    view: BaseView
    rules: Rules
    next_validators: tuple[Validator, ...]


@dataclass(slots=True)
class _Outcome:
    """The block so far."""

    results: list[TransactionResult] = field(default_factory=list)
    receipts: list[StoredReceipt] = field(default_factory=list)
    logs: list[tuple[Log, ...]] = field(default_factory=list)
    log_count: int = 0
    gas_used: int = 0
    bloom: int = 0


def finalize_block(
    parent: Parent,
    block: DecidedBlock,
    admission: Admission,
    executor: Executor,
    genesis: Genesis,
) -> FinalizedBlock:
    """Execute `block` on `parent` in an overlay."""
    overlay = Overlay(parent.view)
    around = Surroundings(overlay, parent.rules, block.height, block.timestamp)
    context = BlockContext(block.height, block.timestamp, parent.rules.block_gas, genesis.evm_chain_id)
    if genesis.goes_on and block.height == genesis.initial_height:
        run_opening(genesis, overlay, executor)
    outcome = _Outcome()
    for raw in block.transactions:
        try:
            known = admission.decode(raw)
        except DecodeError:
            outcome.results.append(UNDECODABLE_RESULT)
            outcome.receipts.append(StoredReceipt(b"", UNDECODABLE_RESULT, b"", None, b"", outcome.log_count))
            outcome.logs.append(())
            continue
        sender, execution = _run(overlay, known, around, context, admission, executor)
        _record(outcome, known.transaction, sender, execution)
    change = overlay.seal()
    return FinalizedBlock(
        block=block,
        parent_app_hash=parent.view.state_root,
        results=tuple(outcome.results),
        receipts=tuple(outcome.receipts),
        logs=tuple(outcome.logs),
        logs_bloom=outcome.bloom.to_bytes(256, "big"),
        gas_used=outcome.gas_used,
        results_hash=results_hash(outcome.results),
        app_hash=change.state_root,
        change=change,
        validator_updates=load_validator_updates(parent.view, overlay, parent.next_validators),
        block_rules=parent.rules,
        rules=rules_at(block.height + 1, genesis.rules, lambda slot: overlay.storage(CONSORTIUM, slot)),
    )


def _run(
    overlay: Overlay[BaseView],
    known: Known,
    around: Surroundings,
    context: BlockContext,
    admission: Admission,
    executor: Executor,
) -> tuple[Address, Execution]:
    tx = known.transaction
    try:
        admitted = admission.admit_known(known, around)
    except (SignatureRefused, Refusal):
        return _refuse(overlay, known, around.rules, admission)
    account = overlay.account(admitted.sender)
    if tx.nonce != (account.nonce if account else 0):
        return admitted.sender, _failed(0)
    return admitted.sender, executor.execute(overlay, context, tx, admitted.sender, around.rules)


def _refuse(
    overlay: Overlay[BaseView], known: Known, rules: Rules, admission: Admission
) -> tuple[Address, Execution]:
    """A transaction that is not admissible any more costs its sender the nonce, if the sender really signed
    it.
    """
    tx = known.transaction
    if not admission.is_signed(known, overlay):
        return known.sender if isinstance(known.sender, bytes) else b"", _failed(0)
    sender = admission.sender_of(known)
    account = overlay.account(sender) or EMPTY_ACCOUNT
    if tx.nonce != account.nonce:
        return sender, _failed(0)
    overlay.set_account(sender, account._replace(nonce=account.nonce + 1))
    return sender, _failed(min(tx.gas_limit, intrinsic_gas(tx, rules)))


def _failed(gas_used: int) -> Execution:
    return Execution(False, gas_used, (), b"", None)


def _record(outcome: _Outcome, tx: Transaction, sender: Address, execution: Execution) -> None:
    outcome.gas_used += execution.gas_used
    receipt = build_receipt(tx.type, int(execution.success), outcome.gas_used, execution.logs)
    encoded = encode_receipt(receipt)
    result = result_of(encoded, tx.gas_limit, execution.gas_used)
    outcome.results.append(result)
    outcome.receipts.append(
        StoredReceipt(
            sender=sender,
            result=result,
            encoded=encoded,
            contract_address=execution.created,
            output=execution.output[:OUTPUT_LIMIT],
            first_log_index=outcome.log_count,
        )
    )
    outcome.logs.append(execution.logs)
    outcome.log_count += len(execution.logs)
    outcome.bloom |= int.from_bytes(receipt.bloom, "big")
