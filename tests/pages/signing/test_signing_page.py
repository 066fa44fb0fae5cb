"""A person signs on the page: what is shown, what comes back, and what the page refuses."""

from __future__ import annotations

import time
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from contracts.bindings import consortium, correction_documents, identity_registry, sharing_orders
from node.chain.encoding import sha256
from node.chain.signing import SigningContext, verify
from node.chain.transaction import Call, ImiTransaction, decode
from tests.pages.signing.conftest import CHAIN_ID, Site, VirtualAuthenticator, answer_of, fragment

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NOBODY = bytes(16)
DRAFT = correction_documents.draft(
    b"\x01" * 32, b"\x02" * 32, 7, b"\x03" * 32, (4,), (2, 3, 0xFF08), bytes(32), NOBODY
)
OTHER_KEY = "0x" + "11" * 64


def request(site: Site, calls: list[Call], **changes: Any) -> dict[str, Any]:
    return {
        "v": 1,
        "chain_id": CHAIN_ID,
        "nonce": 3,
        "valid_until": int(time.time()) + 900,
        "gas_limit": 900_000,
        "calls": [{"to": "0x" + call.to.hex(), "data": "0x" + call.data.hex()} for call in calls],
        "scheme": 1,
        "public_key": OTHER_KEY,
        "credential_id": "",
        "signer": "法院承办人（示范）",
        "return_to": site.return_to,
        "state": "opaque",
        **changes,
    }


def open_page(page: Page, site: Site, data: object, path: str = "/sign") -> None:
    page.goto("about:blank")
    page.goto(f"{site.url}{path}#{data if isinstance(data, str) else fragment(data)}")


def register(page: Page, site: Site, **changes: Any) -> dict[str, Any]:
    data = {
        "v": 1,
        "name": "法院承办人（示范）",
        "organisation": "示范区人民法院",
        "staff": True,
        "return_to": site.return_to,
        "state": "registration",
        **changes,
    }
    open_page(page, site, data, "/register")
    expect(page.locator("#main")).to_contain_text("示范区人民法院")
    page.get_by_role("button", name="登记通行密钥").click()
    page.wait_for_selector("#returned")
    return answer_of(page)


def sign(page: Page, site: Site, data: dict[str, Any]) -> dict[str, Any]:
    open_page(page, site, data)
    page.get_by_role("button", name="确认签名").click()
    page.wait_for_selector("#returned")
    return answer_of(page)


def passkey_of(created: dict[str, Any]) -> dict[str, str]:
    return {"public_key": created["public_key"], "credential_id": created["credential_id"]}


def test_a_passkey_signs_what_the_page_showed(
    page: Page, site: Site, authenticator: VirtualAuthenticator
) -> None:
    created = register(page, site)
    assert created["state"] == "registration"
    data = request(site, [DRAFT], **passkey_of(created))
    answer = sign(page, site, data)
    assert set(answer) == {"v", "state", "raw"}
    transaction = decode(bytes.fromhex(answer["raw"][2:]))
    assert isinstance(transaction, ImiTransaction)
    assert transaction.calls == (DRAFT,)
    assert (transaction.chain_id, transaction.nonce, transaction.gas_limit) == (CHAIN_ID, 3, 900_000)
    assert transaction.public_key.hex() == created["public_key"][2:]
    context = SigningContext(sha256(b"localhost"), {site.url.encode()}.__contains__, False)
    verify(transaction, context)


def test_every_signature_of_a_passkey_has_the_one_allowed_form(
    page: Page, site: Site, authenticator: VirtualAuthenticator
) -> None:
    key = passkey_of(register(page, site))
    context = SigningContext(sha256(b"localhost"), {site.url.encode()}.__contains__, False)
    for nonce in range(8):
        answer = sign(page, site, request(site, [DRAFT], nonce=nonce, **key))
        verify(decode(bytes.fromhex(answer["raw"][2:])), context)


def test_a_document_is_shown_in_plain_chinese_and_in_english(page: Page, site: Site) -> None:
    open_page(page, site, request(site, [DRAFT]))
    main = page.locator("#main")
    for text in (
        "法院承办人（示范）",
        "社矫链·法院",
        "起草文书并签名",
        "D07 判决书/裁定书/决定书及执行通知书",
        "示范区司法局",
        "示范区人民检察院、示范区公安分局、监狱/看守所（网外）",
        "本人",
        "010101…0101",
    ):
        expect(main).to_contain_text(text)
    page.get_by_role("button", name="English").click()
    expect(main).to_contain_text("Draft and sign a document")
    expect(main).to_contain_text("prison or detention house (outside the network)")
    assert page.locator("html").get_attribute("lang") == "en"


def test_twenty_documents_are_one_action_with_a_count(
    page: Page, site: Site, authenticator: VirtualAuthenticator
) -> None:
    calls = [correction_documents.sign_for(bytes([number]) * 32, NOBODY) for number in range(1, 21)]
    key = passkey_of(register(page, site))
    data = request(site, calls, **key)
    open_page(page, site, data)
    expect(page.locator(".action")).to_have_count(1)
    expect(page.locator(".action h2")).to_have_text("签收文书共 20 项")
    expect(page.locator(".items > li")).to_have_count(20)
    expect(page.locator(".action > dl")).to_contain_text("本人")
    answer = sign(page, site, data)
    transaction = decode(bytes.fromhex(answer["raw"][2:]))
    assert isinstance(transaction, ImiTransaction)
    assert list(transaction.calls) == calls


