"""What every HTTP process of identity refuses before any route runs."""

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from identity.http import MAX_BODY_BYTES, Guard

URL = "http://localhost:8600"
JSON = {"content-type": "application/json"}


@pytest.fixture
def client() -> Iterator[TestClient]:
    async def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    app = Guard(Starlette(routes=[Route("/any", answer, methods=["GET", "POST"])]), URL)
    with TestClient(app, base_url=URL, follow_redirects=False) as client:
        yield client


def test_another_host_name_is_refused(client: TestClient) -> None:
    for host in ("evil.example:8600", "localhost", "localhost:8601", ""):
        answer = client.get("/any", headers={"host": host})
        assert (answer.status_code, answer.json()["code"]) == (421, "http.host")


def test_the_loopback_number_leads_to_the_name_where_passkeys_work(client: TestClient) -> None:
    answer = client.get("/any?x=1", headers={"host": "127.0.0.1:8600"})
    assert (answer.status_code, answer.headers["location"]) == (307, f"{URL}/any?x=1")
    assert client.post("/any", headers={"host": "127.0.0.1:8600", **JSON}).status_code == 421


def test_a_page_of_another_origin_cannot_post(client: TestClient) -> None:
    for origin in ("http://localhost:8611", "https://localhost:8600", "null"):
        answer = client.post("/any", headers={"origin": origin, **JSON}, content=b"{}")
        assert (answer.status_code, answer.json()["code"]) == (403, "http.origin")
    assert client.post("/any", headers={"origin": URL, **JSON}, content=b"{}").status_code == 200


def test_only_json_is_taken(client: TestClient) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = client.post("/any", headers={"content-type": kind}, content=b"{}")
        assert (answer.status_code, answer.json()["code"]) == (415, "http.content_type")


def test_a_large_body_is_refused_by_its_length_or_cut_off(client: TestClient) -> None:
    answer = client.post("/any", headers=JSON, content=bytes(MAX_BODY_BYTES + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "http.too_large")

    def endless() -> Iterator[bytes]:
        for _ in range(8):
            yield bytes(MAX_BODY_BYTES // 4)

    answer = client.post("/any", headers=JSON, content=endless())
    assert int(answer.text) <= MAX_BODY_BYTES


def test_every_answer_carries_the_policy(client: TestClient) -> None:
    for answer in (client.get("/any"), client.get("/none"), client.get("/any", headers={"host": "evil"})):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
