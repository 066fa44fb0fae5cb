"""The operations port of a real node: what it says, to whom, and that nothing holds it up."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from cli.node import _operations as operations_of
from cli.system import SystemFault
from network.embedded import ValidatorKey
from network.operations.card import load_card
from network.operations.config import operations_config
from network.operations.facts import NodeFacts
from network.operations.port import RULES, OperationsPort
from network.operations.remote import StatusUnavailable, fetch_status
from network.operations.source import FactSource
from network.runner import EmbeddedConfig, Node, NodeConfig
from node.ledger import Ledger
from node.rpc.access import Scope, Token
from node.rpc.config import RefusedConfiguration, RpcConfig, Tls
from tests.helpers.operations import healthy
from tests.helpers.rpc_node import DEPLOYER, RunningNode, genesis_of_now, running_node

SECRETS = {"all": "a" * 40, "prometheus": "p" * 40, "application": "x" * 40}
TOKENS = tuple(
    Token(name, hashlib.sha256(SECRETS[name].encode()).digest(), Scope(methods))
    for name, methods in (
        ("all", ("*",)),
        ("prometheus", ("operations_metrics",)),
        ("application", ("eth_*", "shelian_*")),
    )
)


def get(url: str, path: str = "/status.json", **headers: str) -> httpx.Response:
    return httpx.get(url + path, headers=headers, timeout=20, trust_env=False)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node of its own that has made some blocks."""
    place = tmp_path_factory.mktemp("node")
    with running_node(place, operations=RpcConfig(port=0)) as running:
        running.deploy()
        running.send(running.sign(DEPLOYER, "0x" + "11" * 20, b""))
        yield running


def url_of(node: RunningNode) -> str:
    url = node.node.operations_url
    assert url is not None
    return url.replace("localhost", "127.0.0.1")


@contextmanager
def a_port(
    gather: Any = healthy, tokens: tuple[Token, ...] = (), patience_s: float = 3.0
) -> Iterator[OperationsPort]:
    port = OperationsPort(
        RpcConfig(port=0, tokens=tokens), FactSource(gather, patience_s), CollectorRegistry()
    )
    port.start()
    try:
        yield port
    finally:
        port.stop()


# ---- what it says


def test_status_says_how_the_node_is(node: RunningNode) -> None:
    document = get(url_of(node)).json()
    facts = document["facts"]
    assert document["ok"]
    assert document["ready"]
    assert document["findings"] == []
    assert facts["block"]["height"] >= 2
    assert facts["block"]["transactions"] == 2
    assert facts["chain"]["genesis_hash"] == node.genesis.hash.hex()
    assert facts["engine"]["name"] == "embedded"
    assert [one["is_own"] for one in facts["validators"]] == [True]
    assert facts["validators"][0]["missed"] == 0
    assert facts["disk"]["ledger_bytes"] > 0
    assert facts["processes"][0]["memory_bytes"] > 1 << 20


def test_ready_and_alive(node: RunningNode) -> None:
    assert get(url_of(node), "/healthz").json() == {"ok": True}
    answer = get(url_of(node), "/readyz")
    assert answer.status_code == 200
    assert answer.json()["height"] >= 2


