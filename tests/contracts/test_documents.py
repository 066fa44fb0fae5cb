"""A document's life on the node's own EVM: who may do what, what is late, twenty in one transaction."""

from __future__ import annotations

import pytest

from contracts.bindings import correction_documents as documents
from contracts.catalogue import CATALOGUE
from contracts.district import (
    COURT,
    JUSTICE,
    NOW,
    POLICE,
    PROCURATORATE,
    SUPERVISOR,
    approver,
    handler,
    sealer,
    service,
)
from contracts.sandbox import CallFailed, Sandbox
from contracts.vocabulary import DeliveryState, DocumentState, OrganisationKind, Step, outside_party
from node.chain.encoding import sha256
from node.chain.transaction import Call

SELF = bytes(16)
NO_DOCUMENT = bytes(32)
CASE = sha256(b"case")
MANIFEST = sha256(b"manifest")
DAY = 86_400


def document_id(name: str) -> bytes:
    return sha256(name.encode())


def send_whole(
    sandbox: Sandbox,
    document: bytes,
    code: int,
    sender: int,
    to: int,
    legal_date: int,
    answered: bytes = NO_DOCUMENT,
) -> None:
    sandbox.send(
        handler(sender).account, documents.draft(document, CASE, code, MANIFEST, (to,), (), answered, SELF)
    )
    sandbox.send(approver(sender).account, documents.approve(document, MANIFEST, SELF))
    sandbox.send(sealer(sender).account, documents.seal(document, MANIFEST, SELF))
    sandbox.send(handler(sender).account, documents.submit(document, legal_date, SELF))


def refused(sandbox: Sandbox, sender: bytes, *calls: Call) -> tuple[str, dict[str, object]]:
    with pytest.raises(CallFailed) as caught:
        sandbox.send(sender, *calls)
    error = caught.value.got
    return getattr(error, "name", ""), getattr(error, "args", {})


def test_a_judgment_goes_out_is_received_and_answered(sandbox: Sandbox) -> None:
    judgment, receipt = document_id("judgment"), document_id("receipt")
    send_whole(sandbox, judgment, 7, COURT, JUSTICE, NOW - DAY)
    sandbox.send(service(JUSTICE).account, documents.deliver(judgment, MANIFEST))
    sandbox.send(handler(JUSTICE).account, documents.sign_for(judgment, SELF))
    send_whole(sandbox, receipt, 8, JUSTICE, COURT, NOW, judgment)
    delivery = documents.decode_delivery(sandbox.read(documents.delivery(judgment, JUSTICE)))
    assert delivery.state == DeliveryState.REPLIED
    document = documents.decode_document(sandbox.read(documents.document(receipt)))
    assert document.state == DocumentState.SUBMITTED
    assert document.in_reply_to == judgment
    assert document.drafter == handler(JUSTICE).identity


def test_a_judgment_of_three_weeks_ago_is_late_at_every_step(sandbox: Sandbox) -> None:
    judgment = document_id("late")
    send_whole(sandbox, judgment, 7, COURT, JUSTICE, NOW - 20 * DAY)
    sandbox.now += DAY
    delivered = sandbox.events(sandbox.send(service(JUSTICE).account, documents.deliver(judgment, MANIFEST)))
    late = next(event for event in delivered if isinstance(event, documents.StepLate))
    assert late.step == Step.DELIVER
    assert late.late_by == sandbox.now - late.due
    state = documents.decode_document(sandbox.read(documents.document(judgment)))
    assert late.due == state.due
    signed = sandbox.events(sandbox.send(handler(JUSTICE).account, documents.sign_for(judgment, SELF)))
    assert [event.step for event in signed if isinstance(event, documents.StepLate)] == [Step.SIGN_FOR]


def test_a_missing_reply_is_recorded_once_by_the_supervisor(sandbox: Sandbox) -> None:
    judgment = document_id("judgment")
    send_whole(sandbox, judgment, 7, COURT, JUSTICE, NOW)
    sandbox.send(service(JUSTICE).account, documents.deliver(judgment, MANIFEST))
    assert refused(sandbox, SUPERVISOR.account, documents.poke_deadline(judgment, JUSTICE))[0] == "NotOverdue"
    sandbox.now += 10 * DAY
    events = sandbox.events(sandbox.send(SUPERVISOR.account, documents.poke_deadline(judgment, JUSTICE)))
    breach = next(event for event in events if isinstance(event, documents.DeadlineBreach))
    assert (breach.organisation, breach.by) == (JUSTICE, SUPERVISOR.identity)
    assert (
        refused(sandbox, SUPERVISOR.account, documents.poke_deadline(judgment, JUSTICE))[0]
        == "BreachRecorded"
    )


