"""The whole system in a browser: one `shelian up` for all tests of this folder, a browser for each person.

Every module says `xdist_group("e2e")`, so that one worker runs them all and the system is started once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e.browsing import Visitor
from tests.e2e.running_system import FIRST_START_S, RunningSystem

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What stops and breaks the system comes after everything that uses it."""
    items.sort(key=lambda item: item.path == HERE / "test_stopping.py")


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    system = RunningSystem(tmp_path_factory.mktemp("e2e"))
    system.start(FIRST_START_S)
    yield system
    if system.runs:
        system.stop()


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
