"""What every site does for every page, seen from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import httpx
import pytest
from fastapi import Depends
from fastapi.testclient import TestClient

from apps.node_client import NodeClient
from apps.site.app import create_site
from apps.site.context import Site, SiteConfig, holding
from apps.site.people import APPROVER, HANDLER, SIGNER, Credential, Person
from apps.site.refusals import ContractErrors
from apps.site.text import Text

Approver = Annotated[Person, Depends(holding(APPROVER))]
ORIGIN = "http://localhost:9999"


class TwoPeople:
    """A handler and an approver of one court."""

    def __init__(self) -> None:
        key = Credential(2, b"\1" * 32, b"\2" * 20, kind=SIGNER)
        self._people = [
            Person("handler", "示范承办", 1, "示范法院", b"\1" * 16, HANDLER, (key,)),
            Person("approver", "示范审批", 1, "示范法院", b"\2" * 16, APPROVER, (key,)),
        ]

    def people(self) -> list[Person]:
        return self._people

    def person(self, person_id: str) -> Person | None:
        return next((person for person in self._people if person.id == person_id), None)

    def name_of(self, identity: bytes) -> str | None:
        return next((person.name for person in self._people if person.identity == identity), None)


def make_site(folder: Path, purpose: str = "demo", idle_s: int = 60, clock: list[int] | None = None) -> Site:
    site = create_site(
        SiteConfig(
            "test",
            Text("测试", "Test"),
            ORIGIN,
            purpose,
            folder,
            {"signer": "http://localhost:8620/sign"},
            idle_s=idle_s,
        ),
        directory=TwoPeople(),
        client=NodeClient("http://localhost:1"),
        errors=ContractErrors([], {}),
        templates=folder,
        navigation=lambda person: [],
        now=(lambda: clock[0]) if clock else (lambda: 1_000_000),
    )

    @site.app.post("/approve")
    def approve(person: Approver) -> dict[str, str]:
        return {"by": person.id}

    @site.app.get("/breaks")
    def breaks() -> None:
        raise RuntimeError("张三 310101199001011234")

    return site


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    return TestClient(
        make_site(tmp_path).app, base_url=ORIGIN, follow_redirects=False, raise_server_exceptions=False
    )


def test_a_page_without_a_session_leads_to_the_sign_in_page(client: TestClient) -> None:
    assert client.get("/api/me").status_code == 401
    assert client.get("/api/me").json()["code"] == "site.sign_in_first"


def test_the_demo_switches_roles_and_the_banner_says_it_is_a_demo(client: TestClient) -> None:
    assert "示范系统" in client.get("/login").text
    assert client.post("/demo/login", json={"person": "handler"}).status_code == 200
    assert client.get("/api/me").json()["id"] == "handler"
    assert client.post("/demo/login", data={"person": "approver"}).headers["location"] == "/"
    assert client.get("/api/me").json()["id"] == "approver"


def test_there_is_no_role_switch_outside_a_demo(tmp_path: Path) -> None:
    client = TestClient(make_site(tmp_path, purpose="production").app, base_url=ORIGIN)
    assert client.post("/demo/login", json={"person": "handler"}).status_code == 404
    assert client.get("/api/people").status_code == 404
    assert "示范系统" not in client.get("/login").text


def test_the_wrong_role_is_refused_and_told_which_one_is_needed(client: TestClient) -> None:
    client.post("/demo/login", json={"person": "handler"})
    refused = client.post("/approve", headers={"Accept": "application/json"})
    assert refused.status_code == 403
    assert refused.json()["code"] == "site.not_allowed"
    assert "审批人" in refused.json()["text"]["zh"]
    client.post("/demo/login", json={"person": "approver"})
    assert client.post("/approve").json() == {"by": "approver"}


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://localhost:8612"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "cross-site"}],
)
def test_an_unsafe_request_from_another_origin_is_refused(
    client: TestClient, headers: dict[str, str]
) -> None:
    client.post("/demo/login", json={"person": "approver"})
    assert client.post("/approve", headers=headers).json()["code"] == "site.wrong_origin"


def test_a_form_without_the_token_is_refused(client: TestClient) -> None:
    client.post("/demo/login", json={"person": "handler"})
    refused = client.post("/logout", data={"csrf": "guessed"})
    assert refused.status_code == 403
    assert "页面已过期" in refused.text
    assert client.get("/api/me").status_code == 200


def test_another_host_name_is_not_answered_and_127_0_0_1_is_sent_to_localhost(client: TestClient) -> None:
    assert client.get("/login", headers={"Host": "evil.example"}).status_code == 421
    moved = client.get("/login?a=1", headers={"Host": "127.0.0.1:9999"})
    assert (moved.status_code, moved.headers["location"]) == (307, f"{ORIGIN}/login?a=1")


def test_pages_forbid_inline_script_and_foreign_content(client: TestClient) -> None:
    response = client.get("/login")
    policy = response.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "<style" not in response.text
    assert " style=" not in response.text
    assert "http://" not in response.text.replace(ORIGIN, "")
    assert response.headers["cache-control"] == "no-store"


def test_a_body_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    client = TestClient(site.app, base_url=ORIGIN)
    response = client.post("/demo/login", headers={"Content-Length": str(site.config.max_body_bytes + 1)})
    assert response.json()["code"] == "site.body_too_large"


def test_english_is_one_switch_away_and_stays(client: TestClient) -> None:
    assert "选择身份" in client.get("/login").text
    switched = client.get("/language/en", headers={"Referer": f"{ORIGIN}/login"})
    assert switched.headers["location"] == "/login"
    assert "Choose a person" in client.get("/login").text


def test_the_switch_never_leads_to_another_site(client: TestClient) -> None:
    away = client.get("/language/en", headers={"Referer": "http://localhost:9999.evil.example/x"})
    assert away.headers["location"] == "/"


def test_an_idle_session_ends(tmp_path: Path) -> None:
    clock = [1_000]
    client = TestClient(make_site(tmp_path, idle_s=60, clock=clock).app, base_url=ORIGIN)
    client.post("/demo/login", json={"person": "handler"})
    clock[0] += 50
    assert client.get("/api/me").status_code == 200
    clock[0] += 50
    assert client.get("/api/me").status_code == 200, "use keeps a session alive"
    clock[0] += 61
    assert client.get("/api/me").status_code == 401


def test_a_session_survives_a_restart_of_the_process(tmp_path: Path) -> None:
    client = TestClient(make_site(tmp_path).app, base_url=ORIGIN)
    client.post("/demo/login", json={"person": "handler"})
    again = TestClient(make_site(tmp_path).app, base_url=ORIGIN, cookies=httpx.Cookies(client.cookies))
    assert again.get("/api/me").json()["id"] == "handler"


def test_a_crash_shows_a_mark_and_nothing_of_what_was_inside(
    client: TestClient, capfd: pytest.CaptureFixture[str]
) -> None:
    response = client.get("/breaks")
    assert response.status_code == 500
    assert "标记" in response.text
    assert "张三" not in response.text + "".join(capfd.readouterr())


def test_an_unknown_page_says_what_to_do(client: TestClient) -> None:
    response = client.get("/nowhere")
    assert response.status_code == 404
    assert "请检查编号" in response.text
