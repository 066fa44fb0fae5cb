"""The status page in a browser: on a telephone and a desk, by keyboard, with and without faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, Page
from prometheus_client import CollectorRegistry

from network.operations.facts import NodeFacts, QuorumFacts
from network.operations.port import OperationsPort
from network.operations.source import FactSource
from node.rpc.config import RpcConfig
from tests.helpers.operations import AGENCIES, healthy, member, peer, validator

pytestmark = pytest.mark.browser


def troubled() -> NodeFacts:
    """One validator is down, another misses half; the disk is nearly full; a certificate has ended."""
    facts = healthy()
    ended = replace(facts.certificates[0], kind="tls", days_left=-3, name="node.court.example.pem")
    return replace(
        facts,
        validators=(*facts.validators[:2], validator(3, missed=48), validator(4, missed=100, silent=True)),
        quorum=QuorumFacts(40, 10, 1, 0),
        peers=(peer(2), peer(3)),
        missing=(member(4),),
        disk=replace(facts.disk, free_bytes=700 << 20, days_left=2),
        certificates=(*facts.certificates, ended),
    )


@contextmanager
def served(gather: Callable[[], NodeFacts]) -> Iterator[str]:
    port = OperationsPort(RpcConfig(port=0), FactSource(gather), CollectorRegistry())
    port.start()
    try:
        yield port.url
    finally:
        port.stop()


@contextmanager
def opened(browser: Browser, url: str, width: int = 1_280, **context: object) -> Iterator[Page]:
    """A page that asks nobody but the node, and says nothing in the console: also not of a broken policy."""
    said: list[str] = []
    asked: list[str] = []
    with browser.new_context(viewport={"width": width, "height": 844}, **context) as own:  # type: ignore[arg-type]
        page = own.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(url + "/?refresh=0")
        yield page
        assert said == []
        # The browser asks for an icon by itself.
        assert all(one.startswith(url) for one in asked)


@pytest.mark.parametrize("width", [390, 768, 1_024, 1_280])
@pytest.mark.parametrize("facts", [healthy, troubled])
def test_it_fits_the_screen_and_breaks_no_policy(
    browser: Browser, width: int, facts: Callable[[], NodeFacts]
) -> None:
    with served(facts) as url, opened(browser, url, width) as page:
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert page.evaluate("getComputedStyle(document.querySelector('.verdict')).borderRadius") == "8px"


def test_what_is_wrong_comes_first_with_what_to_do(browser: Browser) -> None:
    with served(troubled) as url, opened(browser, url) as page:
        items = page.locator(".findings li")
        assert "故障 fault" in items.nth(0).inner_text()
        assert "注意 warning" in items.last.inner_text()
        for item in items.all():
            assert "怎么办" in item.inner_text()
            assert "To do" in item.inner_text()
        first_figure = page.locator(".tile").first.bounding_box()
        last_finding = items.last.bounding_box()
        assert first_figure is not None
        assert last_finding is not None
        assert first_figure["y"] > last_finding["y"]


def test_missed_blocks_are_drawn_to_scale_and_said(browser: Browser) -> None:
    with served(troubled) as url, opened(browser, url) as page:
        drawn = {}
        for row in page.locator("section", has_text="Validators").locator("tbody tr").all():
            box = row.locator("rect").nth(1).bounding_box()
            drawn[row.locator("td").first.inner_text().split("\n")[0]] = 0.0 if box is None else box["width"]
            assert "missed" in (row.locator("svg").get_attribute("aria-label") or "")
        none, half, whole = (drawn[AGENCIES[number]] for number in (1, 2, 3))
        assert none == 0
        assert half / whole == pytest.approx(0.48, abs=0.02)


def test_colour_is_never_the_only_sign(browser: Browser) -> None:
    with served(troubled) as url, opened(browser, url) as page:
        for tag in page.locator(".tag.bad, .tag.good, .tag.mid").all():
            assert tag.inner_text()[0] in "✖✔!"
        assert page.locator(".verdict").inner_text()[0] == "✖"
        assert page.title().startswith("✖")


def test_a_keyboard_reaches_every_link_and_command(browser: Browser) -> None:
    with served(troubled) as url, opened(browser, url) as page:
        wanted = page.locator("a, .command").count()
        reached = set()
        for _ in range(wanted + 2):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.outerHTML"))
            focused = page.locator(":focus")
            if focused.count():
                assert focused.evaluate("one => getComputedStyle(one).outlineStyle") == "solid"
        assert len(reached) >= wanted - 1  # equal commands look alike


def test_it_reloads_itself_unless_told_not_to(browser: Browser) -> None:
    with served(healthy) as url, opened(browser, url) as page:
        assert page.locator("meta[http-equiv=refresh]").count() == 0
        page.get_by_role("link", name="恢复 refresh again").click()
        assert page.locator("meta[http-equiv=refresh]").get_attribute("content") == "10"


def test_it_works_without_script_and_in_the_dark(browser: Browser) -> None:
    with (
        served(healthy) as url,
        opened(browser, url, 390, java_script_enabled=False, color_scheme="dark") as page,
    ):
        assert "一切正常" in page.locator(".verdict").inner_text()


def test_before_the_first_figures_it_says_why_there_are_none(browser: Browser) -> None:
    def gather() -> NodeFacts:
        raise OSError(5, "Input/output error")

    with served(gather) as url, opened(browser, url) as page:
        assert "Input/output error" in page.locator(".findings").inner_text()
        assert page.locator(".tile").count() == 0
