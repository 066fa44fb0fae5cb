"""What people do, in a few words, for the tests of this folder."""

from __future__ import annotations

import itertools
import time
from datetime import date, timedelta

from fpdf import FPDF

from apps.community_correction.rules import start_of_day
from apps.community_correction.seed import AgencyPerson, delivered_to
from tests.helpers.correction_system import CorrectionSystem

NAME = "示范对象甲乙丙"
_numbers = itertools.count(1)


def judgment_pdf(pages: int = 3) -> bytes:
    pdf = FPDF()
    pdf.set_font("helvetica", size=14)
    for page in range(pages):
        pdf.add_page()
        pdf.multi_cell(0, text=f"Judgment (demonstration), page {page + 1}. " * 20)
    return bytes(pdf.output())


def days_ago(days: int) -> int:
    return start_of_day(date.today() - timedelta(days=days))


def open_case(system: CorrectionSystem) -> str:
    handler = system.person("court-handler")
    answer = handler.call(
        "POST",
        "/api/cases",
        {
            "number": f"（示范）测 {next(_numbers):04d} 号",
            "person": NAME,
            "category": "probation",
            "deciding": 1,
            "executing": 4,
            "legal_date": days_ago(1),
        },
    )
    handler.finish(answer["signing"])
    return str(answer["case"])


def prepare(handler: AgencyPerson, of_case: str | None, content: bytes = b"", **changes: object) -> str:
    """A judgment D07 with two files, ready to be signed as a draft."""
    fields: dict[str, object] = {
        "code": "D07",
        "title": f"判决书 {NAME}",
        "to": [4],
        "copies": [2, 3],
        "legal_date": days_ago(1),
    }
    if of_case is not None:
        fields["case"] = of_case
    files = [
        ("判决书.pdf", content or judgment_pdf(), "application/pdf"),
        ("执行通知书.txt", "执行通知书".encode(), "text/plain"),
    ]
    return handler.prepare(fields | changes, files)


def send(system: CorrectionSystem, documents: list[str], agency: str = "court") -> None:
    """Draft, approve, seal and submit, each by the one whose step it is."""
    system.person(f"{agency}-handler").step("draft", documents)
    system.person(f"{agency}-approver").step("approve", documents)
    system.person(f"{agency}-sealer").step("seal", documents)
    system.person(f"{agency}-handler").step("submit", documents)


def delivered(
    system: CorrectionSystem, document: str, agencies: dict[str, int], timeout_s: float = 30
) -> None:
    for agency, number in agencies.items():
        system.person(f"{agency}-handler").wait_for(document, delivered_to(number), timeout_s)


def eventually(condition: object, timeout_s: float = 20.0) -> None:
    """Wait until `condition()` is true; AssertionError after that."""
    deadline = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.1)