def test_wrong_recipients_are_refused_with_what_was_wrong(sandbox: Sandbox) -> None:
    call = documents.draft(document_id("x"), CASE, 7, MANIFEST, (POLICE,), (), NO_DOCUMENT, SELF)
    assert refused(sandbox, handler(COURT).account, call) == (
        "RecipientNotAllowed",
        {
            "code": 7,
            "recipient": POLICE,
            "kind": OrganisationKind.POLICE,
            "allowedKinds": CATALOGUE[7].recipients,
        },
    )


def test_nobody_approves_what_they_drafted(sandbox: Sandbox) -> None:
    judgment = document_id("own")
    sandbox.send(
        handler(COURT).account,
        documents.draft(judgment, CASE, 7, MANIFEST, (JUSTICE,), (), NO_DOCUMENT, SELF),
    )
    assert (
        refused(sandbox, handler(COURT).account, documents.approve(judgment, MANIFEST, SELF))[0]
        == "RoleMissing"
    )
    assert (
        refused(sandbox, approver(POLICE).account, documents.approve(judgment, MANIFEST, SELF))[0]
        == "WrongOrganisation"
    )


@pytest.mark.parametrize("code", sorted(code for code, row in CATALOGUE.items() if row.restricted))
def test_restricted_documents_show_no_code(sandbox: Sandbox, code: int) -> None:
    named = documents.draft(document_id("named"), CASE, code, MANIFEST, (COURT,), (), NO_DOCUMENT, SELF)
    assert refused(sandbox, handler(JUSTICE).account, named) == ("CodeRestricted", {"code": code})
    hidden = document_id("hidden")
    send_whole(sandbox, hidden, 0, JUSTICE, COURT, 0)
    document = documents.decode_document(sandbox.read(documents.document(hidden)))
    assert (document.code, document.due, document.legal_date) == (0, 0, 0)


def test_every_general_code_can_be_sent_as_the_catalogue_says(sandbox: Sandbox) -> None:
    ids = {
        OrganisationKind.POLICE: POLICE,
        OrganisationKind.PROCURATORATE: PROCURATORATE,
        OrganisationKind.COURT: COURT,
        OrganisationKind.JUSTICE: JUSTICE,
    }
    pairs = [
        (sender_kind, kind)
        for sender_kind in ids
        for kind in OrganisationKind
        if kind != sender_kind and (kind in ids or kind >= OrganisationKind.PRISON)
    ]
    for row in (row for row in CATALOGUE.values() if not row.restricted):
        allowed = [pair for pair in pairs if row.senders >> pair[0] & 1 and row.recipients >> pair[1] & 1]
        other = next(pair for pair in pairs if pair not in allowed)
        assert allowed, row.name
        for sender_kind, kind in (*allowed, other):
            to = (ids.get(kind, outside_party(kind)),)
            call = documents.draft(document_id("one"), CASE, row.code, MANIFEST, to, (), NO_DOCUMENT, SELF)
            sender = handler(ids[sender_kind]).account
            if (sender_kind, kind) == other:
                assert refused(sandbox.fork(), sender, call)[0] in ("SenderNotAllowed", "RecipientNotAllowed")
            else:
                sandbox.fork().send(sender, call)


def test_twenty_documents_are_one_transaction_all_or_none(sandbox: Sandbox) -> None:
    ids = [document_id(f"batch {number}") for number in range(20)]
    drafts = [documents.draft(one, CASE, 7, MANIFEST, (JUSTICE,), (), NO_DOCUMENT, SELF) for one in ids]
    sandbox.send(handler(COURT).account, *drafts)
    approvals = [documents.approve(one, MANIFEST, SELF) for one in ids]
    spoilt = [*approvals[:19], documents.approve(ids[19], sha256(b"other"), SELF)]
    assert refused(sandbox, approver(COURT).account, *spoilt)[0] == "ManifestMismatch"
    states = {documents.decode_document(sandbox.read(documents.document(one))).state for one in ids}
    assert states == {DocumentState.DRAFTED}
    execution = sandbox.send(approver(COURT).account, *approvals)
    assert len(sandbox.events(execution)) == 20