def test_the_call_inside_a_proposal_is_shown(page: Page, site: Site) -> None:
    inner = consortium.suspend_organisation(3)
    propose = consortium.propose(b"\x07" * 32, inner.to, inner.data)
    open_page(page, site, request(site, [propose]))
    for text in ("提出表决事项", "暂停成员单位", "示范区公安分局"):
        expect(page.locator(".action")).to_contain_text(text)


def test_a_vote_on_the_network_says_whose_machines_it_is_about(page: Page, site: Site) -> None:
    inner = (
        consortium.set_peer(b"\x11" * 20, 3, True),
        consortium.change_validators((b"\x12" * 32, b"\x13" * 32), (10, 0), (3, 1)),
        consortium.rotate_validator_key(b"\x14" * 32, b"\x15" * 32),
    )
    open_page(
        page, site, request(site, [consortium.propose(b"\x07" * 32, call.to, call.data) for call in inner])
    )
    main = page.locator("#main")
    for text in (
        "允许或停止一台节点接入网络",
        "节点所属单位",
        "示范区公安分局",
        "变更共识节点及其表决权",
        "表决权（0 为移除）",
        "10、0",
        "示范区公安分局、示范区人民法院",
        "更换一台共识节点的公钥（单位和表决权不变）",
        "新共识公钥",
    ):
        expect(main).to_contain_text(text)


def test_dates_units_roles_and_kinds_are_words(page: Page, site: Site) -> None:
    calls = [
        sharing_orders.publish(b"\x05" * 32, False, 11, 8, 1_790_000_000, b"\x06" * 32),
        identity_registry.set_roles(b"\x08" * 16, 1 | 2),
    ]
    open_page(page, site, request(site, calls))
    main = page.locator("#main")
    expect(page.locator(".action")).to_have_count(2)
    for text in ("发布互助", "水电维修", "2026年9月21日", "承办人、审批人"):
        expect(main).to_contain_text(text)


def test_a_person_can_decline(page: Page, site: Site) -> None:
    open_page(page, site, request(site, [DRAFT]))
    page.get_by_role("button", name="不签，返回").click()
    page.wait_for_selector("#returned")
    answer = answer_of(page)
    assert (answer["state"], answer["error"]["code"]) == ("opaque", "sign.refused")


def test_another_passkey_than_the_enrolled_one_gives_nothing(
    page: Page, site: Site, authenticator: VirtualAuthenticator
) -> None:
    created = register(page, site)
    data = request(site, [DRAFT], credential_id=created["credential_id"])
    open_page(page, site, data)
    page.get_by_role("button", name="确认签名").click()
    expect(page.get_by_role("alert")).to_contain_text("这不是该人员登记的通行密钥")
    assert page.url.startswith(site.url)


def test_a_device_that_does_not_verify_the_person_gives_nothing(
    page: Page, site: Site, authenticator: VirtualAuthenticator
) -> None:
    key = passkey_of(register(page, site))
    authenticator.set_user_verified(False)
    open_page(page, site, request(site, [DRAFT], **key))
    page.get_by_role("button", name="确认签名").click()
    expect(page.get_by_role("alert")).to_contain_text("没有在设备上确认")
    assert page.url.startswith(site.url)


def test_a_synced_passkey_is_not_taken_for_staff_and_is_for_residents(page: Page, site: Site) -> None:
    VirtualAuthenticator(page, defaultBackupEligibility=True, ctap2Version="ctap2_1")
    data = {
        "v": 1,
        "name": "示范",
        "organisation": "示范区人民法院",
        "staff": True,
        "return_to": site.return_to,
        "state": "",
    }
    open_page(page, site, data, "/register")
    page.get_by_role("button", name="登记通行密钥").click()
    expect(page.get_by_role("alert")).to_contain_text("不能同步到云端")
    assert len(register(page, site, staff=False)["public_key"]) == 2 + 128


UNREADABLE = Call(b"\x99" * 20, DRAFT.data)
TRAILING = Call(DRAFT.to, DRAFT.data + bytes(32))
DIRTY = Call(DRAFT.to, DRAFT.data[:4] + b"\x01" * 32 + b"\x02" * 32 + b"\xff" * 32 + DRAFT.data[100:])
FAR = 4_000_000_000