def test_metrics_are_an_exposition_that_prometheus_reads(node: RunningNode) -> None:
    get(url_of(node))
    answer = get(url_of(node), "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {one.name: one for one in text_string_to_metric_families(answer.text)}
    assert all(name.startswith("shelian_") for name in families)
    assert all(one.documentation and one.type != "unknown" for one in families.values())
    height = families["shelian_height"].samples[0].value
    assert height >= 2
    assert families["shelian_transactions"].samples[0].value == 2
    for name in ("block_execution", "block_commit", "check", "submission"):
        samples = {one.name: one.value for one in families[f"shelian_{name}_seconds"].samples}
        assert samples[f"shelian_{name}_seconds_count"] >= 2, name
        assert samples[f"shelian_{name}_seconds_sum"] > 0


def test_labels_are_bounded_and_say_nothing_of_people(node: RunningNode) -> None:
    with a_port() as port:
        text = get(port.url.replace("localhost", "127.0.0.1"), "/metrics").text
    labels = set(re.findall(r'[{,]([a-z_]+)="', text))
    assert labels <= {
        "level", "code", "organisation", "validator", "kind", "process", "le",
        "chain", "purpose", "genesis", "engine", "shelian", "python", "cometbft",
    }  # fmt: skip
    assert "示例" not in text


def test_the_page_needs_nothing_from_elsewhere_and_no_script(node: RunningNode) -> None:
    answer = get(url_of(node), "/")
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script" not in policy
    assert "unsafe" not in policy
    assert "<script" not in answer.text
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', answer.text)
    assert '<meta http-equiv="refresh"' in answer.text
    assert '<meta http-equiv="refresh"' not in get(url_of(node), "/?refresh=0").text


def test_a_name_out_of_the_chain_cannot_become_markup() -> None:
    facts = healthy()
    nasty = replace(facts, chain=replace(facts.chain, name='"><script>alert(1)</script>'))
    with a_port(lambda: nasty) as port:
        text = get(port.url, "/").text
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_the_card_says_where_the_port_is(node: RunningNode) -> None:
    card = load_card(node.node.ledger.path.parent)
    assert card is not None
    assert card.operations_url == node.node.operations_url
    assert fetch_status(card.operations_url or "")["ok"]


def test_a_node_runs_without_its_status_page_where_the_port_is_taken(
    tmp_path: Path, node: RunningNode
) -> None:
    taken = int(url_of(node).rpartition(":")[2])
    with running_node(tmp_path, operations=RpcConfig(port=taken)) as other:
        assert other.node.operations_url is None
        assert other.call("eth_blockNumber")


# ---- who may ask


@pytest.mark.parametrize("path", RULES)
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"host": "evil.example"}, "rpc.host"),
        ({"host": "localhost.evil.example:8581"}, "rpc.host"),
        ({"origin": "https://evil.example"}, "rpc.origin"),
        ({"sec-fetch-site": "cross-site"}, "rpc.origin"),
    ],
)
def test_pages_of_others_are_refused_everywhere(
    node: RunningNode, path: str, headers: dict[str, str], code: str
) -> None:
    answer = get(url_of(node), path, **headers)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == code


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    with a_port(tokens=TOKENS) as port:
        yield port.url.replace("localhost", "127.0.0.1")


@pytest.mark.parametrize("path", RULES)
def test_with_tokens_every_endpoint_wants_one(guarded: str, path: str) -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic !!"}):
        answer = get(guarded, path, **headers)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"].startswith("Basic")
    refused = get(guarded, path, authorization=f"Bearer {SECRETS['application']}")
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "operations.scope"
    assert get(guarded, path, authorization=f"Bearer {SECRETS['all']}").status_code == 200


def test_a_token_opens_what_its_methods_name(guarded: str) -> None:
    answers = {
        path: get(guarded, path, authorization=f"Bearer {SECRETS['prometheus']}").status_code
        for path in RULES
    }
    assert answers == {path: 200 if path == "/metrics" else 403 for path in RULES}


def test_a_browser_gives_the_token_as_password(guarded: str) -> None:
    given = base64.b64encode(f"anybody:{SECRETS['all']}".encode()).decode()
    assert get(guarded, "/", authorization=f"Basic {given}").status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed(node: RunningNode, method: str) -> None:
    for path in RULES:
        assert httpx.request(method, url_of(node) + path, trust_env=False).status_code == 405


def test_unknown_paths_are_not_found(node: RunningNode) -> None:
    assert get(url_of(node), "/../genesis.json").status_code == 404
    assert get(url_of(node), "/status.css").status_code == 404


def test_beyond_loopback_tokens_and_tls_are_required(tmp_path: Path) -> None:
    for pem in ("certificate", "key"):
        (tmp_path / pem).write_text("pem")
    tls = Tls(tmp_path / "certificate", tmp_path / "key")
    with pytest.raises(RefusedConfiguration) as refused:
        operations_config(RpcConfig(), "0.0.0.0", 8581)
    assert refused.value.code == "rpc.config.exposed"
    with pytest.raises(RefusedConfiguration) as refused:
        operations_config(RpcConfig(tokens=TOKENS), "10.0.0.5", 8581)
    assert refused.value.code == "rpc.config.token_without_tls"
    named = frozenset({"node.court.example"})
    wide = operations_config(RpcConfig(tokens=TOKENS, tls=tls, allowed_hosts=named), "10.0.0.5", 8581)
    assert (wide.tokens, wide.tls, wide.allowed_hosts) == (TOKENS, tls, named)
    near = operations_config(RpcConfig(tokens=TOKENS, tls=tls), "127.0.0.1", 8581)
    assert (near.tokens, near.tls) == (TOKENS, None)


# ---- a ledger that does not answer


def test_a_stuck_ledger_leaves_the_port_answering() -> None:
    release = threading.Event()
    calls = 0

    def gather() -> NodeFacts:
        nonlocal calls
        calls += 1
        if calls > 1:
            release.wait(60)
        return healthy()

    with a_port(gather, patience_s=0.2) as port:
        assert get(port.url).json()["ready"]
        time.sleep(1.1)
        began = time.monotonic()
        assert get(port.url, "/healthz").status_code == 200
        assert get(port.url).json()["facts"]["block"]["height"] == 1_000, "the last facts stand"
        assert time.monotonic() - began < 10
        assert calls == 2, "one gathering at a time"
        release.set()


