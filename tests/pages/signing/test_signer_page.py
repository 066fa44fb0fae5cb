"""The same page on the person's own machine: the key file instead of the passkey."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from contracts.bindings import correction_documents
from identity.keys import ED25519, ML_DSA_65, SM2, WEBAUTHN_P256, KeyPair, generate_key
from identity.keystore import DEMO, save_key
from identity.signer import SignerConfig, create_app
from identity.web import AppOrigin
from node.chain.encoding import sha256
from node.chain.signing import SigningContext, verify
from node.chain.transaction import decode
from tests.pages.signing.conftest import CHAIN_ID, ORGANISATIONS, Served, answer_of, fragment

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PASSPHRASE = "a passphrase for tests"
SIGN_FOR = correction_documents.sign_for(b"\x01" * 32, bytes(16))


NAMES = {1: "通行密钥", 2: "Ed25519", 4: "国密 SM2", 5: "抗量子 ML-DSA-65"}


@pytest.fixture(params=[ED25519, WEBAUTHN_P256, SM2, ML_DSA_65], ids=lambda algorithm: algorithm.name)
def key(request: pytest.FixtureRequest) -> KeyPair:
    return generate_key(request.param)


def served(directory: Path, key: KeyPair, apps: tuple[AppOrigin, ...]) -> Served:
    (directory / "keys").mkdir()
    save_key(directory / "keys" / "me.key.json", key, PASSPHRASE, purpose="demo", label="本人", cost=DEMO)
    return Served(
        lambda url: create_app(
            SignerConfig(
                public_url=url,
                rp_id="localhost",
                keys_directory=directory / "keys",
                state_directory=directory / "state",
                chain_id=CHAIN_ID,
                purpose="demo",
                apps=apps,
                organisations=ORGANISATIONS,
            )
        )
    )


@pytest.fixture
def signer(key: KeyPair, app_url: str, tmp_path: Path) -> Iterator[Served]:
    service = served(tmp_path, key, (AppOrigin(app_url, "司法局"),))
    yield service
    service.close()


def request_for(key: KeyPair, app_url: str, nonce: int = 0) -> dict[str, Any]:
    return {
        "v": 1,
        "chain_id": CHAIN_ID,
        "nonce": nonce,
        "valid_until": int(time.time()) + 900,
        "gas_limit": 900_000,
        "calls": [{"to": "0x" + SIGN_FOR.to.hex(), "data": "0x" + SIGN_FOR.data.hex()}],
        "scheme": key.scheme,
        "public_key": "0x" + key.public_key.hex(),
        "credential_id": "",
        "signer": "司法局承办人（示范）",
        "return_to": f"{app_url}/sign/return",
        "state": "opaque",
    }


def check(page: Page, signer: Served) -> None:
    page.wait_for_selector("#returned")
    context = SigningContext(sha256(b"localhost"), {signer.url.encode()}.__contains__, False)
    verify(decode(bytes.fromhex(answer_of(page)["raw"][2:])), context)


def test_a_key_file_signs_after_its_passphrase(
    page: Page, signer: Served, key: KeyPair, app_url: str
) -> None:
    page.goto(f"{signer.url}/sign#{fragment(request_for(key, app_url))}")
    expect(page.locator(".action")).to_contain_text("签收文书")
    page.get_by_text("技术细节").click()
    expect(page.get_by_text(NAMES[key.scheme], exact=True)).to_be_visible()
    page.get_by_label("密钥口令").fill("wrong")
    page.get_by_role("button", name="确认签名").click()
    expect(page.get_by_role("alert")).to_contain_text("口令不正确")
    page.get_by_label("密钥口令").fill(PASSPHRASE)
    page.get_by_role("button", name="确认签名").click()
    check(page, signer)


def test_the_next_signature_of_the_same_tab_needs_no_passphrase(
    page: Page, signer: Served, key: KeyPair, app_url: str
) -> None:
    page.goto(f"{signer.url}/sign#{fragment(request_for(key, app_url))}")
    page.get_by_label("密钥口令").fill(PASSPHRASE)
    page.get_by_role("button", name="确认签名").click()
    page.wait_for_selector("#returned")
    page.goto(f"{signer.url}/sign#{fragment(request_for(key, app_url, nonce=1))}")
    expect(page.get_by_role("button", name="确认签名")).to_be_visible()
    expect(page.get_by_label("密钥口令")).to_have_count(0)
    page.get_by_role("button", name="确认签名").click()
    check(page, signer)
    other_tab = page.context.new_page()
    other_tab.goto(f"{signer.url}/sign#{fragment(request_for(key, app_url, nonce=2))}")
    expect(other_tab.get_by_label("密钥口令")).to_be_visible()


def test_a_new_site_is_admitted_once(page: Page, app_url: str, tmp_path: Path) -> None:
    key = generate_key(ED25519)
    signer = served(tmp_path, key, ())
    try:
        target = f"{signer.url}/sign#{fragment(request_for(key, app_url))}"
        page.goto(target)
        expect(page.locator("#main")).to_contain_text(app_url)
        expect(page.locator(".action")).to_have_count(0)
        page.get_by_role("button", name="允许此网址").click()
        expect(page.locator(".action")).to_contain_text("签收文书")
        page.reload()
        expect(page.locator(".action")).to_contain_text("签收文书")
    finally:
        signer.close()


def test_a_key_that_is_not_here_is_refused_and_the_app_is_told(
    page: Page, signer: Served, app_url: str
) -> None:
    page.goto(f"{signer.url}/sign#{fragment(request_for(generate_key(ED25519), app_url))}")
    expect(page.locator(".refusal .code")).to_have_text("sign.key_not_here")
    page.get_by_role("button", name="返回").click()
    page.wait_for_selector("#returned")
    assert answer_of(page)["error"]["code"] == "sign.key_not_here"
