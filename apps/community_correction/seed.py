"""Gives a fresh demo something to look at: 30 cases, with documents that are sent, late by their declared
dates, due soon, returned, signed for and answered.

Everything goes through the public API of the agencies as their people would do it; only the signature is
given by the `sign` callback, because in a demo a program holds the keys of invented people. Outside a demo
there is no role switch, so the first call fails.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from apps.community_correction.rules import CHINA, start_of_day
from apps.site.errors import SiteError
from apps.site.person_client import PersonClient, Sign

CASES = 30
_DAY = 86_400
_CATEGORIES = ("probation", "probation", "probation", "parole", "control", "outside")


class AgencyPerson(PersonClient):
    """One person of the demo at the API of their agency's process."""

    def prepare(self, fields: Mapping[str, Any], files: Sequence[tuple[str, bytes, str]] = ()) -> str:
        """Prepare a document; its id. `files` are (name, content, media type)."""
        answer = self.upload("/api/documents", fields, files)
        return str(answer["document"])

    def step(self, action: str, documents: Sequence[str]) -> Mapping[str, Any]:
        """One of draft, approve, seal, submit, sign-for, for up to 100 documents."""
        return self.do(f"/api/documents/{action}", {"documents": list(documents)})

    def wait_for(
        self, document: str, ready: Callable[[Mapping[str, Any]], bool], timeout_s: float = 30.0
    ) -> None:
        """Until the document looks as wanted here. TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                if ready(self.call("GET", f"/api/documents/{document}")):
                    return
            except SiteError as error:
                if error.code != "site.not_found":
                    raise
            time.sleep(0.1)
        raise TimeoutError(f"document {document[:8]} did not get there in {timeout_s} s")


def delivered_to(organisation: int, state: int = 1) -> Callable[[Mapping[str, Any]], bool]:
    """For `wait_for`: the recipient has got at least that far (1 delivered, 2 signed for, 4 answered)."""
    return lambda document: any(
        one["organisation"] == organisation and one["number"] >= state for one in document["deliveries"]
    )


def seed(
    urls: Mapping[str, str], sign: Sign, now: int, progress: Callable[[str], None] = lambda _: None
) -> Mapping[str, int]:
    """Fill a running demo; how many of what there are then. `urls` by agency key; `now` in seconds."""
    court = {
        role: AgencyPerson(urls["court"], f"court-{role}", sign) for role in ("handler", "approver", "sealer")
    }
    justice = AgencyPerson(urls["justice"], "justice-handler", sign)
    try:
        return _seed(court, justice, now, progress)
    finally:
        for person in (*court.values(), justice):
            person.close()


def _seed(
    court: Mapping[str, AgencyPerson], justice: AgencyPerson, now: int, progress: Callable[[str], None]
) -> Mapping[str, int]:
    handler = court["handler"]
    documents = []
    for number in range(1, CASES + 1):
        effect = _effect(number, now)
        answer = handler.call(
            "POST",
            "/api/cases",
            {
                "number": f"（示范）刑初 {number:03d} 号",
                "person": f"示范人员{number:02d}",
                "category": _CATEGORIES[number % len(_CATEGORIES)],
                "deciding": 1,
                "executing": 4,
                "state": 2,
                "legal_date": effect,
            },
        )
        handler.finish(answer["signing"])
        documents.append(_judgment(handler, answer["case"], number, effect))
    progress(f"{CASES} cases")
    handler.step("draft", documents)
    court["approver"].step("approve", documents[:28])
    court["sealer"].step("seal", documents[:26])
    handler.step("submit", documents[:24])
    progress("24 judgments sent")
    for document in documents[:24]:
        justice.wait_for(document, delivered_to(4), 60)
    justice.step("sign-for", documents[:12])
    for document in documents[12:15]:
        justice.do(f"/api/documents/{document}/return", {"reason": "缺少执行通知书，请补齐后重新发送。"})
    receipts = [
        str(justice.call("POST", f"/api/documents/{document}/receipt")["document"])
        for document in documents[:6]
    ]
    justice.step("draft", receipts)
    progress("12 signed for, 3 returned, 6 receipts drafted")
    return {"cases": CASES, "sent": 24, "signed_for": 12, "returned": 3, "receipts_drafted": 6}


def _effect(number: int, now: int) -> int:
    """The declared day of effect: every third case is late already, the last ones are due within days."""
    days = 21 if number % 3 == 0 else 8 if number > 24 else 2 + number % 4
    return start_of_day(_day_of(now - days * _DAY))


def _day_of(seconds: int) -> date:
    return datetime.fromtimestamp(seconds, UTC).astimezone(CHINA).date()


def _judgment(handler: AgencyPerson, case: str, number: int, effect: int) -> str:
    lines = (
        "示范区人民法院",
        "刑事判决书（示范）",
        "",
        f"（示范）刑初 {number:03d} 号",
        "",
        f"被告人：示范人员{number:02d}",
    )
    text = "\n".join((*lines, "本文书为虚构，仅供演示。", ""))
    fields = {
        "code": "D07",
        "title": f"刑事判决书及执行通知书 {number:03d} 号",
        "case": case,
        "to": [4],
        "copies": [2, 3],
        "legal_date": effect,
    }
    files = [
        ("刑事判决书.txt", text.encode(), "text/plain"),
        ("执行通知书.txt", "执行通知书（示范）\n".encode(), "text/plain"),
    ]
    return handler.prepare(fields, files)
