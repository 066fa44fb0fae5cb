"""Fixtures of all tests. There is one browser a process: two at once do not get along in Playwright."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from playwright.sync_api import Browser, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")

# A busy machine is no failure: no example is refused for the time it took.
settings.register_profile("shelian", deadline=None)
settings.load_profile("shelian")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A module whose tests share a network says `xdist_group`, and one worker runs them all, in order.

    pytest-xdist 3.8 writes a group where pytest 9.2 no longer reads an item's id; here it is written to where
    it is read, or every worker would start a network of its own.
    """
    for item in items:
        group = item.get_closest_marker("xdist_group")
        if group is not None and config.getoption("loadgroup", False) and hasattr(item, "_id"):
            item._id = type(item._id).parse(f"{item.nodeid}@{group.args[0]}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium. Where it is absent the test is skipped, but fails in CI."""
    if not CHROMIUM.exists():
        message = f"Chromium is not installed at {CHROMIUM} (apt-get install chromium fonts-wqy-microhei)"
        if os.environ.get("CI") == "true":
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
