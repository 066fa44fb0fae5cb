"""Going to a page while the present one may be reloading itself."""

from __future__ import annotations

from typing import Final

from playwright.sync_api import Error, Page

_CAME_BETWEEN: Final = ("interrupted by another navigation", "net::ERR_ABORTED")
"""What Chromium says of it: the second when the other navigation had not begun to load yet."""


def go_to(page: Page, url: str) -> None:
    """`page.goto`, once more when the page's own reload came between.

    An order's page that waits for the other side loads itself again when that side has done something; a
    person would press the link again too.
    """
    try:
        page.goto(url)
    except Error as error:
        if not any(reason in str(error) for reason in _CAME_BETWEEN):
            raise
        page.wait_for_load_state("load")
        page.goto(url)
