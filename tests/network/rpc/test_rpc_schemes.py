"""Every scheme over JSON-RPC: estimated by the size of its envelope, submitted, found again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.chain.genesis import build_genesis
from node.chain.rules import DOMAIN_SERVICE, FIRST_RULES
from node.chain.signing import SCHEMES, WEBAUTHN_ES256
from node.chain.transaction import UnsignedImi, build_imi
from node.ledger import Ledger
from tests.helpers.ledger import SECOND_NS, SERVICE, TOKEN, Person, make_genesis, mint, person
from tests.helpers.rpc_node import RunningNode, running_node

SIGNERS = {
    scheme: person(f"signer of scheme {scheme}", scheme, DOMAIN_SERVICE, SERVICE)
    for scheme in SCHEMES
    if scheme != WEBAUTHN_ES256
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    path: Path = tmp_path_factory.mktemp("schemes")
    document = json.loads(make_genesis(SIGNERS.values()).canonical)
    document["genesis_time_ns"] = time.time_ns() - 10 * SECOND_NS
    Ledger.create(path / "ledger", build_genesis(document)).close()
    with running_node(path) as running:
        yield running


def unsigned(node: RunningNode, who: Person, gas_limit: int) -> UnsignedImi:
    return build_imi(
        chain_id=node.chain_id,
        nonce=int(node.call("eth_getTransactionCount", "0x" + who.address.hex(), "latest"), 16),
        valid_until=int(time.time()) + 600,
        gas_limit=gas_limit,
        calls=[mint(bytes(19) + b"\x09", 1)],
        scheme=who.scheme,
        public_key=who.public_key,
    )


@pytest.mark.parametrize("scheme", SIGNERS)
def test_an_estimate_for_a_scheme_suffices_and_its_transaction_is_shown_whole(
    node: RunningNode, scheme: int
) -> None:
    who = SIGNERS[scheme]
    longest = SCHEMES[scheme].longest_signature
    size = len(unsigned(node, who, 100_000).with_signature(bytes(longest)).raw)
    (call,) = unsigned(node, who, 0).calls
    wanted = {
        "from": "0x" + who.address.hex(),
        "calls": [{"to": "0x" + TOKEN.hex(), "data": "0x" + call.data.hex()}],
        "scheme": hex(scheme),
        "size": hex(size),
    }
    estimate = int(node.call("shelian_estimateImiGas", wanted), 16)
    body = unsigned(node, who, estimate)
    tx = body.with_signature(who.sign(body.signing_hash))
    receipt = node.send(tx.raw)
    assert receipt["status"] == "0x1"
    assert FIRST_RULES.imi_intrinsic_gas(scheme, len(tx.raw)) < int(receipt["gasUsed"], 16) <= estimate
    shown = node.call("eth_getTransactionByHash", "0x" + tx.hash.hex())
    assert shown["from"] == "0x" + who.address.hex()
    assert shown["imi"]["scheme"] == hex(scheme)
    assert shown["imi"]["publicKey"] == "0x" + who.public_key.hex()
    assert shown["imi"]["signatureBytes"] == "0x" + tx.signature.hex()
