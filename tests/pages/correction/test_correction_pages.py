"""The pages render for every role in both languages, and lead to the signing page."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from identity.request import decode_fragment
from tests.helpers.correction_system import CorrectionSystem
from tests.pages.correction import flow

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sent(system: CorrectionSystem) -> str:
    document = flow.prepare(system.person("court-handler"), flow.open_case(system))
    flow.send(system, [document])
    flow.delivered(system, document, {"justice": 4, "procuratorate": 2, "police": 3})
    return document


@pytest.fixture
def browser(system: CorrectionSystem) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=system.urls["court"], trust_env=False) as client:
        yield client


def sign_in(client: httpx.Client, person: str) -> None:
    assert client.post("/demo/login", data={"person": person}).status_code == 303


def token(client: httpx.Client, path: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get(path).text)
    assert found is not None
    return found.group(1)


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("role", ["handler", "approver", "sealer", "operator", "registrar-1"])
def test_every_page_renders(
    system: CorrectionSystem, browser: httpx.Client, sent: str, role: str, language: str
) -> None:
    sign_in(browser, f"court-{role}")
    browser.cookies.set("shelian_lang", language)
    handler = system.person("court-handler")
    case = handler.call("GET", f"/api/documents/{sent}")["case_id"]
    proof = handler.call("GET", f"/api/documents/{sent}")["trail"][0]["transaction"]
    pages = [
        "/",
        "/inbox",
        "/outbox",
        "/cases",
        "/search",
        f"/documents/{sent}",
        f"/cases/{case}",
        f"/proof/{proof}",
    ]
    if role == "handler":
        pages += [
            "/documents/new",
            "/documents/new?code=D07",
            f"/documents/new?code=D07&replaces={sent}",
            "/cases/new",
        ]
    for path in pages:
        page = browser.get(path)
        assert page.status_code == 200, path
        assert "None" not in re.sub(r"<[^>]*>", "", page.text), path
        assert " style=" not in page.text
        assert f'lang="{"zh-CN" if language == "zh" else "en"}"' in page.text[:80]


def test_the_trail_shows_who_when_and_the_proof_of_every_step(browser: httpx.Client, sent: str) -> None:
    sign_in(browser, "court-handler")
    page = browser.get(f"/documents/{sent}").text
    for words in ("承办人拟稿签名", "审批", "用印", "发送", "送达", "法院审批人（示范）", "系统服务"):
        assert words in page
    assert page.count("/proof/") == 7


def test_a_form_leads_to_the_signing_page_with_what_will_be_signed(
    system: CorrectionSystem, browser: httpx.Client
) -> None:
    sign_in(browser, "court-handler")
    form = {
        "csrf": token(browser, "/documents/new?code=D07"),
        "code": "D07",
        "title": "判决书",
        "to": "4",
        "legal_date": "2026-11-20",
    }
    answer = browser.post(
        "/documents", data=form, files=[("files", ("判决书.pdf", flow.judgment_pdf(), "application/pdf"))]
    )
    assert answer.status_code == 303, answer.text
    page, _, fragment = answer.headers["location"].partition("#")
    assert page == "http://localhost:8620/sign"
    request = decode_fragment(fragment)
    assert isinstance(request, dict)
    assert request["return_to"] == system.urls["court"] + "/sign/return"
    assert "判决书" not in str(request["calls"])
    raw = system.sign("court-handler", request)
    finished = browser.post("/sign/finish", json={"state": request["state"], "raw": raw}).json()
    assert "待审批" in browser.get(finished["next"]).text


def test_a_form_without_its_token_changes_nothing(browser: httpx.Client, sent: str) -> None:
    sign_in(browser, "court-handler")
    for path in (
        "/batch",
        "/documents",
        "/cases",
        "/search",
        f"/documents/{sent}/supersede",
        f"/documents/{sent}/discard",
    ):
        data = {
            **dict.fromkeys(("number", "name", "category", "deciding", "executing", "state", "title"), "1"),
            "csrf": "guessed",
            "action": "submit",
            "documents": sent,
            "code": "D07",
            "successor": sent,
            "legal_date": "2026-01-01",
        }
        answer = browser.post(path, data=data)
        assert answer.status_code == 403, path
        assert "页面已过期" in answer.text


def test_a_name_is_found_without_standing_in_an_address(browser: httpx.Client, sent: str) -> None:
    sign_in(browser, "court-handler")
    answer = browser.post("/search", data={"csrf": token(browser, "/search"), "sought": flow.NAME})
    assert f"/documents/{sent}" in answer.text
    assert answer.url.path == "/search"
    assert browser.get("/search", params={"q": "x"}).status_code == 200
    assert 'method="get" action="/search"' not in answer.text


def test_tables_sort_filter_and_export(browser: httpx.Client, sent: str) -> None:
    sign_in(browser, "court-handler")
    assert sent in browser.get("/outbox?sort=-due&size=100").text
    assert sent in browser.get("/outbox?f.state=4&size=100").text
    assert sent not in browser.get("/outbox?f.state=2&size=100").text
    assert browser.get("/outbox?sort=;drop&size=7&page=-1&f.state=99").status_code == 200
    exported = browser.get("/outbox?export=csv")
    assert exported.headers["content-type"].startswith("text/csv")
    assert exported.content.startswith("\ufeff".encode())
    assert exported.text.count("\n") >= 2


def test_a_downloaded_file_is_the_one_that_was_sent_and_runs_nothing(
    browser: httpx.Client, sent: str
) -> None:
    sign_in(browser, "court-handler")
    answer = browser.get(f"/documents/{sent}/files/0")
    assert answer.content.startswith(b"%PDF-")
    assert "script-src" not in answer.headers["content-security-policy"]
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert browser.get(f"/documents/{sent}/files/2").status_code == 404, "the cover is not a file people open"
