"""A judgment's way from the court to the justice bureau and back, on a real node, between real processes."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import httpx
import pytest

from apps.community_correction import rules
from apps.community_correction.seed import AgencyPerson
from apps.site.errors import SiteError
from apps.site.people import APPROVER, HANDLER, Person
from contracts.bindings import correction_documents as documents
from tests.helpers.correction_system import CorrectionSystem, correction_system
from tests.pages.correction import flow

pytestmark = pytest.mark.slow

RECIPIENTS = {"justice": 4, "procuratorate": 2, "police": 3}


def files_of(system: CorrectionSystem, person: AgencyPerson, document: str) -> list[bytes]:
    url = system.configs[person.id.partition("-")[0]].public_url
    with httpx.Client(base_url=url, trust_env=False) as client:
        client.post("/demo/login", json={"person": person.id})
        return [client.get(f"/documents/{document}/files/{index}").content for index in range(2)]


def test_a_judgment_goes_out_is_signed_for_and_answered(system: CorrectionSystem) -> None:
    case = flow.open_case(system)
    handler, justice = system.person("court-handler"), system.person("justice-handler")
    content = flow.judgment_pdf()
    document = flow.prepare(handler, case, content)
    flow.send(system, [document])
    flow.delivered(system, document, RECIPIENTS)
    for agency in RECIPIENTS:
        person = system.person(f"{agency}-handler")
        assert files_of(system, person, document) == [content, "执行通知书".encode()]
        assert person.call("GET", f"/api/documents/{document}")["person"] == flow.NAME
    justice.step("sign-for", [document])
    receipt = str(justice.call("POST", f"/api/documents/{document}/receipt")["document"])
    flow.send(system, [receipt], "justice")
    flow.delivered(system, receipt, {"court": 1})
    handler.step("sign-for", [receipt])
    view = handler.call("GET", f"/api/documents/{document}")
    assert view["state_number"] == 4
    assert {one["organisation"]: one["number"] for one in view["deliveries"]} == {4: 4, 2: 1, 3: 1}
    kinds = [step["kind"] for step in view["trail"]]
    assert kinds[:4] == ["drafted", "approved", "sealed", "submitted"]
    assert sorted(kinds[4:]) == ["delivered", "delivered", "delivered", "replied", "signed_for"]
    assert all(step["who"] for step in view["trail"] if step["kind"] != "replied")


def test_nothing_of_the_case_stands_on_the_chain(system: CorrectionSystem) -> None:
    document = flow.prepare(system.person("court-handler"), flow.open_case(system))
    flow.send(system, [document])
    client = system.agencies["court"].client
    for number in range(client.block_number() + 1):
        block = client.request("eth_getBlockByNumber", hex(number), True)
        data = b"".join(bytes.fromhex(one["input"][2:]) for one in block["transactions"])
        data += repr(block["transactions"]).encode()
        assert flow.NAME.encode() not in data
        assert "（示范）测".encode() not in data
        assert "判决书".encode() not in data


def test_a_return_brings_its_reason_to_the_sender_and_a_new_version_supersedes(
    system: CorrectionSystem,
) -> None:
    handler, justice = system.person("court-handler"), system.person("justice-handler")
    first = flow.prepare(handler, flow.open_case(system))
    flow.send(system, [first])
    flow.delivered(system, first, {"justice": 4})
    justice.do(f"/api/documents/{first}/return", {"reason": "缺少起诉书副本"})

    def reason() -> object:
        deliveries = handler.call("GET", f"/api/documents/{first}")["deliveries"]
        return next(one["reason"] for one in deliveries if one["organisation"] == 4)

    flow.eventually(lambda: reason() == "缺少起诉书副本")
    second = flow.prepare(handler, None, replaces=first)
    flow.send(system, [second])
    handler.do(f"/api/documents/{first}/supersede", {"successor": second})
    view = handler.call("GET", f"/api/documents/{first}")
    assert (view["state_number"], view["successor"]) == (5, second)


def test_twenty_documents_are_one_touch_at_every_step(system: CorrectionSystem) -> None:
    handler = system.person("court-handler")
    documents = [flow.prepare(handler, None, b"", copies=[]) for _ in range(20)]
    done = [
        system.person(f"court-{role}").step(step, documents)
        for role, step in (
            ("handler", "draft"),
            ("approver", "approve"),
            ("sealer", "seal"),
            ("handler", "submit"),
        )
    ]
    assert len({one["transaction"] for one in done}) == 4
    for document in documents:
        flow.delivered(system, document, {"justice": 4}, 60)
    signed = system.person("justice-handler").step("sign-for", documents)
    client = system.agencies["court"].client
    receipt = client.receipt(bytes.fromhex(signed["transaction"][2:]))
    assert receipt is not None
    assert len(receipt.logs) >= 20


@pytest.mark.parametrize("step", ["approve", "seal", "submit", "sign-for"])
def test_an_out_of_order_step_is_refused_in_words(system: CorrectionSystem, step: str) -> None:
    people = {
        "approve": "court-approver",
        "seal": "court-sealer",
        "submit": "court-handler",
        "sign-for": "justice-handler",
    }
    document = flow.prepare(system.person("court-handler"), None)
    with pytest.raises(SiteError) as refused:
        system.person(people[step]).step(step, [document])
    assert refused.value.code in ("correction.wrong_step", "correction.not_recipient")
    assert refused.value.next_step.zh


def test_nobody_approves_their_own_draft(system: CorrectionSystem) -> None:
    document = flow.prepare(system.person("court-handler"), None)
    system.person("court-handler").step("draft", [document])
    drafter = system.cast.find("court-handler")
    assert drafter is not None
    both = Person("x", "x", 1, "x", drafter.identity, HANDLER | APPROVER, ())
    with pytest.raises(SiteError) as refused:
        system.agencies["court"].commands.approve(both, [document])
    assert refused.value.code == "correction.own_draft"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"to": [3]}, "correction.wrong_recipient"),
        ({"copies": [1]}, "correction.wrong_recipient"),
        ({"to": [4], "copies": [4]}, "correction.wrong_recipient"),
        ({"code": "D08"}, "correction.wrong_sender"),
        ({"code": "D99"}, "correction.code_unknown"),
        ({"legal_date": 0}, "correction.legal_date_missing"),
        ({"case": "0" * 64}, "site.not_found"),
        ({"in_reply_to": "0" * 64}, "site.not_found"),
    ],
)
def test_a_wrong_draft_is_refused_before_anyone_signs(
    system: CorrectionSystem, changes: dict[str, object], code: str
) -> None:
    with pytest.raises(SiteError) as refused:
        flow.prepare(system.person("court-handler"), None, **changes)
    assert refused.value.code == code


def test_what_was_signed_must_be_what_was_asked(system: CorrectionSystem) -> None:
    handler = system.person("court-handler")
    first, second = flow.prepare(handler, None), flow.prepare(handler, None)
    asked = handler.call("POST", "/api/documents/draft", {"documents": [first]})
    other = handler.call("POST", "/api/documents/draft", {"documents": [second]})
    with pytest.raises(SiteError) as refused:
        handler.call(
            "POST", "/api/sign/finish", {"state": asked["state"], "raw": system.sign("court-handler", other)}
        )
    assert refused.value.code == "sign.not_what_was_asked"
    with pytest.raises(SiteError) as unknown:
        system.person("court-approver").call(
            "POST", "/api/sign/finish", {"state": asked["state"], "raw": "0x49"}
        )
    assert unknown.value.code == "sign.state_unknown"
    with pytest.raises(SiteError) as malformed:
        handler.call("POST", "/api/sign/finish", {"state": asked["state"], "raw": "0x49c0"})
    assert malformed.value.code == "sign.raw_malformed"


def test_finishing_twice_gives_the_same_transaction(system: CorrectionSystem) -> None:
    handler = system.person("court-handler")
    asked = handler.call("POST", "/api/documents/draft", {"documents": [flow.prepare(handler, None)]})
    answer = {"state": asked["state"], "raw": system.sign("court-handler", asked)}
    first = handler.call("POST", "/api/sign/finish", answer)
    assert handler.call("POST", "/api/sign/finish", answer) == first


def test_a_discarded_draft_leaves_nothing_in_the_vault(system: CorrectionSystem) -> None:
    vault = system.agencies["court"].vault
    before = vault.used
    document = flow.prepare(system.person("court-handler"), None)
    assert vault.used > before
    system.person("court-handler").call("DELETE", f"/api/documents/{document}")
    assert vault.used == before


@pytest.mark.parametrize("restart_sender", [False, True])
def test_a_recipient_that_was_offline_gets_it_later(tmp_path: Path, restart_sender: bool) -> None:
    with correction_system(tmp_path, start=["court", "procuratorate", "police"]) as system:
        handler = system.person("court-handler")
        document = flow.prepare(handler, None)
        flow.send(system, [document])
        flow.delivered(system, document, {"procuratorate": 2, "police": 3})

        def outbox() -> dict[int, str]:
            rows = handler.call("GET", "/api/outbox")["deliveries"]
            return {row["organisation"]: row["state"] for row in rows if row["document"] == document}

        flow.eventually(lambda: outbox().get(4) == "failed")
        error = next(
            row["error"]
            for row in handler.call("GET", "/api/outbox")["deliveries"]
            if row["organisation"] == 4
        )
        assert error == "transport.unreachable"
        if restart_sender:
            system.stop("court")
            system.start("court")
        system.start("justice")
        handler.call("POST", f"/api/documents/{document}/deliver-again")
        flow.delivered(system, document, {"justice": 4})
        assert outbox()[4] == "stored"


def test_another_recipient_serves_what_the_sender_cannot(tmp_path: Path) -> None:
    with correction_system(tmp_path, start=["court", "procuratorate"]) as system:
        content = flow.judgment_pdf()
        document = flow.prepare(system.person("court-handler"), None, content)
        flow.send(system, [document])
        flow.delivered(system, document, {"procuratorate": 2})
        system.stop("court")
        system.start("justice", ahead_s=3_600)
        flow.delivered(system, document, {"justice": 4})
        assert files_of(system, system.person("justice-handler"), document)[0] == content


def test_a_restricted_document_shows_the_chain_its_class_only_and_is_answered(
    system: CorrectionSystem,
) -> None:
    justice, police = system.person("justice-handler"), system.person("police-handler")
    proposal = flow.prepare(justice, None, code="D36", to=[3], copies=[2], legal_date=0)
    flow.send(system, [proposal], "justice")
    flow.delivered(system, proposal, {"police": 3})
    answer_of_chain = system.agencies["police"].client.call(documents.document(bytes.fromhex(proposal)))
    assert documents.decode_document(answer_of_chain).code == 0
    assert police.call("GET", f"/api/documents/{proposal}")["code"] == "D36"
    police.step("sign-for", [proposal])
    assert "answer" in police.call("GET", f"/api/documents/{proposal}")["actions"]
    answer = flow.prepare(police, None, code="D36b", to=[4], copies=[], legal_date=0, in_reply_to=proposal)
    flow.send(system, [answer], "police")
    flow.delivered(system, answer, {"justice": 4})
    flow.eventually(lambda: justice.call("GET", f"/api/documents/{proposal}")["deliveries"][0]["number"] == 4)


def test_deadlines_here_and_in_the_contract_are_the_same(system: CorrectionSystem) -> None:
    client = system.agencies["court"].client
    limited = [rule for rule in rules.catalogue().values() if rule.limit is not None]
    assert len(limited) > 10
    for rule in limited:
        assert rule.limit is not None
        for day in range(0, 660, 29):
            legal_date = rules.start_of_day(date(2025, 1, 3) + timedelta(days=day)) + 3_600 * (day % 24)
            answer = client.call(documents.due_time(rule.number, legal_date))
            expected = rules.due_time(rule.limit, legal_date, rules.work_calendar())
            assert documents.decode_due_time(answer) == expected, (rule.code, legal_date)
