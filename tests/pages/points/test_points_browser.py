"""A resident's and a clerk's work in Chromium, on a phone and on a desktop, from the role switch to the end.

The signing page stands on its own; here its place is taken by a program that signs, with the demo key, what
the browser was sent there with, and sends it back the same way.
"""

from __future__ import annotations

import base64
import json
from datetime import datetime

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from apps.site.formats import CHINA
from tests.helpers.navigation import go_to
from tests.helpers.points_system import SIGNING_PAGE, PointsSystem
from tests.pages.points.conftest import Seeded

pytestmark = [pytest.mark.slow, pytest.mark.browser]

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}
FIRST_LOAD_BYTES = 250_000


class Visitor:
    """One person with a browser of their own."""

    def __init__(self, browser: Browser, system: PointsSystem, person: str, viewport: dict[str, int]) -> None:
        self.person, self.system = person, system
        self.context: BrowserContext = browser.new_context(viewport=viewport, locale="zh-CN")  # type: ignore[arg-type]
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(10_000)
        self.complaints: list[str] = []
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.route(
            f"{SIGNING_PAGE}**", lambda route: route.fulfill(body="signing", content_type="text/html")
        )
        self.page.goto(f"{system.url}/login")
        self.page.locator(f"form:has(input[value='{person}']) button").click()
        self.page.wait_for_url(lambda url: "/login" not in url)

    def _note(self, message: object) -> None:
        if getattr(message, "type", "") == "error":
            self.complaints.append(str(getattr(message, "text", "")))

    def go(self, path: str) -> None:
        go_to(self.page, self.system.url + path)

    def press_and_sign(self, button: str) -> None:
        """Press a button that leads to the signing page, sign there, and come back."""
        self.page.get_by_role("button", name=button, exact=True).click()
        self.page.wait_for_url(f"{SIGNING_PAGE}**")
        packed = self.page.url.partition("#")[2]
        document = json.loads(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
        raw = self.system.sign(self.person, document)
        answer = json.dumps({"v": 1, "state": document["state"], "raw": raw}).encode()
        self.page.goto(f"{document['return_to']}#{base64.urlsafe_b64encode(answer).rstrip(b'=').decode()}")
        self.page.wait_for_url(lambda url: "/sign/return" not in url, timeout=15_000)
        self.page.wait_for_load_state("load")

    def close(self) -> None:
        self.context.close()
        assert self.complaints == []


def test_two_residents_with_one_thumb_each_take_an_order_to_its_end(
    browser: Browser, system: PointsSystem
) -> None:
    asks = Visitor(browser, system, "resident-19", PHONE)
    helps = Visitor(browser, system, "resident-20", PHONE)
    page = asks.page
    page.get_by_role("link", name="我要人帮忙").click()
    page.get_by_label("哪一类").select_option(label="陪伴探访")
    page.get_by_label("一句话说清楚").fill("陪外婆去公园走走")
    page.get_by_label("大概地点").fill("东区")
    expect(page.locator("[data-estimate]")).to_have_text("5")
    start = page.locator("input[name=start]")
    start.fill(_tomorrow(system))
    asks.press_and_sign("去签名发布")
    order = page.url.rpartition("/")[2]
    assert "等邻居接单" in page.locator(".next-card").inner_text()

    helps.page.get_by_role("link", name="我来帮忙").click()
    helps.page.get_by_role("link", name="陪外婆去公园走走").click()
    helps.press_and_sign("我来接单")

    asks.go("/")
    asks.page.get_by_role("link", name="陪外婆去公园走走").click()
    asks.press_and_sign("确认，托管积分")
    for one, other in ((asks, helps), (helps, asks)):
        other.go(f"/orders/{order}")
        code = other.page.locator(".code").inner_text()
        one.go(f"/orders/{order}")
        one.page.get_by_label("再输入对方手机上的六位数字").fill(code)
        one.press_and_sign("签到")
    helps.press_and_sign("服务做完了")
    asks.go(f"/orders/{order}")
    asks.press_and_sign("确认完成，转积分")
    asks.page.get_by_text("★").first.click()
    asks.press_and_sign("去签名评价")
    assert "积分已转给对方" in asks.page.locator(".next-card").inner_text()
    helps.go("/bank")
    assert "陪外婆去公园走走" in helps.page.locator(".statement").inner_text()
    assert "+5" in helps.page.locator(".statement").inner_text()
    asks.close()
    helps.close()


def test_a_clerk_asks_a_second_one_agrees_and_a_dispute_is_decided(browser: Browser, seeded: Seeded) -> None:
    first = Visitor(browser, seeded.system, "community-clerk-1", DESKTOP)
    first.page.locator("form[action='/desk/issue'] select").select_option(label="示范居民03")
    first.page.locator("form[action='/desk/issue'] input[name=amount]").fill("6")
    first.page.locator("form[action='/desk/issue'] input[name=reason]").fill("图书角值班")
    first.press_and_sign("去签名申请")
    assert "等第二人" in first.page.locator("main").inner_text()
    second = Visitor(browser, seeded.system, "community-clerk-2", DESKTOP)
    assert "图书角值班" in second.page.locator("form[action='/desk/agree']").inner_text()
    second.press_and_sign("同意所选，去签名")
    assert "没有等您同意的事" in second.page.locator("main").inner_text()
    assert "账目相符" in second.page.locator("main").inner_text()
    disputed = seeded.orders[11]
    second.page.locator(f"a[href='/orders/{disputed}']").click()
    assert "二十分钟就走了" in second.page.locator(".next-card").inner_text()
    second.page.get_by_label("百分之几").fill("40")
    second.page.get_by_label("理由").fill("服务时间不足")
    second.press_and_sign("去签名决定")
    assert "没有争议" in second.page.locator("main").inner_text()
    first.close()
    second.close()


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_every_page_fits_its_screen_in_both_languages_and_in_large_type(
    browser: Browser, seeded: Seeded, viewport: dict[str, int]
) -> None:
    for person, paths in (
        (
            "resident-05",
            ["/", "/hall", "/publish", "/orders", "/bank", f"/orders/{seeded.orders[2]}", "/totals"],
        ),
        ("community-clerk-1", ["/desk", "/totals"]),
    ):
        visitor = Visitor(browser, seeded.system, person, viewport)
        for switch in ("/language/zh", "/language/en", "/large-type/on"):
            visitor.go(switch)
            for path in paths:
                visitor.go(path)
                for summary in visitor.page.locator("main details > summary").all():
                    summary.click()
                width = visitor.page.evaluate("document.documentElement.scrollWidth")
                assert (path, switch, width) == (path, switch, viewport["width"])
        visitor.close()


def test_a_page_that_waits_shows_by_itself_what_the_other_side_did(
    browser: Browser, system: PointsSystem
) -> None:
    asks, helps = system.person("resident-03"), system.person("resident-04")
    start = system.clock.now() + 3_600
    order = asks.publish({"kind": 61, "units": 1, "start_at": start, "title": "打太极", "area": "广场"})
    helps.do(f"/api/orders/{order}/accept")
    visitor = Visitor(browser, system, "resident-04", PHONE)
    visitor.go(f"/orders/{order}")
    assert "等对方确认" in visitor.page.locator(".next-card").inner_text()
    asks.do(f"/api/orders/{order}/confirm")
    visitor.page.get_by_text("见面了？互相签到").wait_for(timeout=15_000)
    visitor.close()
    asks.do(f"/api/orders/{order}/cancel")


def test_no_hash_is_shown_unless_asked_for_and_no_name_is_in_an_address(
    browser: Browser, seeded: Seeded
) -> None:
    visitor = Visitor(browser, seeded.system, "resident-05", PHONE)
    for path in ("/", "/hall", "/orders", "/bank", f"/orders/{seeded.orders[2]}"):
        visitor.go(path)
        assert "0x" not in visitor.page.locator("body").inner_text()
        links = visitor.page.evaluate("[...document.links].map(link => decodeURI(link.href))")
        assert not any("示范居民" in link or "resident-" in link for link in links)
    visitor.page.get_by_text("链上凭证").click()
    visitor.page.locator("#proof code").first.wait_for()
    assert "0x" in visitor.page.locator("#proof").inner_text()
    visitor.close()


def test_the_keyboard_reaches_the_one_next_step(browser: Browser, seeded: Seeded) -> None:
    visitor = Visitor(browser, seeded.system, "resident-06", PHONE)
    visitor.go(f"/orders/{seeded.orders[6]}")
    for _ in range(20):
        visitor.page.keyboard.press("Tab")
        if visitor.page.evaluate("document.activeElement.textContent.trim()") == "我来接单":
            break
    else:
        pytest.fail("the button was not reached")
    box = visitor.page.get_by_role("button", name="我来接单").bounding_box()
    assert box is not None
    assert box["height"] >= 44
    visitor.close()


def test_the_first_page_is_light(browser: Browser, system: PointsSystem) -> None:
    visitor = Visitor(browser, system, "resident-06", PHONE)
    session = visitor.context.new_cdp_session(visitor.page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    received: list[float] = []
    session.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
    visitor.go("/")
    assert received
    assert sum(received) < FIRST_LOAD_BYTES
    visitor.close()


def _tomorrow(system: PointsSystem) -> str:
    return datetime.fromtimestamp(system.clock.now() + 86_400, CHINA).strftime("%Y-%m-%dT10:00")
