"""In Chromium, on a phone's width: from the role switch to the signed receipt, each signature made at the
signer's page."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect

from identity.demo.cast import DEMO_PASSPHRASE
from identity.signer import SignerConfig, create_app
from identity.web import AppOrigin
from tests.helpers.correction_system import CorrectionSystem, correction_system, free_port
from tests.pages.correction import flow

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TITLE = "浏览器测试判决书"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CorrectionSystem]:
    """A system with a signer beside it, as on a clerk's machine."""
    port = free_port()
    with correction_system(tmp_path_factory.mktemp("browser"), start=[]) as running:
        signer = SignerConfig(
            public_url=f"http://localhost:{port}",
            rp_id="localhost",
            keys_directory=running.layout.demo / "keys",
            state_directory=running.layout.data / "signer",
            chain_id=running.chain_id,
            purpose="demo",
            apps=tuple(AppOrigin(url, key) for key, url in running.urls.items()),
            organisations={1: "法院", 2: "检察院", 3: "公安", 4: "司法局"},
            demo_passphrase=DEMO_PASSPHRASE,
        )
        server = uvicorn.Server(
            uvicorn.Config(create_app(signer), host="127.0.0.1", port=port, log_level="warning")
        )
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        pages = {"signer": f"{signer.public_url}/sign"}
        running.configs = {key: replace(one, signing_pages=pages) for key, one in running.configs.items()}
        for key in running.configs:
            running.start(key)
        yield running
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 390, "height": 844}, locale="zh-CN")
    yield context.new_page()
    context.close()


def become(page: Page, url: str, name: str) -> None:
    page.goto(f"{url}/login")
    page.get_by_role("button", name=name).click()
    page.wait_for_url(f"{url}/")


def sign(page: Page) -> None:
    """At the signing page: the passphrase if it is asked for, then the button; back at the app afterwards."""
    page.wait_for_url("**/sign#*")
    confirm = page.get_by_role("button", name="确认签名")
    confirm.wait_for()
    passphrase = page.get_by_label("密钥口令")
    if passphrase.count() and not passphrase.input_value():
        passphrase.fill(DEMO_PASSPHRASE)
    confirm.click()
    page.wait_for_url(re.compile(r"/documents/[0-9a-f]{64}$|/$|/cases/[0-9a-f]{64}$"))


def do_from_work_list(page: Page, url: str, name: str) -> None:
    become(page, url, name)
    row = page.locator("tr", has_text=TITLE)
    row.get_by_role("checkbox").check()
    row.locator("xpath=ancestor::form").locator("button[data-needs-checked]").click()
    sign(page)


def fits(page: Page) -> bool:
    width: int = page.evaluate("document.documentElement.scrollWidth")
    return width <= 390


def test_a_clerks_day_on_a_phone(system: CorrectionSystem, page: Page, tmp_path: Path) -> None:
    court, justice = system.urls["court"], system.urls["justice"]
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    become(page, court, "法院承办人")
    expect(page.locator(".demo-banner")).to_contain_text("虚构")
    page.goto(f"{court}/cases/new")
    page.fill("#number", "（示范）刑初 1 号")
    page.fill("#name", "示范人员")
    page.get_by_role("button", name="签名登记").click()
    sign(page)
    expect(page.locator("h1")).to_contain_text("示范人员")

    (tmp_path / "判决书.pdf").write_bytes(flow.judgment_pdf())
    page.get_by_role("link", name="就此案发文书").click()
    page.select_option("#code", "D07")
    page.wait_for_url("**code=D07*")
    page.fill("#title", TITLE)
    page.set_input_files("#files", tmp_path / "判决书.pdf")
    assert fits(page)
    page.get_by_role("button", name="拟稿并签名").click()
    sign(page)
    expect(page.locator(".page-header .state")).to_have_text("待审批")
    document = page.url.rpartition("/")[2]

    for name in ("法院审批人", "法院用印人", "法院承办人"):
        do_from_work_list(page, court, name)
    expect(page.locator(".page-header .state")).to_have_text("已发送")
    flow.delivered(system, document, {"justice": 4})

    do_from_work_list(page, justice, "司法局承办人")
    page.get_by_role("button", name="出具送达回执 D08").click()
    sign(page)
    expect(page.locator("h1")).to_contain_text("送达回执")
    assert fits(page)
    assert complaints == []


def test_not_signing_changes_nothing_and_says_so(system: CorrectionSystem, page: Page) -> None:
    document = flow.prepare(system.person("court-handler"), None)
    become(page, system.urls["court"], "法院承办人")
    page.goto(f"{system.urls['court']}/documents/{document}")
    page.get_by_role("button", name="签名上链").click()
    page.wait_for_url("**/sign#*")
    page.get_by_role("button", name="不签").click()
    page.wait_for_url("**/sign/return")
    expect(page.locator("h1, h2").filter(has_text="您没有签名")).to_be_visible()
    page.goto(f"{system.urls['court']}/documents/{document}")
    expect(page.locator(".page-header .state")).to_have_text("草稿")