@pytest.mark.parametrize(
    ("calls", "changes", "code"),
    [
        ([UNREADABLE], {}, "sign.no_descriptor"),
        ([DRAFT, UNREADABLE], {}, "sign.no_descriptor"),
        ([Call(DRAFT.to, b"\xff" * 36)], {}, "sign.no_descriptor"),
        ([correction_documents.deliver(b"\x01" * 32, b"\x02" * 32)], {}, "sign.no_descriptor"),
        ([consortium.suspend_organisation(3)], {}, "sign.no_descriptor"),
        ([consortium.propose(b"\x07" * 32, b"\x99" * 20, b"\x01" * 4)], {}, "sign.no_descriptor"),
        ([TRAILING], {}, "sign.call_malformed"),
        ([DIRTY], {}, "sign.call_malformed"),
        ([Call(DRAFT.to, DRAFT.data[:-1])], {}, "sign.call_malformed"),
        ([DRAFT, DRAFT], {}, "sign.duplicate_call"),
        ([], {}, "sign.call_count"),
        ([DRAFT], {"chain_id": CHAIN_ID + 1}, "sign.other_chain"),
        ([DRAFT], {"valid_until": 1}, "sign.expired"),
        ([DRAFT], {"valid_until": FAR}, "sign.valid_too_long"),
        ([DRAFT], {"gas_limit": FAR}, "sign.request_number"),
        ([DRAFT], {"nonce": -1}, "sign.request_number"),
        ([DRAFT], {"nonce": 0.5}, "sign.request_number"),
        ([DRAFT], {"scheme": 2}, "sign.other_device"),
        ([DRAFT], {"scheme": 5}, "sign.other_device"),
        ([DRAFT], {"scheme": 6}, "sign.other_device"),
        ([DRAFT], {"scheme": "toString"}, "sign.other_device"),
        ([DRAFT], {"public_key": "0x11"}, "sign.request_key"),
        ([DRAFT], {"signer": "张三\u202e（示范）"}, "sign.request_text"),
        ([DRAFT], {"v": 2}, "sign.request_version"),
        ([DRAFT], {"more": 1}, "sign.request_fields"),
    ],
)
def test_a_misleading_request_is_refused_and_only_the_app_is_told(
    page: Page, site: Site, calls: list[Call], changes: dict[str, Any], code: str
) -> None:
    open_page(page, site, request(site, calls, **changes))
    expect(page.locator(".refusal .code")).to_have_text(code)
    expect(page.get_by_role("button", name="确认签名")).to_have_count(0)
    page.get_by_role("button", name="返回").click()
    page.wait_for_selector("#returned")
    assert answer_of(page)["error"]["code"] == code


@pytest.mark.parametrize(("scheme", "named"), [(4, "国密 SM2"), (5, "抗量子 ML-DSA-65"), (6, "未知种类")])
def test_a_key_that_this_page_cannot_use_is_named(page: Page, site: Site, scheme: int, named: str) -> None:
    open_page(page, site, request(site, [DRAFT], scheme=scheme))
    expect(page.locator(".refusal")).to_contain_text(f"（{named}）不能在本页使用")
    expect(page.locator(".refusal")).to_contain_text("签名器")


@pytest.mark.parametrize(
    "return_to",
    [
        "http://localhost:9/sign/return",
        "https://evil.example/",
        "javascript:alert(1)",
        "{app}@evil.example/",
        "{app}/return#x",
        "{app}.evil.example/",
        "",
        None,
    ],
)
def test_an_answer_goes_to_no_other_site(page: Page, site: Site, return_to: str | None) -> None:
    target = return_to.replace("{app}", site.app_url) if return_to is not None else None
    open_page(page, site, request(site, [DRAFT], return_to=target))
    expect(page.locator(".refusal .code")).to_have_text("sign.return_not_allowed")
    expect(page.locator("#main button")).to_have_count(0)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "sign.no_request"),
        ("%%%", "sign.request_malformed"),
        (fragment("[]"), "sign.request_malformed"),
        (fragment('{"v":1,"v":1}'), "sign.request_malformed"),
        (fragment('{"v": 1}'), "sign.request_malformed"),
        (fragment("[" * 10_000), "sign.request_malformed"),
        ("A" * 400_001, "sign.request_too_large"),
    ],
)
def test_what_is_no_request_is_refused(page: Page, site: Site, text: str, code: str) -> None:
    open_page(page, site, text)
    expect(page.locator(".refusal .code")).to_have_text(code)


def test_names_are_text_and_never_markup(page: Page, site: Site) -> None:
    open_page(page, site, request(site, [DRAFT], signer="<img src=x onerror=alert(1)>"))
    expect(page.locator("#main")).to_contain_text("<img src=x onerror=alert(1)>")
    expect(page.locator("#main img")).to_have_count(0)


def test_the_page_cannot_be_framed(context: BrowserContext, site: Site) -> None:
    page = context.new_page()
    page.goto(f"{site.app_url}/sign/return")
    page.evaluate(
        "url => document.body.append(Object.assign(document.createElement('iframe'), { src: url }))",
        f"{site.url}/sign",
    )
    page.wait_for_timeout(300)
    inner = page.frames[-1]
    assert inner.locator("#title").count() == 0


def test_the_keyboard_alone_is_enough(page: Page, site: Site, authenticator: VirtualAuthenticator) -> None:
    key = passkey_of(register(page, site))
    open_page(page, site, request(site, [DRAFT], **key))
    expect(page.get_by_role("button", name="确认签名")).to_be_visible()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "确认签名":
            break
    page.keyboard.press("Enter")
    page.wait_for_selector("#returned")
    assert "raw" in answer_of(page)
