"""Verifies what happened from chain data alone: signed headers, transactions, receipts, and the genesis file.

No application and no read model is asked. For every transaction of the demonstration the steps of
`evidence.transaction` are gone; then the events in the proven receipts are read in order and must tell the
same story: the judgment's life without a skipped step, and points that went into escrow and out of it to
the one who helped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cli.demonstration.chain import Chain
from cli.demonstration.correction import Exchanged
from cli.demonstration.points import Served
from cli.demonstration.run import Done, Run, StepFailed
from contracts.bindings import correction_documents as documents
from contracts.bindings import love_bank, sharing_orders
from evidence.transaction import ProvenTransaction, verify_transaction
from node.chain.genesis import Genesis

PART: Final = "验证 verify"
_VERIFIER: Final = "任何人 anyone"
_OWN_STEPS: Final = (documents.DocumentDrafted, documents.DocumentApproved, documents.DocumentSealed)


def verify_all(
    run: Run, chain: Chain, genesis: Genesis, exchanged: Exchanged, served: Served, others: Sequence[str]
) -> int:
    """Prove every transaction; the number proved. Raises StepFailed."""
    transactions = (*exchanged.transactions, *others, *served.transactions)
    proven: dict[str, ProvenTransaction] = {}

    def prove() -> Done:
        for transaction in transactions:
            proven[transaction] = verify_transaction(chain.evidence(transaction), genesis)
        return Done()

    run.step(PART, f"{len(transactions)} 笔交易、回执与提交签名 proofs", _VERIFIER, prove)
    run.step(PART, "文书全程没有跳步 no step skipped", _VERIFIER, lambda: _document(exchanged, proven))
    run.step(PART, "积分经托管付给帮忙的人 escrow paid", _VERIFIER, lambda: _order(served, proven))
    return len(proven)


def _document(exchanged: Exchanged, proven: dict[str, ProvenTransaction]) -> Done:
    id_, manifest = (
        bytes.fromhex(exchanged.document),
        bytes.fromhex(exchanged.manifest_hash.removeprefix("0x")),
    )
    events = [
        event
        for transaction in exchanged.transactions
        for log in proven[transaction].receipt.logs
        if log.address == documents.ADDRESS and (event := documents.decode_event(log)) is not None
    ]
    story = [type(event).__name__ for event in events if getattr(event, "document", None) == id_]
    _expect(
        "the judgment's life",
        story,
        [
            "DocumentDrafted",
            "DocumentApproved",
            "DocumentSealed",
            "DocumentSubmitted",
            "DocumentSignedFor",
            "DocumentSignedFor",
            "DocumentSignedFor",
            "DocumentReplied",
        ],
    )
    people = {}
    for event in events:
        if isinstance(event, _OWN_STEPS) and event.document == id_:
            _expect("the manifest", event.manifest_hash, manifest)
            people[type(event).__name__] = event.by
    if len(set(people.values())) != 3:
        raise StepFailed("demo.step_failed", "drafter, approver and sealer are not three people", people)
    return Done()


def _order(served: Served, proven: dict[str, ProvenTransaction]) -> Done:
    order = bytes.fromhex(served.order)
    logs = [log for transaction in served.transactions for log in proven[transaction].receipt.logs]
    orders = [
        event
        for log in logs
        if log.address == sharing_orders.ADDRESS and (event := sharing_orders.decode_event(log)) is not None
    ]
    completed = next((one for one in orders if isinstance(one, sharing_orders.OrderCompleted)), None)
    if completed is None or completed.order != order:
        raise StepFailed("demo.step_failed", "the order was not completed on the chain", None, served.order)
    entries = [
        entry
        for log in logs
        if log.address == love_bank.ADDRESS
        and isinstance(entry := love_bank.decode_event(log), love_bank.Entry)
    ]
    _expect("entries", [entry.amount for entry in entries], [served.amount, served.amount])
    into, out = entries
    _expect("into and out of the same escrow", into.to, out.from_)
    _expect("paid by the requester", into.from_[-16:], completed.requester)
    _expect("paid to the provider", out.to[-16:], completed.provider)
    return Done()


def _expect(what: str, got: object, expected: object) -> None:
    if got != expected:
        raise StepFailed("demo.step_failed", f"{PART}: {what}", got, expected)
