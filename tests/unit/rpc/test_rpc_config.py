"""A configuration that would expose a node does not start it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from node.rpc.access import Scope, Token, TokenFileRefused, load_tokens
from node.rpc.config import Limits, Rate, RefusedConfiguration, RpcConfig, Tls

TOKEN = Token("agency", hashlib.sha256(b"secret").digest())
PUBLIC = frozenset({"node.example"})


def refusal(**settings: object) -> str:
    with pytest.raises(RefusedConfiguration) as caught:
        RpcConfig(**settings)  # type: ignore[arg-type]
    return caught.value.code


def test_the_default_is_this_machine_only() -> None:
    config = RpcConfig()
    assert config.is_loopback
    assert config.allowed_origins == frozenset()
    assert config.tls is None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1"])
def test_loopback_addresses_need_nothing(host: str) -> None:
    assert RpcConfig(host=host).is_loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "node.example", "localhost.example", ""])
def test_other_addresses_need_tokens_or_certificates(host: str, tmp_path: Path) -> None:
    assert refusal(host=host) == "rpc.config.exposed"
    assert refusal(host=host, tokens=(TOKEN,)) == "rpc.config.token_without_tls"
    files = [tmp_path / name for name in ("crt", "key", "ca")]
    for file in files:
        file.write_text("PEM")
    server, mutual = Tls(files[0], files[1]), Tls(*files)
    assert refusal(host=host, tls=server, allowed_hosts=PUBLIC) == "rpc.config.exposed"
    assert refusal(host=host, tls=mutual) == "rpc.config.hosts"
    assert not RpcConfig(host=host, tls=mutual, allowed_hosts=PUBLIC).is_loopback
    assert not RpcConfig(host=host, tls=server, tokens=(TOKEN,), allowed_hosts=PUBLIC).is_loopback


@pytest.mark.parametrize("hosts", [[], ["*"], ["*.example"], ["Node.example"], [""]])
def test_hosts_are_exact_names(hosts: list[str]) -> None:
    assert refusal(allowed_hosts=frozenset(hosts)) == "rpc.config.hosts"


@pytest.mark.parametrize(
    "origin", ["*", "null", "localhost", "http://a/", "http://*.a", "file://", "http://A.example"]
)
def test_origins_are_exact(origin: str) -> None:
    assert refusal(allowed_origins=frozenset({origin})) == "rpc.config.origin"


def test_tokens_differ_in_name_and_secret(tmp_path: Path) -> None:
    assert refusal(tokens=(TOKEN, replace(TOKEN, name="other"))) == "rpc.config.token_twice"
    assert refusal(tokens=(TOKEN, replace(TOKEN, sha256=bytes(32)))) == "rpc.config.token_twice"
    assert refusal(tls=Tls(tmp_path / "none", tmp_path / "none")) == "rpc.config.tls_file"
    assert refusal(port=65_536) == "rpc.config.port"


@pytest.mark.parametrize("name", list(Limits.__dataclass_fields__))
def test_no_limit_can_be_switched_off(name: str) -> None:
    for value in (0, -1):
        limit = Rate(value, 1) if name.endswith("_rate") else value
        assert refusal(limits=replace(Limits(), **{name: limit})) == "rpc.config.limit"


def test_tokens_are_read_with_their_scopes(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"secret").hexdigest()
    rows = [
        {"name": "court", "sha256": digest, "methods": ["eth_*"], "contracts": ["0x" + "Ab" * 20]},
        {"name": "audit", "sha256": "0x" + "11" * 32, "methods": ["*"]},
    ]
    (tmp_path / "tokens.json").write_bytes(orjson.dumps(rows))
    court, audit = load_tokens(tmp_path / "tokens.json")
    assert court == Token("court", bytes.fromhex(digest), Scope(("eth_*",), frozenset({b"\xab" * 20})))
    assert audit.scope.contracts is None


GOOD = {"name": "a", "sha256": "11" * 32, "methods": ["*"]}


@pytest.mark.parametrize(
    "rows",
    [
        {},
        [],
        ["a"],
        [{}],
        [GOOD | {"methods": []}],
        [GOOD | {"methods": ["eth_*; drop"]}],
        [GOOD | {"methods": "eth_*"}],
        [GOOD | {"sha256": "11" * 31}],
        [GOOD | {"sha256": "secret"}],
        [GOOD | {"name": ""}],
        [GOOD | {"name": "a b"}],
        [GOOD | {"contracts": ["0x12"]}],
        [GOOD | {"contracts": "0x" + "00" * 20}],
        [GOOD | {"token": "in clear"}],
    ],
)
def test_a_token_file_that_is_not_clear_is_refused(tmp_path: Path, rows: object) -> None:
    (tmp_path / "tokens.json").write_bytes(orjson.dumps(rows))
    with pytest.raises(TokenFileRefused) as caught:
        load_tokens(tmp_path / "tokens.json")
    assert caught.value.code in ("rpc.config.token", "rpc.config.token_file")


def test_a_token_file_that_is_missing_or_no_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TokenFileRefused):
        load_tokens(tmp_path / "missing")
    (tmp_path / "tokens.json").write_text("[")
    with pytest.raises(TokenFileRefused):
        load_tokens(tmp_path / "tokens.json")
