"""Going to a page while the present one may be reloading itself."""

from __future__ import annotations

from playwright.sync_api import Error, Page


def go_to(page: Page, url: str) -> None:
    """`page.goto`, once more when the page's own reload came between.

    An order's page that waits for the other side loads itself again when that side has done something; a
    person would press the link again too.
    """
    try:
        page.goto(url)
    except Error as error:
        if "interrupted by another navigation" not in str(error):
            raise
        page.wait_for_load_state("load")
        page.goto(url)
