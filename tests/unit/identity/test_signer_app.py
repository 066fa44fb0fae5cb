"""The signer's two doors: its own page, and the person's programs; nobody else."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from contracts.bindings import correction_documents
from identity.keys import ED25519, ML_DSA_65, SM2, WEBAUTHN_P256, KeyPair, generate_key
from identity.keystore import DEMO, save_key
from identity.signer import SignerConfig, create_app
from identity.web import AppOrigin
from node.chain.encoding import sha256
from node.chain.signing import SigningContext, verify
from node.chain.transaction import ImiTransaction, build_imi, decode

URL, APP = "http://localhost:8620", "http://localhost:8614"
PASSPHRASE = "a passphrase for tests"
SESSION = {"x-shelian-session": "0x" + "11" * 32}
CONTEXT = SigningContext(sha256(b"localhost"), {URL.encode()}.__contains__, False)
SIGN_FOR = correction_documents.sign_for(b"\x01" * 32, bytes(16))


@pytest.fixture(
    scope="module", params=[ED25519, WEBAUTHN_P256, SM2, ML_DSA_65], ids=lambda algorithm: algorithm.name
)
def key(request: pytest.FixtureRequest) -> KeyPair:
    return generate_key(request.param)


@pytest.fixture
def client(key: KeyPair, tmp_path: Path) -> Iterator[TestClient]:
    keys = tmp_path / "keys"
    keys.mkdir()
    save_key(keys / "me.key.json", key, PASSPHRASE, purpose="demo", label="示范", cost=DEMO)
    app = create_app(
        SignerConfig(
            public_url=URL,
            rp_id="localhost",
            keys_directory=keys,
            state_directory=tmp_path / "state",
            chain_id=77,
            purpose="demo",
            apps=(AppOrigin(APP, "司法局"),),
            organisations={},
        )
    )
    with TestClient(app, base_url=URL) as client:
        yield client


@pytest.fixture
def program(client: TestClient, tmp_path: Path) -> dict[str, str]:
    return {"authorization": f"Bearer {(tmp_path / 'state' / 'token').read_text()}"}


@pytest.fixture
def page(client: TestClient) -> dict[str, str]:
    return {"x-shelian-token": client.get("/config.json").json()["page_token"], **SESSION}


def request_of(key: KeyPair, **changes: Any) -> dict[str, Any]:
    return {
        "v": 1,
        "chain_id": 77,
        "nonce": 0,
        "valid_until": int(time.time()) + 600,
        "gas_limit": 900_000,
        "calls": [{"to": "0x" + SIGN_FOR.to.hex(), "data": "0x" + SIGN_FOR.data.hex()}],
        "scheme": key.scheme,
        "public_key": "0x" + key.public_key.hex(),
        "credential_id": "",
        "signer": "示范",
        "return_to": f"{APP}/sign/return",
        "state": "opaque",
        **changes,
    }


def of_the_page(key: KeyPair, **changes: Any) -> dict[str, Any]:
    request = request_of(key)
    unsigned = build_imi(
        chain_id=77,
        nonce=0,
        valid_until=request["valid_until"],
        gas_limit=900_000,
        calls=[SIGN_FOR],
        scheme=key.scheme,
        public_key=key.public_key,
    )
    for name in ("v", "credential_id", "signer", "return_to", "state"):
        del request[name]
    shown = {"passphrase": PASSPHRASE, "signing_hash": "0x" + unsigned.signing_hash.hex()}
    return {**request, **shown, **changes}


def test_a_program_gets_a_transaction_that_holds(
    client: TestClient, key: KeyPair, program: dict[str, str]
) -> None:
    body = {"request": request_of(key), "passphrase": PASSPHRASE}
    answer = client.post("/api/sign", json=body, headers=program).json()
    transaction = decode(bytes.fromhex(answer["raw"][2:]))
    assert isinstance(transaction, ImiTransaction)
    assert transaction.calls == (SIGN_FOR,)
    verify(transaction, CONTEXT)
    assert answer["state"] == "opaque"


def test_the_page_gets_a_signature_that_holds(client: TestClient, key: KeyPair, page: dict[str, str]) -> None:
    body = of_the_page(key)
    answer = client.post("/api/page/sign", json=body, headers=page).json()
    unsigned = build_imi(
        chain_id=77,
        nonce=0,
        valid_until=body["valid_until"],
        gas_limit=900_000,
        calls=[SIGN_FOR],
        scheme=key.scheme,
        public_key=key.public_key,
    )
    verify(unsigned.with_signature(bytes.fromhex(answer["signature"][2:])), CONTEXT)


def refused(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_nothing_is_answered_without_the_token(
    client: TestClient, key: KeyPair, page: dict[str, str]
) -> None:
    body = {"request": request_of(key), "passphrase": PASSPHRASE}
    for headers in ({}, {"authorization": "Bearer wrong"}, page):
        assert refused(client.get("/api/keys", headers=headers)) == (401, "signer.token")
        assert refused(client.post("/api/sign", json=body, headers=headers)) == (401, "signer.token")
        assert refused(client.post("/api/lock", json={}, headers=headers)) == (401, "signer.token")


def test_nothing_is_answered_to_another_page(
    client: TestClient, key: KeyPair, program: dict[str, str], page: dict[str, str]
) -> None:
    for headers in (SESSION, {**SESSION, **program}, {**SESSION, "x-shelian-token": "wrong"}):
        assert refused(client.get("/api/page/keys", headers=headers)) == (403, "signer.page_token")
        pair = client.post("/api/page/pair", json={"origin": "http://evil.example"}, headers=headers)
        assert refused(pair) == (403, "signer.page_token")
        sign = client.post("/api/page/sign", json=of_the_page(key), headers=headers)
        assert refused(sign) == (403, "signer.page_token")
    foreign = {**page, "origin": "http://evil.example"}
    answer = client.post("/api/page/sign", json=of_the_page(key), headers=foreign)
    assert refused(answer) == (403, "http.origin")


def test_a_page_without_a_session_is_refused(client: TestClient, key: KeyPair, page: dict[str, str]) -> None:
    headers = {"x-shelian-token": page["x-shelian-token"]}
    answer = client.post("/api/page/sign", json=of_the_page(key), headers=headers)
    assert refused(answer) == (422, "http.invalid")


def test_a_key_stays_unlocked_for_its_session_until_locked(
    client: TestClient, key: KeyPair, page: dict[str, str], program: dict[str, str]
) -> None:
    def sign(passphrase: str, session: str) -> Any:
        headers = {**page, "x-shelian-session": "0x" + session * 32}
        return client.post("/api/page/sign", json=of_the_page(key, passphrase=passphrase), headers=headers)

    assert refused(sign("", "11")) == (423, "sign.locked")
    assert refused(sign("wrong", "11")) == (422, "key.wrong_passphrase")
    assert sign(PASSPHRASE, "11").status_code == 200
    assert sign("", "11").status_code == 200
    assert refused(sign("", "22")) == (423, "sign.locked")
    assert client.post("/api/lock", json={}, headers=program).status_code == 200
    assert refused(sign("", "11")) == (423, "sign.locked")


def test_a_site_must_be_admitted_before_programs_answer_it(
    client: TestClient, key: KeyPair, page: dict[str, str], program: dict[str, str]
) -> None:
    other = "http://localhost:8602"
    body = {"request": request_of(key, return_to=f"{other}/sign/return"), "passphrase": PASSPHRASE}
    answer = client.post("/api/sign", json=body, headers=program)
    assert refused(answer) == (403, "signer.origin_not_paired")
    assert client.post("/api/page/pair", json={"origin": other}, headers=page).status_code == 200
    assert client.post("/api/sign", json=body, headers=program).status_code == 200


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"chain_id": 78}, "sign.other_chain"),
        ({"valid_until": 1}, "sign.expired"),
        ({"calls": [{"to": "0x" + "99" * 20, "data": "0x" + SIGN_FOR.data.hex()}]}, "sign.no_descriptor"),
        ({"calls": [{"to": "0x" + SIGN_FOR.to.hex(), "data": "0xffffffff"}]}, "sign.no_descriptor"),
    ],
)
def test_what_the_page_would_not_show_is_not_signed_for_programs(
    client: TestClient, key: KeyPair, program: dict[str, str], changes: dict[str, Any], code: str
) -> None:
    body = {"request": request_of(key, **changes), "passphrase": PASSPHRASE}
    assert refused(client.post("/api/sign", json=body, headers=program)) == (422, code)


def test_a_page_that_shows_another_transaction_gets_no_signature(
    client: TestClient, key: KeyPair, page: dict[str, str]
) -> None:
    answer = client.post("/api/page/sign", json=of_the_page(key, nonce=1), headers=page)
    assert refused(answer) == (422, "sign.other_hash")


def test_the_key_itself_is_never_in_an_answer(
    client: TestClient, key: KeyPair, page: dict[str, str], program: dict[str, str]
) -> None:
    answers = [
        client.get("/config.json"),
        client.get("/api/keys", headers=program),
        client.get("/api/page/keys", headers=page),
        client.post("/api/page/sign", json=of_the_page(key), headers=page),
    ]
    for answer in answers:
        assert answer.status_code == 200
        assert key.secret.hex() not in answer.text
        assert PASSPHRASE not in answer.text
