"""Two neighbours with a phone each: a need is published, taken, served and paid for; the balances say so."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from contracts.vocabulary import OrderState
from tests.e2e.browsing import Visitor
from tests.e2e.running_system import RunningSystem

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.xdist_group("e2e")]

PHONE = 390
Visit = Callable[..., Visitor]


def balance_on_page(person: Visitor) -> int:
    person.go("/")
    return int(person.page.locator(".balance-card b").inner_text())


def publishes(person: Visitor, title: str) -> str:
    """By the first page's large button. The order's number."""
    person.go("/")
    person.page.get_by_role("link", name="我要人帮忙").click()
    person.page.get_by_label("哪一类").select_option(label="陪伴探访")
    person.page.get_by_label("一句话说清楚").fill(title)
    person.page.get_by_label("多长时间").select_option(label="30 分钟")
    person.page.get_by_label("大概地点").fill("东区 3 号院")
    person.page.get_by_label("详细地点").fill("2 单元门口")
    person.press("去签名发布")
    person.signs("发布互助", "陪伴探访")
    person.sees(title, "已发布")
    return person.page.url.rsplit("/", 1)[1]


def reads_code(person: Visitor) -> str:
    code = person.page.locator(".code").inner_text()
    assert re.fullmatch(r"\d{3}\s\d{3}", code)
    return code


def checks_in(person: Visitor, order: str, code: str) -> None:
    person.go(f"/orders/{order}")
    person.page.get_by_label("再输入对方手机上的六位数字").fill(code)
    person.press("签到")
    person.signs("签到")


def test_a_need_is_served_and_points_move_through_escrow(system: RunningSystem, visit: Visit) -> None:
    asks, helps = visit("resident-05", width=PHONE), visit("resident-16", width=PHONE)
    for person in (asks, helps):
        person.enrol_passkey()
        person.come_in()
    had = {person.id: balance_on_page(person) for person in (asks, helps)}
    assert had == {person.id: system.points_of(person.id) for person in (asks, helps)}

    title = f"陪我去公园走走 {system.height()}"
    order = publishes(asks, title)
    assert system.order_state(order) is OrderState.PUBLISHED

    helps.go("/")
    helps.page.get_by_role("link", name="我来帮忙").click()
    helps.page.get_by_role("link", name=title).click()
    expect(helps.page.locator("main")).not_to_contain_text("2 单元门口")
    helps.press("我来接单")
    helps.signs("接单")
    helps.sees("等对方确认")

    asks.go("/")
    asks.page.get_by_role("link", name=title).click()
    asks.press("确认，托管积分")
    asks.signs("托管")
    assert system.order_state(order) is OrderState.CONFIRMED
    price = had[asks.id] - system.points_of(asks.id)
    assert price > 0
    assert balance_on_page(asks) == had[asks.id] - price
    asks.go("/bank")
    asks.sees("托管中")

    asks.go(f"/orders/{order}")
    code_of_asks = reads_code(asks)
    helps.go(f"/orders/{order}")
    helps.sees("2 单元门口")
    code_of_helps = reads_code(helps)
    helps.page.get_by_label("再输入对方手机上的六位数字").fill("000 000")
    helps.press("签到")
    helps.sees("签到码不对")
    assert system.order_state(order) is OrderState.CONFIRMED
    checks_in(helps, order, code_of_asks)
    checks_in(asks, order, code_of_helps)
    assert system.order_state(order) is OrderState.IN_SERVICE

    helps.go(f"/orders/{order}")
    helps.press("服务做完了")
    helps.signs("完成")
    asks.go("/")
    asks.page.get_by_role("link", name=title).click()
    asks.press("确认完成，转积分")
    asks.signs("确认")
    assert system.order_state(order) is OrderState.COMPLETED
    assert balance_on_page(asks) == system.points_of(asks.id) == had[asks.id] - price
    assert balance_on_page(helps) == system.points_of(helps.id) == had[helps.id] + price

    asks.go(f"/orders/{order}")
    asks.page.get_by_text("★").first.click()
    asks.page.get_by_label("说两句").fill("很耐心，谢谢")
    asks.press("去签名评价")
    asks.signs("评价")
    asks.sees("已评价")
    assert system.order_state(order) is OrderState.RATED

    helps.go("/bank")
    helps.sees(f"+{price}", title)
    helps.go(f"/orders/{order}")
    expect(helps.page.locator("main")).not_to_contain_text(order)
    helps.page.get_by_text("链上凭证").click()
    expect(helps.page.locator("#proof")).to_contain_text(order)
