"""The document catalogue is consistent in itself and stands on the chain as it stands in the file."""

from __future__ import annotations

import pytest

from contracts.bindings import correction_documents as documents
from contracts.catalogue import CATALOGUE, RESTRICTED_DOCUMENT, kinds_mask, kinds_of
from contracts.district import district
from contracts.genesis import catalogue_rules
from contracts.vocabulary import (
    LimitUnit,
    OrganisationKind,
    StartEvent,
    outside_party,
    pack_recipients,
    unpack_recipients,
)

BOX = district()


def test_every_code_is_there_once() -> None:
    assert sorted(CATALOGUE) == [*range(1, 57), 536]
    assert len({row.label.zh for row in CATALOGUE.values()}) == len(CATALOGUE)
    assert CATALOGUE[536].name == "D36b"
    assert CATALOGUE[7].name == "D07"


def test_the_restricted_class_is_d36_to_d45_and_d51() -> None:
    assert {row.code for row in CATALOGUE.values() if row.restricted} == {*range(36, 46), 51, 536}


@pytest.mark.parametrize("code", [0, *sorted(CATALOGUE)])
def test_each_row_reads_back_from_the_chain(code: int) -> None:
    assert documents.decode_rule(BOX.read(documents.rule(code))) == catalogue_rules()[code]


def test_an_answer_can_go_back_where_the_question_came_from() -> None:
    for row in CATALOGUE.values():
        for code in row.replies:
            answer = CATALOGUE[code]
            assert answer.senders & row.recipients, (row.name, answer.name)
            assert answer.recipients & row.senders, (row.name, answer.name)
        outside_only = all(kind >= OrganisationKind.PRISON for kind in kinds_of(row.recipients))
        assert not row.reply_limit or row.replies or outside_only, row.name


def test_nobody_outside_the_network_is_the_only_sender() -> None:
    members = sum(1 << kind for kind in OrganisationKind if kind <= OrganisationKind.JUSTICE)
    assert all(row.senders & members for row in CATALOGUE.values())


def test_limits_of_the_law() -> None:
    """Decision 5, judgment 10 days from effect; receipt 5 days; assessment 10 workdays; arrest 48 hours."""

    def limit(code: int) -> tuple[int, LimitUnit, StartEvent]:
        rule = CATALOGUE[code].rule()
        return rule.amount, LimitUnit(rule.unit), StartEvent(rule.start)

    assert limit(6) == (5, LimitUnit.DAY, StartEvent.EFFECT)
    assert limit(7) == (10, LimitUnit.DAY, StartEvent.EFFECT)
    assert limit(8) == (5, LimitUnit.DAY, StartEvent.RECEIPT)
    assert limit(2) == (10, LimitUnit.WORKDAY, StartEvent.RECEIPT)
    assert limit(37) == (3, LimitUnit.DAY, StartEvent.EFFECT)
    arrest, violation, proposal = (CATALOGUE[code].rule() for code in (41, 52, 53))
    assert (arrest.reply_amount, arrest.reply_unit) == (48, LimitUnit.HOUR)
    assert (violation.reply_amount, violation.reply_unit) == (15, LimitUnit.DAY)
    assert (proposal.reply_amount, proposal.reply_unit) == (2, LimitUnit.MONTH)


def test_masks_and_addressees_round_trip() -> None:
    assert kinds_of(kinds_mask("法检")) == (OrganisationKind.PROCURATORATE, OrganisationKind.COURT)
    assert RESTRICTED_DOCUMENT.senders == 0b11110
    word = pack_recipients((4, outside_party(OrganisationKind.SUBJECT)), (2, 3))
    assert unpack_recipients(word) == ((4, 0xFF0C), (2, 3))
