"""From nothing to a signature on the chain: a demo's people are enrolled, one makes a passkey and signs."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from cli.demo_consortium import create_demo
from cli.layout import Layout
from cli.node import load_genesis, validator_key
from contracts.bindings import identity_registry, sharing_orders
from identity.demo.cast import DEMO_PASSPHRASE, RELYING_PARTIES, DemoCast
from identity.demo.enrolment import (
    Batch,
    countersign,
    enrol,
    enrolment_batches,
    registrars_of,
    sign_and_submit,
)
from identity.demo.files import load_cast, open_demo_key
from identity.errors import EnrolmentError, KeyFileError
from identity.keys import ED25519, generate_key
from identity.keystore import load_key
from identity.node import NodeClient
from identity.web import AppOrigin, IdentityConfig, create_app
from network.embedded import Pace
from network.runner import EmbeddedConfig, Node, NodeConfig
from node.rpc.config import RpcConfig
from tests.pages.signing.conftest import Served, VirtualAuthenticator, answer_of, fragment, free_port

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ORIGIN = "http://localhost:8600"


@dataclass(frozen=True)
class DemoChain:
    """A running node of a new demo, everybody enrolled."""

    node: NodeClient
    node_url: str
    layout: Layout
    cast: DemoCast


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoChain]:
    layout = Layout(tmp_path_factory.mktemp("chain") / "data")
    create_demo(layout, time.time_ns() - 10_000_000_000, lambda _: None)
    key = load_key(layout.validator_key, DEMO_PASSPHRASE, chain_purpose="demo")
    config = NodeConfig(
        layout.ledger,
        EmbeddedConfig(validator_key(key), Pace(heartbeat_s=60)),
        RpcConfig(port=free_port()),
        load_genesis(layout),
    )
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    node = Node(config)
    asyncio.run_coroutine_threadsafe(node.start(), loop).result(30)
    client = NodeClient(node.url)
    try:
        cast = load_cast(layout.demo)
        enrol(cast, layout.demo, client, chain_purpose="demo", origin=ORIGIN)
        yield DemoChain(client, node.url, layout, cast)
    finally:
        client.close()
        asyncio.run_coroutine_threadsafe(node.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


@pytest.fixture(scope="module")
def service(chain: DemoChain, app_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory: Path = tmp_path_factory.mktemp("identity")
    served = Served(
        lambda url: create_app(
            IdentityConfig(
                public_url=url,
                rp_id="localhost",
                data_directory=directory,
                node_url=chain.node_url,
                chain_id=chain.node.chain_id(),
                purpose="demo",
                apps=(AppOrigin(app_url, "爱心银行"),),
                organisations={},
                signer_page="http://localhost:9/sign",
                demo_directory=chain.layout.demo,
            )
        )
    )
    yield served
    served.close()


def standing(chain: DemoChain, address: bytes) -> int:
    return identity_registry.decode_standing(chain.node.call(identity_registry.standing(address)))


def test_everybody_of_the_cast_stands_on_the_chain(chain: DemoChain) -> None:
    for one in (*chain.cast.people, *chain.cast.services):
        packed = standing(chain, one.address)
        assert (packed & ((1 << 128) - 1)).to_bytes(16, "big") == one.identity
        assert (packed >> 128) & 0xFFFF == one.organisation
        assert (packed >> 144) & 0xFFFFFFFF == one.roles


def test_enrolling_again_does_nothing(chain: DemoChain) -> None:
    again = enrol(chain.cast, chain.layout.demo, chain.node, chain_purpose="demo", origin=ORIGIN)
    assert again == ()


def test_a_run_that_was_cut_off_goes_on(chain: DemoChain) -> None:
    resident = chain.cast.find("resident-01")
    assert resident is not None
    device = generate_key(ED25519)
    party = RELYING_PARTIES[resident.relying_party].id
    call = identity_registry.add_credential(resident.identity, 2, device.public_key, party, 0)
    registrars = registrars_of(chain.cast, resident.organisation)
    first = open_demo_key(chain.layout.demo, registrars[0], chain_purpose="demo")
    assert sign_and_submit(chain.node, first, [call], origin=ORIGIN).ok
    assert standing(chain, device.address) == 0
    batch = Batch(resident.organisation, registrars, (call,))
    receipts = countersign(batch, chain.layout.demo, chain.node, chain_purpose="demo", origin=ORIGIN)
    assert len(receipts) == 1
    assert standing(chain, device.address) != 0
    with pytest.raises(EnrolmentError, match=r"enrolment\.failed"):
        countersign(batch, chain.layout.demo, chain.node, chain_purpose="demo", origin=ORIGIN)


def test_demo_registrars_do_not_sign_for_a_production_chain(chain: DemoChain) -> None:
    for batch in enrolment_batches(chain.cast):
        with pytest.raises(KeyFileError, match=r"key\.demo_only"):
            countersign(batch, chain.layout.demo, chain.node, chain_purpose="production", origin=ORIGIN)


def person_of(service: Served, id: str) -> dict[str, Any]:
    people: list[dict[str, Any]] = httpx.get(f"{service.url}/demo/people", trust_env=False).json()
    return next(person for person in people if person["id"] == id)


def request_for(
    chain: DemoChain, credential: dict[str, Any], app_url: str, order: bytes
) -> tuple[dict[str, Any], bytes]:
    call = sharing_orders.publish(order, True, 11, 8, int(time.time()) + 86_400, b"\x06" * 32)
    address = bytes.fromhex(credential["address"][2:])
    document = {
        "v": 1,
        "chain_id": chain.node.chain_id(),
        "nonce": chain.node.nonce(address),
        "valid_until": int(time.time()) + 900,
        "gas_limit": 900_000,
        "calls": [{"to": "0x" + call.to.hex(), "data": "0x" + call.data.hex()}],
        "scheme": credential["scheme"],
        "public_key": credential["public_key"],
        "credential_id": credential["credential_id"],
        "signer": "示范居民07",
        "return_to": f"{app_url}/sign/return",
        "state": "order",
    }
    return document, order


def test_a_resident_enrols_a_passkey_and_signs_with_it(
    page: Page, authenticator: VirtualAuthenticator, chain: DemoChain, service: Served, app_url: str
) -> None:
    page.goto(f"{service.url}/demo")
    page.locator("summary", has_text="居民").click()
    page.locator("li", has_text="示范居民07").get_by_role("button", name="登记").click()
    expect(page.locator("#main")).to_contain_text("示范居民07")
    page.get_by_role("button", name="登记通行密钥").click()
    expect(page.get_by_role("status")).to_contain_text("登记完成", timeout=20_000)
    credential = person_of(service, "resident-07")["credentials"][-1]
    assert credential["kind"] == "passkey"
    address = bytes.fromhex(credential["address"][2:])
    resident = chain.cast.find("resident-07")
    assert resident is not None
    assert (standing(chain, address) & ((1 << 128) - 1)).to_bytes(16, "big") == resident.identity

    document, order = request_for(chain, credential, app_url, b"\x42" * 32)
    page.goto(f"{service.url}/sign#{fragment(document)}")
    expect(page.locator(".action")).to_contain_text("发布互助")
    page.get_by_role("button", name="确认签名").click()
    page.wait_for_selector("#returned")
    receipt = chain.node.submit(bytes.fromhex(answer_of(page)["raw"][2:]))
    assert receipt.ok
    found = sharing_orders.decode_order_of(chain.node.call(sharing_orders.order_of(order)))
    assert (found.state, found.kind, found.units) == (1, 11, 8)


def test_a_passkey_is_enrolled_once(service: Served) -> None:
    credential = person_of(service, "resident-07")["credentials"][-1]
    body = {
        "person": "resident-08",
        "public_key": credential["public_key"],
        "credential_id": credential["credential_id"],
    }
    answer = httpx.post(f"{service.url}/demo/passkeys", json=body, trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (409, "enrolment.key_known")


def test_a_person_whose_key_stands_in_the_signer_is_sent_there(
    page: Page, chain: DemoChain, service: Served, app_url: str
) -> None:
    credential = person_of(service, "resident-09")["credentials"][0]
    document, _ = request_for(chain, credential, app_url, b"\x43" * 32)
    page.goto(f"{service.url}/sign#{fragment(document)}")
    expect(page.get_by_role("button", name="转到签名器")).to_be_visible()
    expect(page.get_by_role("button", name="确认签名")).to_have_count(0)


def test_a_link_from_elsewhere_enrols_nobody(page: Page, service: Served) -> None:
    answer = {"v": 1, "state": "resident-10", "public_key": "0x" + "11" * 64, "credential_id": "AQID"}
    page.goto(f"{service.url}/demo#{fragment(answer)}")
    expect(page.locator("summary").first).to_be_visible()
    assert [one["kind"] for one in person_of(service, "resident-10")["credentials"]] == ["signer"]