def test_figures_that_cannot_be_gathered_are_a_fault_and_not_ready() -> None:
    def gather() -> NodeFacts:
        raise OSError(5, "Input/output error")

    with a_port(gather) as port:
        answer = get(port.url, "/readyz")
        assert answer.status_code == 503
        assert answer.json()["reason"]["code"] == "doctor.stale"
        assert get(port.url, "/healthz").status_code == 200
        assert "Input/output error" in get(port.url, "/").text
        assert "shelian_facts_age_seconds" in get(port.url, "/metrics").text


def test_a_failed_engine_is_not_ready_with_its_reason() -> None:
    facts = healthy()
    engine = replace(
        facts.engine, running=False, failure_code="state.disk_full", failure="state.disk_full: no"
    )
    with a_port(lambda: replace(facts, engine=engine)) as port:
        answer = get(port.url, "/readyz")
        assert answer.status_code == 503
        assert answer.json()["reason"]["code"] == "doctor.engine_stopped"
        assert 'shelian_engine_failure{code="state.disk_full"} 1.0' in get(port.url, "/metrics").text


# ---- read from elsewhere


def test_what_is_no_node_is_said_to_be_none(node: RunningNode) -> None:
    with pytest.raises(StatusUnavailable) as refused:
        fetch_status("http://127.0.0.1:9")
    assert refused.value.code == "operations.unreachable"
    with pytest.raises(StatusUnavailable) as refused:
        fetch_status(node.url)
    assert refused.value.code in ("operations.refused", "operations.not_a_node")


def test_a_refusal_is_told_with_its_code(guarded: str) -> None:
    with pytest.raises(StatusUnavailable) as refused:
        fetch_status(guarded)
    assert (refused.value.code, refused.value.got) == ("operations.refused", "rpc.token_missing")
    assert fetch_status(guarded, SECRETS["all"])["ok"]


def test_status_json_is_plain_json(node: RunningNode) -> None:
    document = orjson.loads(get(url_of(node)).content)
    assert orjson.dumps(document)


# ---- where it listens


@pytest.mark.parametrize(
    ("wanted", "address"),
    [
        (None, ("127.0.0.1", 8_581)),
        ("127.0.0.1:9000", ("127.0.0.1", 9_000)),
        ("[::1]:9000", ("::1", 9_000)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_the_option_of_the_command(wanted: str | None, address: tuple[str, int]) -> None:
    config = operations_of(RpcConfig(port=8_545), wanted)
    assert config is not None
    assert (config.host, config.port) == address


def test_it_can_be_switched_off_and_nonsense_is_refused() -> None:
    assert operations_of(RpcConfig(), "off") is None
    for wanted in ("8581", ":8581", "localhost:99999", "localhost:http"):
        with pytest.raises(SystemFault) as refused:
            operations_of(RpcConfig(), wanted)
        assert refused.value.code == "node.operations_address"


def test_a_port_that_was_asked_for_and_is_taken_keeps_the_node_from_starting(
    tmp_path: Path, node: RunningNode
) -> None:
    path = tmp_path / "ledger"
    Ledger.create(path, genesis_of_now()).close()
    key = ValidatorKey(b"\x01" * 32, lambda message: b"")
    taken = RpcConfig(port=int(url_of(node).rpartition(":")[2]))
    config = NodeConfig(
        path, EmbeddedConfig(key), RpcConfig(port=0), operations=taken, operations_required=True
    )
    with pytest.raises(RefusedConfiguration) as refused:
        asyncio.run(Node(config).start())
    assert refused.value.code == "operations.address"
    Ledger.open(path).close()  # nothing holds it


def test_a_demo_stays_on_its_machine(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    Ledger.create(path, genesis_of_now()).close()
    for pem in ("certificate", "key"):
        (tmp_path / pem).write_text("pem")
    wide = RpcConfig(
        host="10.0.0.5",
        port=0,
        tokens=TOKENS,
        tls=Tls(tmp_path / "certificate", tmp_path / "key"),
        allowed_hosts=frozenset({"node.court.example"}),
    )
    key = ValidatorKey(b"\x01" * 32, lambda message: b"")
    with pytest.raises(RefusedConfiguration) as refused:
        Node(NodeConfig(path, EmbeddedConfig(key), RpcConfig(port=0), operations=wide))
    assert refused.value.code == "operations.demo_exposed"
    Ledger.open(path).close()
