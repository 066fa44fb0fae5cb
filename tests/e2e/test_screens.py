"""Every page at a desk's and a phone's width: kept as a picture to look at, and held to a few plain rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.e2e.browsing import Visitor
from tests.e2e.running_system import ROOT, RunningSystem

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.xdist_group("e2e")]

DESK, PHONE = 1280, 390
PICTURES = ROOT / "test-artifacts"
Visit = Callable[..., Visitor]

COURT = {
    "work": "/",
    "inbox": "/inbox",
    "outbox": "/outbox",
    "cases": "/cases",
    "case-new": "/cases/new",
    "document-new": "/documents/new",
    "document-new-d07": "/documents/new?code=D07",
    "search": "/search",
    "refused": "/documents/" + "0" * 64,
}
RESIDENT = {
    "home": "/",
    "hall": "/hall",
    "publish": "/publish",
    "offer": "/publish?offer=true",
    "orders": "/orders",
    "orders-ended": "/orders?closed=true",
    "bank": "/bank",
    "totals": "/totals",
    "refused": "/desk",
}
DESK_PAGES = {"desk": "/desk", "totals": "/totals"}

# What stands in Latin letters on Chinese pages too: names, formats, the signing page's second language.
LATIN = re.compile(
    r"English|shelian[a-z\d .-]*|JSON-RPC|PDF|OFD|JPG|PNG|TXT|PIN|localhost|http|D\d\d|resident-\d\d"
    r"|Skip to content|Identity and signing",
    re.IGNORECASE,
)
LONG_HEX = re.compile(r"(?<![0-9a-f])(?:0x)?[0-9a-f]{12,}")
FACTS = """() => {
  const width = document.documentElement.clientWidth;
  const visible = (element) => {
    const box = element.getBoundingClientRect();
    return element.checkVisibility({ visibilityProperty: true }) && box.width > 1 && box.right > 0;
  };
  const name = (element) =>
    (element.innerText || element.getAttribute("aria-label") || element.labels?.[0]?.innerText || "").trim();
  const height = (element) => Math.round(element.getBoundingClientRect().height);
  const pressed = [
    ...document.querySelectorAll("button, .btn, summary, select, input:not([type=hidden])"),
  ].filter(visible);
  const ticked = (element) => ["checkbox", "radio"].includes(element.type);
  const icons = [...document.querySelectorAll("svg use")].filter((use) => visible(use.closest("svg")));
  return {
    scrolls: document.documentElement.scrollWidth > width + 1,
    icons: icons.map((use) => use.getAttribute("href")),
    unnamed: pressed.filter((element) => !name(element)).map((element) => element.outerHTML.slice(0, 120)),
    small: pressed
      .filter((element) => !ticked(element) && height(element) < 28)
      .map((element) => `${name(element)} ${height(element)}`),
    text: document.body.innerText,
  };
}"""


@pytest.fixture(params=[DESK, PHONE], ids=["desk", "phone"])
def width(request: pytest.FixtureRequest) -> int:
    value: int = request.param
    return value


@pytest.fixture
def look(system: RunningSystem, width: int) -> Iterator[Callable[[Page, str], None]]:
    """Take the picture and note what is wrong with the page; the test ends with everything found."""
    PICTURES.mkdir(exist_ok=True)
    found: list[str] = []
    icons: dict[str, set[str]] = {}

    def take(page: Page, name: str, *, hex_allowed: bool = False, in_english: bool = False) -> None:
        page.wait_for_load_state("networkidle")
        page.screenshot(path=PICTURES / f"{name}-{width}.png", full_page="tabs" not in name)
        facts = page.evaluate(FACTS)
        found.extend(f"{name}: {what}" for what in _wrong(page, facts, icons, hex_allowed, in_english))

    yield take
    assert not found, "\n" + "\n".join(found)


def _wrong(
    page: Page, facts: dict[str, object], icons: dict[str, set[str]], hex_allowed: bool, in_english: bool
) -> Iterator[str]:
    if facts["scrolls"]:
        yield "scrolls sideways"
    for key in ("unnamed", "small"):
        if facts[key]:
            yield f"{key}: {facts[key]}"
    for reference in set(facts["icons"]):  # type: ignore[call-overload]
        sheet, _, symbol = reference.partition("#")
        if sheet not in icons:
            icons[sheet] = set(
                re.findall(r'<symbol id="([^"]+)"', page.request.get(_absolute(page, sheet)).text())
            )
        if symbol not in icons[sheet]:
            yield f"no icon {symbol}"
    text = str(facts["text"])
    if not hex_allowed and (shown := LONG_HEX.search(text)):
        yield f"shows {shown[0]} unasked"
    leaked = re.findall(r"[A-Za-z]{3,}", LATIN.sub("", LONG_HEX.sub("", text)))
    if leaked and not in_english:
        yield f"English on a Chinese page: {leaked[:8]}"
    if in_english and (chinese := re.search(r"[\u4e00-\u9fff]{12,}", text)):
        yield f"Chinese on an English page: {chinese[0]}"


def _absolute(page: Page, path: str) -> str:
    return str(page.evaluate("path => new URL(path, location.href).href", path))


def test_portal_and_login(system: RunningSystem, visit: Visit, width: int, look: Callable[..., None]) -> None:
    visitor = visit("court-handler", width=width)
    page = visitor.page
    page.goto(system.url("portal"))
    look(page, "portal")
    for link in page.eval_on_selector_all("main a[href^=http]", "links => links.map((a) => a.href)"):
        assert page.request.get(link).status == 200, link
    page.goto(system.url("portal") + "/?language=en")
    look(page, "portal-english", in_english=True)
    page.goto(system.url("portal") + "/?language=zh")
    visitor.go("/login?person=court-handler")
    look(page, "login")


def test_pages_of_correction(
    system: RunningSystem, visit: Visit, width: int, look: Callable[..., None]
) -> None:
    clerk = visit("court-handler", width=width)
    clerk.come_in()
    for name, path in COURT.items():
        clerk.go(path)
        look(clerk.page, f"court-{name}")
    clerk.go("/outbox")
    clerk.page.locator("tbody a").first.click()
    look(clerk.page, "court-document")
    clerk.page.locator(".trail a").first.click()
    look(clerk.page, "court-proof", hex_allowed=True)
    clerk.go("/cases")
    clerk.page.locator("tbody a").first.click()
    look(clerk.page, "court-case")
    clerk.go("/language/en")
    clerk.go("/")
    look(clerk.page, "court-work-english", in_english=True)

    for person in ("court-approver", "court-sealer", "justice-handler", "procuratorate-supervisor"):
        other = visit(person, width=width)
        other.come_in()
        look(other.page, f"{person}-work")
        link = other.page.locator("tbody a")
        if link.count():
            link.first.click()
            look(other.page, f"{person}-document")


def test_pages_of_the_sharing_community(
    system: RunningSystem, visit: Visit, width: int, look: Callable[..., None]
) -> None:
    resident = visit("resident-01", width=width)
    resident.come_in()
    for name, path in RESIDENT.items():
        resident.go(path)
        look(resident.page, f"resident-{name}")
    for name, path in (("order", "/orders"), ("order-ended", "/orders?closed=true"), ("order-open", "/hall")):
        resident.go(path)
        resident.page.locator("a.order-row").first.click()
        look(resident.page, f"resident-{name}")
    resident.go("/large-type/on")
    resident.go("/")
    look(resident.page, "resident-home-large")
    resident.go("/publish")
    look(resident.page, "resident-publish-large")
    resident.go("/language/en")
    resident.go("/")
    look(resident.page, "resident-home-english", in_english=True)

    clerk = visit("community-clerk-1", width=width)
    clerk.come_in()
    for name, path in DESK_PAGES.items():
        clerk.go(path)
        look(clerk.page, f"community-{name}")


def test_signing_pages(
    system: RunningSystem, visit: Visit, width: int, look: Callable[..., None], tmp_path: Path
) -> None:
    # One for each width: who has a passkey is not sent to the signer any more.
    resident = visit("resident-12" if width == DESK else "resident-13", width=width)
    page = resident.page
    page.goto(system.url("identity") + "/demo")
    look(page, "enrol")
    page.get_by_text(resident.group, exact=True).click()
    look(page, "enrol-open")
    page.get_by_role("listitem").filter(has_text=resident.name).get_by_role("button", name="登记").click()
    page.get_by_role("heading", name="登记通行密钥").wait_for()
    look(page, "register")
    page.goto(system.url("identity") + "/sign")
    look(page, "sign-nothing")

    resident.come_in()
    _wants_help(resident)
    page.get_by_role("heading", name="发布互助").wait_for()
    page.get_by_label("密钥口令").wait_for()
    look(page, "signer")

    resident.enrol_passkey()
    _wants_help(resident)
    page.get_by_role("button", name="确认签名").wait_for()
    look(page, "sign")
    resident.press("不签，返回")
    resident.sees("什么也没有提交")
    look(page, "sign-declined")


def _wants_help(resident: Visitor) -> None:
    resident.go("/publish")
    resident.page.get_by_label("哪一类").select_option(label="陪伴探访")
    resident.page.get_by_label("一句话说清楚").fill("陪我下棋")
    resident.page.get_by_label("大概地点").fill("东区")
    resident.press("去签名发布")
