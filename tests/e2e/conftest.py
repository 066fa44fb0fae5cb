"""The whole system in a browser: one `shelian up` for all tests of this folder, a browser for each person.

Every module says `xdist_group("e2e")`, so that one worker runs them all and the system is started once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.e2e.browsing import Visitor
from tests.e2e.running_system import FIRST_START_S, RunningSystem

CHROMIUM = Path("/usr/bin/chromium")
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What stops and breaks the system comes after everything that uses it."""
    items.sort(key=lambda item: item.path == HERE / "test_stopping.py")


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    system = RunningSystem(tmp_path_factory.mktemp("e2e"))
    kept = os.environ.get("SHELIAN_E2E_DATA")
    if kept:
        system.data = Path(kept)
    system.start(FIRST_START_S)
    yield system
    if system.runs:
        system.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        message = f"Chromium is not installed at {CHROMIUM}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        # zh-CN for what the browser itself draws: date fields, file choosers.
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM),
            args=["--no-sandbox", "--lang=zh-CN"],
            env={**os.environ, "LANGUAGE": "zh_CN"},
        )
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, system: RunningSystem) -> Iterator[Callable[..., Visitor]]:
    """Opens a browser of their own for a person: `visit("court-handler")`, `visit(…, width=390)`."""
    visitors: list[Visitor] = []

    def open_browser(person: str, *, width: int = 1280) -> Visitor:
        visitors.append(Visitor(browser, system, person, width))
        return visitors[-1]

    yield open_browser
    for visitor in visitors:
        visitor.close()
    assert [problem for visitor in visitors for problem in visitor.problems] == []
