"""Who is let in: every wrong host, origin, token, scope and certificate is turned away."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from node.rpc.access import Scope, Token
from node.rpc.config import Tls
from tests.helpers.rpc_node import OTHER, RunningNode, running_node

CHAIN_ID = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}
TRUSTED = "http://localhost:8602"
MINT = bytes.fromhex("a0712d68") + bytes(31) + b"\x01"


def token(name: str, **scope: Any) -> Token:
    return Token(name, hashlib.sha256(f"secret of {name}".encode()).digest(), Scope(**scope))


def bearer(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer secret of {name}"}


@pytest.fixture(scope="module")
def open_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """No tokens, one origin."""
    path = tmp_path_factory.mktemp("open")
    with running_node(path, makes_blocks=False, allowed_origins=frozenset({TRUSTED})) as node:
        yield node


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::2]", "a b"]
)
def test_a_rebound_name_is_refused(open_node: RunningNode, host: str) -> None:
    response = open_node.post(orjson.dumps(CHAIN_ID), host=host)
    assert (response.status_code, response.json()["error"]["code"]) == (403, "rpc.host")


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:1", "LOCALHOST:8545", "127.0.0.1:8545", "[::1]:8545"]
)
def test_our_own_names_are_accepted(open_node: RunningNode, host: str) -> None:
    assert open_node.post(orjson.dumps(CHAIN_ID), host=host).status_code == 200


@pytest.mark.parametrize(
    "origin", ["null", "http://evil.example", "http://localhost", TRUSTED + "0", TRUSTED.upper()]
)
def test_other_people_s_pages_are_refused(open_node: RunningNode, origin: str) -> None:
    response = open_node.post(orjson.dumps(CHAIN_ID), origin=origin)
    assert (response.status_code, response.json()["error"]["code"]) == (403, "rpc.origin")
    assert not any(name.startswith("access-control") for name in response.headers)
    preflight = httpx.options(
        open_node.url, headers={"origin": origin, "access-control-request-method": "POST"}
    )
    assert preflight.status_code == 405
    assert not any(name.startswith("access-control") for name in preflight.headers)
    with pytest.raises(InvalidStatus) as caught, connect(open_node.url.replace("http", "ws"), origin=origin):
        pass
    assert caught.value.response.status_code == 403


def test_a_listed_page_may_call_and_read(open_node: RunningNode) -> None:
    preflight = httpx.options(
        open_node.url, headers={"origin": TRUSTED, "access-control-request-method": "POST"}
    )
    assert preflight.status_code == 204
    response = open_node.post(orjson.dumps(CHAIN_ID), origin=TRUSTED)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == TRUSTED
    with connect(open_node.url.replace("http", "ws"), origin=TRUSTED) as client:
        client.send(orjson.dumps(CHAIN_ID).decode())
        assert "result" in orjson.loads(client.recv(5))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningNode, str, str]]:
    """A node with tokens of different scopes, and two contracts, the first of which `one contract` opens."""
    path = tmp_path_factory.mktemp("guarded")
    with running_node(path / "make") as maker:
        # Addresses follow from deployer and nonce, so the next node's contracts are known.
        first, second = maker.deploy(), maker.deploy()
    tokens = (
        token("all"),
        token("reader", methods=("eth_get*", "eth_call", "shelian_health")),
        token("one contract", contracts=frozenset({bytes.fromhex(first[2:])})),
    )
    with running_node(path / "run", tokens=tokens) as node:
        node._http.headers.update(bearer("all"))
        assert (node.deploy(), node.deploy()) == (first, second)
        yield node, first, second


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("", "rpc.token_missing"),
        ("Bearer", "rpc.token_missing"),
        ("Basic c2VjcmV0", "rpc.token_missing"),
        ("Bearer secret of nobody", "rpc.token_unknown"),
        ("Bearer secret of al", "rpc.token_unknown"),
        ("Bearer " + hashlib.sha256(b"secret of all").hexdigest(), "rpc.token_unknown"),
    ],
)
def test_without_a_known_token_nobody_is_let_in(
    guarded: tuple[RunningNode, str, str], authorization: str, code: str
) -> None:
    node, _, _ = guarded
    response = node.post(orjson.dumps(CHAIN_ID), authorization=authorization)
    assert (response.status_code, response.json()["error"]["code"]) == (401, code)
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert "secret" not in response.text
    headers = {"authorization": authorization}
    with pytest.raises(InvalidStatus) as caught:
        connect(node.url.replace("http", "ws"), additional_headers=headers).close()
    assert caught.value.response.status_code == 401


def asking(node: RunningNode, name: str, method: str, *params: object) -> dict[str, Any]:
    body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    answer: dict[str, Any] = node.post(body, **bearer(name)).json()
    return answer


def test_a_token_opens_its_methods_only(guarded: tuple[RunningNode, str, str]) -> None:
    node, first, _ = guarded
    assert "result" in asking(node, "reader", "eth_getCode", first)
    assert "result" in asking(node, "reader", "shelian_health")
    for method in (
        "eth_sendRawTransaction",
        "shelian_status",
        "eth_subscribe",
        "eth_newFilter",
        "eth_callMany",
    ):
        error = asking(node, "reader", method, "0x")["error"]
        assert error["data"]["code"] in ("rpc.scope_method", "rpc.unknown_method")
    assert (
        asking(node, "reader", "eth_sendRawTransaction", "0x")["error"]["data"]["code"] == "rpc.scope_method"
    )


def test_a_token_of_one_contract_reaches_no_other(guarded: tuple[RunningNode, str, str]) -> None:
    node, first, second = guarded

    def code(method: str, *params: object) -> str:
        answer = asking(node, "one contract", method, *params)
        return str(answer["error"]["data"]["code"]) if "error" in answer else "ok"

    call = {"data": "0x" + MINT.hex(), "from": OTHER.address}
    for method in ("eth_call", "eth_estimateGas"):
        assert code(method, call | {"to": first}) == "ok"
        assert code(method, call | {"to": second}) == "rpc.scope_contract"
        assert code(method, call) == "rpc.scope_contract"
    assert code("eth_getLogs", {"address": first}) == "ok"
    assert code("eth_getLogs", {"address": [first, second]}) == "rpc.scope_contract"
    assert code("eth_getLogs", {}) == "rpc.scope_contract"
    assert code("eth_newFilter", {}) == "rpc.scope_contract"
    assert code("eth_getStorageAt", second, "0x0") == "rpc.scope_contract"
    assert code("eth_getProof", second, [], "latest") == "rpc.scope_contract"
    imi = {"from": OTHER.address, "scheme": "0x2", "size": "0x100"}
    both = [{"to": to, "data": "0x" + MINT.hex()} for to in (first, second)]
    assert code("shelian_estimateImiGas", imi | {"calls": both[:1]}) == "ok"
    assert code("shelian_estimateImiGas", imi | {"calls": both}) == "rpc.scope_contract"
    for method in ("eth_sendRawTransaction", "shelian_sendRawTransactionSync"):
        assert code(method, "0x" + node.sign(OTHER, second, MINT, nonce=0).hex()) == "rpc.scope_contract"
        assert code(method, "0x" + node.sign(OTHER, None, MINT, nonce=0).hex()) == "rpc.scope_contract"
        mixed = node.sign_imi([(first, MINT), (second, MINT)])
        assert code(method, "0x" + mixed.hex()) == "rpc.scope_contract"
    assert code("shelian_sendRawTransactionSync", "0x" + node.sign(OTHER, first, MINT).hex()) == "ok"


def test_filters_answer_their_owner_only(guarded: tuple[RunningNode, str, str]) -> None:
    node, _, _ = guarded
    identity = asking(node, "all", "eth_newBlockFilter")["result"]
    assert "result" in asking(node, "all", "eth_getFilterChanges", identity)
    stolen = asking(node, "one contract", "eth_getFilterChanges", identity)
    assert stolen["error"]["data"]["code"] == "rpc.unknown_filter"
    assert asking(node, "one contract", "eth_uninstallFilter", identity)["result"] is False


# ---- certificates


def certificate(
    name: str, issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(names, critical=False)
        .sign(key if issuer is None else issuer[1], hashes.SHA256())
    )
    return made, key


def save(path: Path, pair: tuple[x509.Certificate, ec.EllipticCurvePrivateKey]) -> tuple[Path, Path]:
    certificate_path, key_path = path.with_suffix(".crt"), path.with_suffix(".key")
    certificate_path.write_bytes(pair[0].public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        pair[1].private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return certificate_path, key_path


def test_with_client_certificates_only_their_holders_connect(tmp_path: Path) -> None:
    authority, stranger = certificate("authority", None), certificate("other authority", None)
    authority_path, _ = save(tmp_path / "ca", authority)
    server = save(tmp_path / "server", certificate("localhost", authority))
    ours = save(tmp_path / "ours", certificate("agency", authority))
    theirs = save(tmp_path / "theirs", certificate("agency", stranger))
    tls = Tls(*server, client_ca=authority_path)

    def ask(url: str, pair: tuple[Path, Path] | None) -> int:
        context = ssl.create_default_context(cafile=authority_path)
        if pair is not None:
            context.load_cert_chain(*pair)
        with httpx.Client(verify=context) as client:
            return client.post(url, json=CHAIN_ID).status_code

    with running_node(tmp_path, makes_blocks=False, tls=tls) as node:
        assert node.url.startswith("https://")
        assert ask(node.url, ours) == 200
        for pair in (None, theirs):
            with pytest.raises(httpx.TransportError):
                ask(node.url, pair)
