"""Verifies what happened from chain data alone: signed headers, transactions, receipts, and the genesis file.

No application and no read model is asked, and where several agencies have nodes, none that took the
transaction in. For every transaction of the demonstration the steps of
`evidence.transaction` are gone; then the events in the proven receipts are read in order and must tell the
same story: the judgment's life without a skipped step, and points that went into escrow and out of it to
the one who helped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cli.demonstration.correction import JUSTICE, POLICE, PROCURATORATE, Exchanged
from cli.demonstration.network import Network
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
    run: Run, network: Network, genesis: Genesis, exchanged: Exchanged, served: Served, others: Sequence[str]
) -> int:
    """Prove every transaction; the number proved. Raises StepFailed."""
    network.settle()
    life = network.transactions_about(documents.ADDRESS, bytes.fromhex(exchanged.document))
    transactions = dict.fromkeys((*exchanged.transactions, *life, *others, *served.transactions))
    proven: dict[str, ProvenTransaction] = {}

    def prove() -> Done:
        for transaction in transactions:
            proven[transaction] = verify_transaction(network.evidence(transaction), genesis)
        return Done()

    run.step(PART, f"{len(transactions)} 笔交易、回执与提交签名 proofs", _VERIFIER, prove)
    run.step(
        PART,
        "文书全程没有跳步 no step skipped",
        _VERIFIER,
        lambda: _document(exchanged, [proven[transaction] for transaction in life]),
    )
    run.step(PART, "积分经托管付给帮忙的人 escrow paid", _VERIFIER, lambda: _order(served, proven))
    return len(proven)


def _document(exchanged: Exchanged, life: Sequence[ProvenTransaction]) -> Done:
    """Drafted, approved, sealed by three people and submitted; delivered to each before it was signed for."""
    id_ = bytes.fromhex(exchanged.document)
    manifest = bytes.fromhex(exchanged.manifest_hash.removeprefix("0x"))
    events = [
        event
        for one in life
        for log in one.receipt.logs
        if log.address == documents.ADDRESS
        and (event := documents.decode_event(log)) is not None
        and getattr(event, "document", None) == id_
    ]
    _expect(
        "own agency's steps",
        [type(event) for event in events[:4]],
        [*_OWN_STEPS, documents.DocumentSubmitted],
    )
    people = set()
    for event in events:
        if isinstance(event, _OWN_STEPS):
            _expect("the manifest", event.manifest_hash, manifest)
            people.add(event.by)
    _expect("drafter, approver and sealer are different people", len(people), len(_OWN_STEPS))
    delivered: set[int] = set()
    signed: set[int] = set()
    for event in events:
        if isinstance(event, documents.DocumentDelivered):
            delivered.add(event.organisation)
        elif isinstance(event, documents.DocumentSignedFor):
            _expect("delivered before it was signed for", event.organisation in delivered, True)
            signed.add(event.organisation)
    _expect("signed for by", signed, {JUSTICE, PROCURATORATE, POLICE})
    _expect("answered", any(isinstance(event, documents.DocumentReplied) for event in events), True)
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
