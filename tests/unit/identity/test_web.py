"""The identity service's routes: what anybody may read, and what exists in a demo only."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from identity.demo.cast import DemoCast
from identity.demo.files import create_cast
from identity.errors import SigningRefused
from identity.keys import WEBAUTHN_P256, generate_key
from identity.web import AppOrigin, IdentityConfig, create_app

URL = "http://localhost:8600"
PASSKEY = generate_key(WEBAUTHN_P256)


def config(directory: Path, *, purpose: str, demo: Path | None) -> IdentityConfig:
    return IdentityConfig(
        public_url=URL,
        rp_id="localhost",
        data_directory=directory,
        node_url="http://localhost:1",
        chain_id=77,
        purpose=purpose,
        apps=(AppOrigin("http://localhost:8611", "法院"),),
        organisations={1: "示范区人民法院"},
        signer_page="http://localhost:8620/sign",
        demo_directory=demo,
    )


@pytest.fixture(scope="module")
def demo_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def cast(demo_directory: Path) -> DemoCast:
    return create_cast(demo_directory)


@pytest.fixture
def demo(cast: DemoCast, demo_directory: Path, tmp_path: Path) -> Iterator[TestClient]:
    app = create_app(config(tmp_path, purpose="demo", demo=demo_directory))
    with TestClient(app, base_url=URL) as client:
        yield client


@pytest.fixture
def production(cast: DemoCast, demo_directory: Path, tmp_path: Path) -> Iterator[TestClient]:
    app = create_app(config(tmp_path, purpose="production", demo=demo_directory))
    with TestClient(app, base_url=URL) as client:
        yield client


def enrolment(**changes: str) -> dict[str, str]:
    body = {
        "person": "resident-01",
        "public_key": "0x" + PASSKEY.public_key.hex(),
        "credential_id": "AQID",
    }
    return {**body, **changes}


def test_the_page_learns_its_chain_and_whom_it_may_answer(demo: TestClient) -> None:
    answer = demo.get("/config.json").json()
    assert (answer["device"], answer["chain_id"], answer["purpose"]) == ("passkey", 77, "demo")
    assert {"origin": "http://localhost:8611", "name": "法院"} in answer["apps"]
    assert "page_token" not in answer


def test_the_pages_are_served_with_their_scripts(demo: TestClient) -> None:
    for path in (
        "/sign",
        "/register",
        "/demo",
        "/static/sign.js",
        "/static/page.css",
        "/static/THIRD-PARTY.txt",
    ):
        assert demo.get(path).status_code == 200
    assert demo.get("/static/PINNED.json").status_code == 404
    assert demo.get("/static/../app.py").status_code == 404


def test_a_credential_is_found_by_its_address(demo: TestClient, cast: DemoCast) -> None:
    person = cast.people[2]
    answer = demo.get(f"/api/credentials/0x{person.address.hex()}").json()
    assert answer["public_key"] == "0x" + person.public_key.hex()
    assert (answer["kind"], answer["identity"]) == ("signer", "0x" + person.identity.hex())


@pytest.mark.parametrize(("address", "status"), [("0x" + "00" * 20, 404), ("0x00", 422), ("nobody", 422)])
def test_an_unknown_credential_is_not_found(demo: TestClient, address: str, status: int) -> None:
    assert demo.get(f"/api/credentials/{address}").status_code == status


def test_the_demo_lists_its_people_with_their_credentials(demo: TestClient, cast: DemoCast) -> None:
    people = demo.get("/demo/people").json()
    assert [person["id"] for person in people] == [person.id for person in cast.people]
    assert all(person["credentials"][0]["kind"] == "signer" for person in people)


def test_production_has_no_demo(production: TestClient) -> None:
    assert production.get("/demo").status_code == 404
    for answer in (production.get("/demo/people"), production.post("/demo/passkeys", json=enrolment())):
        assert (answer.status_code, answer.json()["code"]) == (404, "enrolment.not_a_demo")
    assert production.get("/config.json").json()["purpose"] == "production"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (enrolment(person="nobody"), 404, "enrolment.unknown_person"),
        (enrolment(public_key="0x" + "00" * 64), 422, "signature.key_not_on_curve"),
        (enrolment(public_key="0x00"), 422, "http.invalid"),
        (enrolment(credential_id="a+b"), 422, "http.invalid"),
        (enrolment(credential_id="A"), 422, "authenticator.base64url"),
        (enrolment(more="1"), 422, "http.invalid"),
        ({}, 422, "http.invalid"),
    ],
)
def test_an_enrolment_that_is_not_allowed_is_refused(
    demo: TestClient, body: dict[str, str], status: int, code: str
) -> None:
    answer = demo.post("/demo/passkeys", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_key_that_is_enrolled_already_is_refused(demo: TestClient, cast: DemoCast) -> None:
    known = "0x" + cast.people[0].public_key.hex()
    answer = demo.post("/demo/passkeys", json=enrolment(public_key=known))
    assert (answer.status_code, answer.json()["code"]) == (409, "enrolment.key_known")


def test_a_page_of_another_origin_enrols_nobody(demo: TestClient) -> None:
    answer = demo.post("/demo/passkeys", json=enrolment(), headers={"origin": "http://localhost:8611"})
    assert (answer.status_code, answer.json()["code"]) == (403, "http.origin")


def test_a_node_that_does_not_answer_is_said_so_and_nothing_is_enrolled(demo: TestClient) -> None:
    answer = demo.post("/demo/passkeys", json=enrolment())
    assert (answer.status_code, answer.json()["code"]) == (502, "node.unreachable")
    resident = next(person for person in demo.get("/demo/people").json() if person["id"] == "resident-01")
    assert [one["kind"] for one in resident["credentials"]] == ["signer"]


def test_a_changed_page_is_not_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    from identity.page import HERE, load_page

    shutil.copytree(HERE / "static", tmp_path / "static")
    shutil.copy(HERE / "PINNED.json", tmp_path)
    load_page(tmp_path)
    page = tmp_path / "static" / "sign.html"
    page.write_bytes(page.read_bytes() + b"\n")
    with pytest.raises(SigningRefused, match=r"page\.not_pinned"):
        load_page(tmp_path)
    page.write_bytes(page.read_bytes()[:-1])
    (tmp_path / "static" / "more.js").write_text("")
    with pytest.raises(SigningRefused, match=r"page\.not_pinned"):
        load_page(tmp_path)
