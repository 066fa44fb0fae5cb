"""A judgment from the court clerk to the justice bureau, every person signing with their own passkey."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import expect

from cli.demonstration.judgment import make_judgment
from contracts.vocabulary import DeliveryState, DocumentState
from tests.e2e.browsing import Visitor
from tests.e2e.running_system import RunningSystem

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.xdist_group("e2e")]

PROCURATORATE, POLICE, JUSTICE = 2, 3, 4
Visit = Callable[..., Visitor]


@pytest.fixture
def judgment(tmp_path: Path) -> Path:
    path = tmp_path / "判决书.pdf"
    today = datetime.now(UTC).date()
    path.write_bytes(make_judgment("示范对象", f"（{today.year}）示0101刑初88号", today, 88))
    return path


def drafts(clerk: Visitor, title: str, file: Path) -> str:
    """From the work list: kind, title, file, signature. The document's number."""
    clerk.go("/")
    clerk.page.locator("#main").get_by_role("link", name="发文书").click()
    clerk.page.wait_for_load_state()
    clerk.page.get_by_label("文书种类").select_option("D07")
    clerk.page.get_by_label("标题").fill(title)
    clerk.page.locator("input[type=file]").set_input_files(file)
    expect(clerk.page.get_by_label("示范区司法局")).to_be_checked()
    clerk.press("拟稿并签名")
    clerk.signs("起草文书", "D07", "示范区司法局")
    clerk.sees(title, "待审批")
    return clerk.page.url.rsplit("/", 1)[1]


def opens_from_work_list(person: Visitor, title: str) -> None:
    """A work list, not a menu: what waits stands on the first page."""
    person.go("/")
    person.page.get_by_role("link", name=title).first.click()
    expect(person.page.get_by_role("heading", name=title)).to_be_visible()


def test_a_judgment_is_drafted_approved_sealed_sent_read_and_signed_for(
    system: RunningSystem, visit: Visit, judgment: Path
) -> None:
    clerk, approver, sealer = visit("court-handler"), visit("court-approver"), visit("court-sealer")
    title = f"刑事判决书 浏览器 {system.height()}"
    clerk.enrol_passkey()
    clerk.come_in()
    clerk.sees("工作台", "待我办理")
    document = drafts(clerk, title, judgment)
    assert system.document_state(document) is DocumentState.DRAFTED

    approver.enrol_passkey()
    approver.come_in()
    opens_from_work_list(approver, title)
    approver.press("审批同意")
    approver.signs("审批")
    approver.sees("待用印")
    assert system.document_state(document) is DocumentState.APPROVED

    sealer.enrol_passkey()
    sealer.come_in()
    opens_from_work_list(sealer, title)
    sealer.press("用印")
    sealer.signs("用印")
    sealer.sees("待发送")
    assert system.document_state(document) is DocumentState.SEALED

    opens_from_work_list(clerk, title)
    clerk.press("发送")
    clerk.signs("发送")
    clerk.sees("已发送")
    assert system.document_state(document) is DocumentState.SUBMITTED

    justice = visit("justice-handler")
    justice.enrol_passkey()
    justice.come_in()
    expect_delivery(justice, system, document)
    opens_from_work_list(justice, title)
    assert opens_file(justice, "判决书.pdf") == judgment.read_bytes()
    justice.press("签收")
    justice.signs("签收")
    justice.sees("已签收")
    assert system.delivery(document, JUSTICE).state == DeliveryState.SIGNED_FOR

    clerk.go(f"/documents/{document}")
    row = clerk.page.locator(".list-group-item").filter(has_text="示范区司法局")
    expect(row).to_contain_text("已签收")
    clerk.sees("承办人拟稿签名", "法院审批人（示范）", "法院用印人（示范）", "司法局承办人（示范）")
    assert {system.delivery(document, one).state for one in (PROCURATORATE, POLICE)} == {
        DeliveryState.DELIVERED
    }


def expect_delivery(person: Visitor, system: RunningSystem, document: str) -> None:
    """The recipient's service stores the files and reports delivery by itself; a person reloads."""
    for _ in range(100):
        if system.delivery(document, JUSTICE).state == DeliveryState.DELIVERED:
            break
        person.page.wait_for_timeout(200)
    assert system.delivery(document, JUSTICE).state == DeliveryState.DELIVERED


def opens_file(person: Visitor, name: str) -> bytes:
    """What the file's link shows in the browser, as bytes."""
    path = person.page.get_by_role("link", name=name, exact=True).get_attribute("href")
    answer = person.page.request.get(f"{person.app}{path}")
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"].startswith("inline")
    return answer.body()
