"""What happens when a person hesitates, presses twice, goes back, has no mouse, or is in the wrong place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from contracts.vocabulary import DocumentState
from tests.e2e.browsing import Visitor
from tests.e2e.running_system import RunningSystem
from tests.e2e.test_clerk import drafts, opens_from_work_list

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.xdist_group("e2e")]

Visit = Callable[..., Visitor]


@pytest.fixture
def letter(tmp_path: Path) -> Path:
    path = tmp_path / "通知.txt"
    path.write_text("示范文书，没有法律效力。")
    return path


@pytest.fixture
def clerk(visit: Visit) -> Visitor:
    clerk = visit("court-handler")
    clerk.enrol_passkey()
    clerk.come_in()
    return clerk


@pytest.fixture
def approver(visit: Visit) -> Visitor:
    approver = visit("court-approver")
    approver.enrol_passkey()
    approver.come_in()
    return approver


def test_who_declines_is_told_that_nothing_was_sent_and_led_back(
    system: RunningSystem, clerk: Visitor, approver: Visitor, letter: Path
) -> None:
    title = f"拒签 {system.height()}"
    document = drafts(clerk, title, letter)
    signed = system.signed_by(approver.id)
    opens_from_work_list(approver, title)
    approver.press("审批同意")
    approver.reads_what_is_signed()
    approver.press("不签，返回")
    approver.sees("您没有签名，什么也没有提交。")
    assert system.signed_by(approver.id) == signed
    assert system.document_state(document) is DocumentState.DRAFTED
    approver.page.get_by_role("link", name="回到原来的页面").click()
    expect(approver.page.get_by_role("button", name="审批同意")).to_be_visible()


def test_a_device_that_does_not_recognise_the_person_signs_nothing_and_lets_them_try_again(
    system: RunningSystem, clerk: Visitor, approver: Visitor, letter: Path
) -> None:
    title = f"指纹 {system.height()}"
    document = drafts(clerk, title, letter)
    opens_from_work_list(approver, title)
    approver.press("审批同意")
    approver.verifies_the_user(False)
    approver.reads_what_is_signed()
    approver.press("确认签名")
    expect(approver.page.get_by_role("alert")).to_contain_text("可以再试一次")
    assert system.document_state(document) is DocumentState.DRAFTED
    approver.verifies_the_user(True)
    approver.signs()
    assert system.document_state(document) is DocumentState.APPROVED


def test_pressing_twice_and_going_back_act_once(
    system: RunningSystem, clerk: Visitor, approver: Visitor, letter: Path
) -> None:
    title = f"双击 {system.height()}"
    document = drafts(clerk, title, letter)
    signed = system.signed_by(approver.id)
    opens_from_work_list(approver, title)
    approver.page.get_by_role("button", name="审批同意").dblclick()
    approver.reads_what_is_signed()
    approver.page.get_by_role("button", name="确认签名").dblclick()
    approver.page.wait_for_url(approver.app + "/documents/*")
    approver.sees("待用印")
    assert system.signed_by(approver.id) == signed + 1

    approver.page.go_back()
    approver.reads_what_is_signed()
    approver.press("确认签名")
    approver.page.wait_for_url(approver.app + "/documents/*")
    approver.sees("待用印")
    assert system.signed_by(approver.id) == signed + 1
    assert system.document_state(document) is DocumentState.APPROVED


def test_an_approval_needs_no_mouse(
    system: RunningSystem, clerk: Visitor, approver: Visitor, letter: Path
) -> None:
    title = f"键盘 {system.height()}"
    document = drafts(clerk, title, letter)
    page = approver.page
    approver.go("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="跳到正文")).to_be_focused()
    page.keyboard.press("Enter")
    approver.tabs_to(page.get_by_role("link", name=title).first)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=title)).to_be_visible()
    approver.tabs_to(page.get_by_role("button", name="审批同意"))
    page.keyboard.press("Enter")
    approver.reads_what_is_signed("审批")
    approver.tabs_to(page.get_by_role("button", name="确认签名"))
    page.keyboard.press("Enter")
    page.wait_for_url(approver.app + "/documents/*")
    approver.sees("待用印")
    assert system.document_state(document) is DocumentState.APPROVED


def test_several_are_ticked_and_approved_in_one_touch(
    system: RunningSystem, clerk: Visitor, approver: Visitor, letter: Path
) -> None:
    title = f"批量 {system.height()}"
    documents = [drafts(clerk, f"{title} {number}", letter) for number in (1, 2, 3)]
    signed = system.signed_by(approver.id)
    approver.go("/")
    approver.page.evaluate("scrollTo(0, 0)")
    group = approver.page.locator("form.card").filter(has_text="待审批")
    for number in (1, 2, 3):
        group.get_by_label(f"{title} {number}", exact=True).check()
    group.get_by_role("button", name="所选").click()
    approver.signs("共 3 项")
    assert system.signed_by(approver.id) == signed + 1
    assert {system.document_state(one) for one in documents} == {DocumentState.APPROVED}


def test_english_is_one_press_away_and_stays(visit: Visit) -> None:
    clerk = visit("court-handler")
    clerk.come_in()
    clerk.page.get_by_role("link", name="English").click()
    expect(clerk.page.get_by_role("heading", name="Work list")).to_be_visible()
    assert clerk.page.locator("html").get_attribute("lang") == "en"
    clerk.go("/outbox")
    clerk.sees("Outbox", "sent")
    clerk.page.get_by_role("link", name="中文").click()
    clerk.sees("发件箱", "已发送")


def test_the_wrong_person_is_told_who_may_and_what_to_do(visit: Visit) -> None:
    approver = visit("court-approver")
    approver.come_in()
    approver.go("/documents/new")
    approver.sees("承办人")
    expect(approver.page.get_by_role("link", name="首页")).to_be_visible()

    resident = visit("resident-07", width=390)
    resident.come_in()
    resident.go("/desk")
    resident.sees("社区管理员")
    resident.page.get_by_role("link", name="首页").last.click()
    resident.sees("我的爱心积分")


def test_nobody_signed_in_is_asked_who_they_are(visit: Visit) -> None:
    visitor = visit("court-sealer")
    visitor.go("/outbox")
    visitor.sees("选择身份", visitor.name)
