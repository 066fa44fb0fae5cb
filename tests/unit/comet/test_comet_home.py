"""The home of CometBFT: settings are strict, config.toml follows from them, keys are in CometBFT's form."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from network.comet.configuration import _render_value, max_transaction_bytes
from network.comet.faults import CometFault
from network.comet.home import (
    CometPlace,
    CometSettings,
    StateSync,
    comet_genesis,
    load_node_key,
    load_settings,
    load_validator_key,
    make_home,
    node_id,
    save_settings,
    write_configuration,
)
from network.comet.settings import decode_settings, encode_settings, split_address
from node.chain.genesis import Genesis
from tests.helpers.ledger import Chain, make_genesis

SETTINGS = CometSettings("0.0.0.0:26656", "127.0.0.1:26657", "127.0.0.1:26660")
NODE, VALIDATOR = bytes(range(32)), bytes(range(1, 33))
ID = "ab" * 20
SYNC = StateSync(("http://10.1.0.1:26657", "https://court.example:443"), 12, bytes(range(32)))


def public(seed: bytes) -> bytes:
    return bytes(SigningKey(seed).verify_key)


@pytest.fixture(scope="module")
def genesis() -> Genesis:
    return make_genesis(Chain.people())


@pytest.fixture
def place(tmp_path: Path) -> CometPlace:
    return CometPlace(tmp_path / "comet")


def refused(code: str, **changes: Any) -> CometFault:
    with pytest.raises(CometFault) as caught:
        replace(SETTINGS, **changes)
    assert caught.value.code == code, caught.value
    return caught.value


def written(place: CometPlace, settings: CometSettings, genesis: Genesis) -> dict[str, Any]:
    make_home(place, settings, NODE, VALIDATOR)
    write_configuration(place, settings, genesis)
    return tomllib.loads(place.config_file.read_text())


# ---- settings


def test_settings_come_back_as_they_were_saved(place: CometPlace) -> None:
    settings = replace(SETTINGS, bootstrap=(f"{ID}@court.example:26656",), name="court 1", state_sync=SYNC)
    make_home(place, settings, NODE, VALIDATOR)
    assert load_settings(place) == settings
    save_settings(place, SETTINGS)
    assert load_settings(place) == SETTINGS


def test_settings_of_three_addresses_are_enough() -> None:
    document = {name: getattr(SETTINGS, name) for name in ("p2p_address", "rpc_address", "metrics_address")}
    assert decode_settings(json.dumps(document).encode()) == SETTINGS


def test_an_unknown_key_is_refused_and_named() -> None:
    document = encode_settings(SETTINGS) | {"heartbeat": 60}
    with pytest.raises(CometFault) as caught:
        decode_settings(json.dumps(document).encode())
    assert (caught.value.code, caught.value.got) == ("comet.settings_unknown_key", ["heartbeat"])


@pytest.mark.parametrize("name", ["p2p_address", "rpc_address", "metrics_address"])
def test_a_missing_address_is_refused(name: str) -> None:
    document = encode_settings(SETTINGS)
    del document[name]
    with pytest.raises(CometFault, match=name) as caught:
        decode_settings(json.dumps(document).encode())
    assert caught.value.code == "comet.settings_value"


@given(st.data())
def test_a_value_of_another_kind_is_refused(data: st.DataObject) -> None:
    document = encode_settings(replace(SETTINGS, state_sync=SYNC))
    name = data.draw(st.sampled_from([one.name for one in fields(CometSettings)]))
    wrong = data.draw(
        st.sampled_from([1, True, "text", [1], {"a": 1}]).filter(
            lambda value: type(value) is not type(document[name])
        )
    )
    with pytest.raises(CometFault):
        decode_settings(json.dumps(document | {name: wrong}).encode())


@given(st.binary(max_size=60))
def test_any_bytes_are_refused_with_a_code(data: bytes) -> None:
    with pytest.raises(CometFault, match=r"comet\.settings_"):
        decode_settings(data)


@pytest.mark.parametrize(
    "address",
    [
        *("", "127.0.0.1", ":26656", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:026656", "::1:26656"),
        *("a b:1", "tcp://127.0.0.1:26656", "127.0.0.1:26656/", "user@127.0.0.1:1", "1.0.0.1:1,1.0.0.2:2"),
        "[::1]",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    refused("comet.settings_address", p2p_address=address)


def test_a_machine_listens_on_ip_addresses_only() -> None:
    refused("comet.settings_address", p2p_address="court.example:26656")
    assert replace(SETTINGS, p2p_address="[::]:26656", rpc_address="[::1]:26657")
    assert split_address("[::1]:26657") == ("::1", 26657)


def test_each_address_has_a_port_of_its_own() -> None:
    refused("comet.settings_value", metrics_address="127.0.0.1:26656")


def test_rpc_and_metrics_stay_on_loopback_unless_the_operator_says_otherwise() -> None:
    refused("comet.settings_exposed", rpc_address="0.0.0.0:26657")
    refused("comet.settings_exposed", metrics_address="10.0.0.1:26660", rpc_for_members=True)
    assert replace(SETTINGS, rpc_address="0.0.0.0:26657", rpc_for_members=True)


@pytest.mark.parametrize(
    "peer",
    [
        *("", ID, f"{ID}@", f"{ID}@host", f"{ID.upper()}@host:1", f"{ID[1:]}@host:1", f"{ID}@ho_st:1"),
        *(f"{ID}@-host:1", f"{ID}@host:1,{ID}@other:1", f"{ID}@{ID}@host:1", f'{ID}@host":1'),
    ],
)
def test_what_is_no_peer_is_refused(peer: str) -> None:
    refused("comet.settings_peer", bootstrap=(peer,))


def test_a_peer_named_twice_is_refused() -> None:
    assert ID in str(refused("comet.settings_value", bootstrap=(f"{ID}@a:1", f"{ID}@b:1")).got)


@pytest.mark.parametrize("name", ["", " court", "court ", "法院", "a" * 51, "a\nb"])
def test_a_name_that_peers_would_not_take_is_refused(name: str) -> None:
    refused("comet.settings_value", name=name)


@pytest.mark.parametrize(
    "changes",
    [
        {"heartbeat_ms": 0},
        {"timeout_commit_ms": -1},
        {"gossip_sleep_ms": 0},
        {"mempool_count": 0},
        {"mempool_bytes": 1},
    ],
)
def test_a_pace_that_cannot_work_is_refused(changes: dict[str, int]) -> None:
    refused("comet.settings_value", **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"rpc_servers": ("http://10.1.0.1:26657",)},
        {"rpc_servers": ("10.1.0.1:26657", "10.1.0.2:26657")},
        {"rpc_servers": ("http://10.1.0.1:26657", "http://10.1.0.2:26657,http://x:1")},
        {"rpc_servers": ("http://10.1.0.1:26657", "http://user:word@10.1.0.2:26657")},
        {"trust_height": 0},
        {"trust_hash": b"short"},
        {"trust_period_s": 1},
    ],
)
def test_state_sync_that_cannot_work_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(CometFault, match=r"comet\.settings_"):
        replace(SYNC, **changes)


def test_missing_settings_are_named(place: CometPlace) -> None:
    assert not place.exists
    with pytest.raises(CometFault) as caught:
        load_settings(place)
    assert caught.value.code == "comet.settings_missing"


# ---- config.toml


@given(st.text())
def test_any_text_is_written_as_toml_that_means_it(text: str) -> None:
    assert tomllib.loads(f"key = {_render_value(text)}  # why")["key"] == text


def test_the_configuration_is_what_the_design_asks_for(place: CometPlace, genesis: Genesis) -> None:
    own, other = node_id(public(NODE)), f"{ID}@10.1.0.2:26656"
    settings = replace(SETTINGS, bootstrap=(f"{own}@10.1.0.1:26656", other), name='a "quoted" name\\')
    config = written(place, settings, genesis)
    assert config["proxy_app"] == f"unix://{place.abci_socket}"
    assert config["moniker"] == 'a "quoted" name\\'
    assert config["filter_peers"] is True
    assert config["log_format"] == "json"
    rpc = config["rpc"]
    assert (rpc["laddr"], rpc["unsafe"], rpc["cors_allowed_origins"]) == ("tcp://127.0.0.1:26657", False, [])
    p2p = config["p2p"]
    assert p2p["persistent_peers"] == other  # not itself
    assert p2p["unconditional_peer_ids"] == ID
    assert (p2p["pex"], p2p["addr_book_strict"], p2p["allow_duplicate_ip"]) == (False, False, False)
    mempool = config["mempool"]
    assert (mempool["type"], mempool["recheck"], mempool["keep-invalid-txs-in-cache"]) == (
        "flood",
        True,
        False,
    )
    consensus = config["consensus"]
    assert consensus["create_empty_blocks"] is True
    assert consensus["create_empty_blocks_interval"] == "60000ms"
    assert consensus["skip_timeout_commit"] is True
    assert config["storage"]["discard_abci_responses"] is True
    assert config["tx_index"]["indexer"] == "null"
    assert config["instrumentation"] == {"prometheus": True, "prometheus_listen_addr": "127.0.0.1:26660"}
    assert "statesync" not in config


def test_what_a_transaction_may_be_passes_every_limit_on_its_way(place: CometPlace, genesis: Genesis) -> None:
    config = written(place, SETTINGS, genesis)
    largest = config["mempool"]["max_tx_bytes"]
    assert largest == max_transaction_bytes(genesis) >= genesis.rules.max_transaction_bytes
    assert largest <= config["mempool"]["max_txs_bytes"]
    assert config["rpc"]["max_body_bytes"] > len(base64.b64encode(bytes(largest))) + 200


def test_state_sync_is_written_when_asked_for(place: CometPlace, genesis: Genesis) -> None:
    section = written(place, replace(SETTINGS, state_sync=SYNC), genesis)["statesync"]
    assert section["enable"] is True
    assert section["rpc_servers"] == "http://10.1.0.1:26657,https://court.example:443"
    assert (section["trust_height"], section["trust_hash"]) == (12, bytes(range(32)).hex().upper())
    assert Path(section["temp_dir"]).is_dir()


def test_hand_made_changes_do_not_last_and_the_file_says_so(place: CometPlace, genesis: Genesis) -> None:
    written(place, SETTINGS, genesis)
    first = place.config_file.read_text()
    assert first.startswith("#")
    assert "changes here are lost" in first.splitlines()[0]
    place.config_file.write_text(first.replace("filter_peers = true", "filter_peers = false"))
    write_configuration(place, SETTINGS, genesis)
    assert place.config_file.read_text() == first


def test_every_line_of_the_configuration_says_why(place: CometPlace, genesis: Genesis) -> None:
    written(place, replace(SETTINGS, state_sync=SYNC), genesis)
    lines = place.config_file.read_text().splitlines()
    assert all("  # " in line for line in lines if line and not line.startswith(("#", "[")))


def test_a_file_that_cometbft_would_read_instead_is_refused(place: CometPlace, genesis: Genesis) -> None:
    make_home(place, SETTINGS, NODE, VALIDATOR)
    (place.directory / "config.json").write_text("{}")
    with pytest.raises(CometFault) as caught:
        write_configuration(place, SETTINGS, genesis)
    assert caught.value.code == "comet.configuration_shadowed"


# ---- the socket


def test_a_socket_is_where_its_path_is_short_enough(
    tmp_path: Path, genesis: Genesis, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = tmp_path / "run"
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    assert CometPlace(Path("/srv/node/comet")).abci_socket == Path("/srv/node/comet/abci.sock")
    deep = CometPlace(tmp_path / ("d" * 90) / "comet")
    assert deep.abci_socket.parent.parent == runtime
    assert deep.abci_socket == CometPlace(deep.directory).abci_socket
    written(deep, SETTINGS, genesis)
    assert stat.S_IMODE(deep.abci_socket.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("intruder", ["open directory", "link"])
def test_a_socket_directory_that_others_could_enter_is_refused(
    tmp_path: Path, genesis: Genesis, monkeypatch: pytest.MonkeyPatch, intruder: str
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    deep = CometPlace(tmp_path / ("d" * 90) / "comet")
    if intruder == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        deep.abci_socket.parent.symlink_to(tmp_path / "elsewhere")
    else:
        deep.abci_socket.parent.mkdir()
        deep.abci_socket.parent.chmod(0o777)
    make_home(deep, SETTINGS, NODE, VALIDATOR)
    with pytest.raises(CometFault) as caught:
        write_configuration(deep, SETTINGS, genesis)
    assert caught.value.code == "comet.socket_directory"


# ---- genesis


def test_cometbfts_genesis_follows_from_ours(genesis: Genesis) -> None:
    document = comet_genesis(genesis)
    assert document["chain_id"] == genesis.chain_name
    assert document["genesis_time"] == "2027-01-15T08:00:00.000000000Z"
    assert document["initial_height"] == "1"
    assert document["app_hash"] == ""
    assert document["app_state"] == {"genesis_hash": "0x" + genesis.hash.hex()}
    params = document["consensus_params"]
    assert params["block"] == {"max_bytes": str(4 << 20), "max_gas": "-1"}
    assert params["evidence"]["max_age_duration"] == str(172_800 * 10**9)
    assert params["validator"] == {"pub_key_types": ["ed25519"]}
    assert params["version"] == {"app": "1"}
    assert params["abci"] == {"vote_extensions_enable_height": "0"}
    (validator,) = document["validators"]
    key = genesis.validators[0].public_key
    assert validator["pub_key"] == {
        "type": "tendermint/PubKeyEd25519",
        "value": base64.b64encode(key).decode(),
    }
    assert validator["address"] == hashlib.sha256(key).hexdigest()[:40].upper()
    assert validator["power"] == "10"


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [(0, "1970-01-01T00:00:00.000000000Z"), (1_800_000_000_000_000_007, "2027-01-15T08:00:00.000000007Z")],
)
def test_genesis_time_keeps_its_nanoseconds(genesis: Genesis, time_ns: int, text: str) -> None:
    assert comet_genesis(replace(genesis, genesis_time_ns=time_ns))["genesis_time"] == text


def test_nodes_with_one_genesis_write_the_same_file(tmp_path: Path, genesis: Genesis) -> None:
    first, second = CometPlace(tmp_path / "one"), CometPlace(tmp_path / "two")
    written(first, SETTINGS, genesis)
    make_home(second, replace(SETTINGS, name="other"), VALIDATOR, NODE)
    write_configuration(second, replace(SETTINGS, name="other"), genesis)
    assert first.genesis_file.read_bytes() == second.genesis_file.read_bytes()


# ---- keys


def test_key_files_are_private_and_in_cometbfts_form(place: CometPlace) -> None:
    make_home(place, SETTINGS, NODE, VALIDATOR)
    for path in (place.node_key_file, place.validator_key_file, place.validator_state_file):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.directory.stat().st_mode) == 0o700
    node = json.loads(place.node_key_file.read_text())
    both = base64.b64decode(node["priv_key"]["value"])
    assert (node["priv_key"]["type"], both) == ("tendermint/PrivKeyEd25519", NODE + public(NODE))
    validator = json.loads(place.validator_key_file.read_text())
    assert base64.b64decode(validator["pub_key"]["value"]) == public(VALIDATOR)
    assert validator["address"] == hashlib.sha256(public(VALIDATOR)).hexdigest()[:40].upper()
    state = json.loads(place.validator_state_file.read_text())
    assert state == {"height": "0", "round": 0, "step": 0}
    assert (load_node_key(place), load_validator_key(place)) == (public(NODE), public(VALIDATOR))


def test_making_a_home_again_keeps_keys_and_what_was_signed(place: CometPlace) -> None:
    make_home(place, SETTINGS, NODE, VALIDATOR)
    place.validator_state_file.write_text('{"height": "7", "round": 0, "step": 3}')
    before = place.validator_key_file.read_bytes()
    make_home(place, replace(SETTINGS, name="renamed"), NODE, VALIDATOR)
    assert place.validator_key_file.read_bytes() == before
    assert json.loads(place.validator_state_file.read_text())["height"] == "7"
    assert load_settings(place).name == "renamed"


@pytest.mark.parametrize("keys", [(NODE, NODE), (VALIDATOR, VALIDATOR)])
def test_another_key_is_never_written_over_one(place: CometPlace, keys: tuple[bytes, bytes]) -> None:
    make_home(place, SETTINGS, NODE, VALIDATOR)
    with pytest.raises(CometFault) as caught:
        make_home(place, SETTINGS, *keys)
    assert caught.value.code == "comet.key_exists"
    assert (load_node_key(place), load_validator_key(place)) == (public(NODE), public(VALIDATOR))


def test_a_key_that_others_may_read_is_refused(place: CometPlace) -> None:
    make_home(place, SETTINGS, NODE, VALIDATOR)
    place.validator_key_file.chmod(0o640)
    with pytest.raises(CometFault) as caught:
        load_validator_key(place)
    assert caught.value.code == "comet.key_exposed"


@given(st.binary(max_size=80))
def test_what_is_no_key_file_is_refused_without_quoting_it(tmp_path_factory: Any, data: bytes) -> None:
    place = CometPlace(tmp_path_factory.getbasetemp() / "malformed")
    place.node_key_file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(place.node_key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(data)
    with pytest.raises(CometFault) as caught:
        load_node_key(place)
    assert caught.value.code == "comet.key_malformed"
    assert caught.value.got == str(place.node_key_file)


def test_a_key_file_whose_halves_do_not_fit_is_refused(place: CometPlace) -> None:
    make_home(place, SETTINGS, NODE, VALIDATOR)
    document = json.loads(place.node_key_file.read_text())
    document["priv_key"]["value"] = base64.b64encode(NODE + public(VALIDATOR)).decode()
    place.node_key_file.write_text(json.dumps(document))
    with pytest.raises(CometFault) as caught:
        load_node_key(place)
    assert caught.value.code == "comet.key_malformed"


def test_a_missing_key_is_named_before_anything_is_written(place: CometPlace, genesis: Genesis) -> None:
    make_home(place, SETTINGS, NODE, VALIDATOR)
    place.validator_key_file.unlink()
    with pytest.raises(CometFault) as caught:
        write_configuration(place, SETTINGS, genesis)
    assert caught.value.code == "comet.key_missing"
    assert not place.config_file.exists()


def test_nothing_is_left_beside_the_files(place: CometPlace, genesis: Genesis) -> None:
    written(place, SETTINGS, genesis)
    write_configuration(place, SETTINGS, genesis)
    found = {str(path.relative_to(place.directory)) for path in place.directory.rglob("*") if path.is_file()}
    assert found == {
        "settings.json",
        "config/config.toml",
        "config/genesis.json",
        "config/node_key.json",
        "config/priv_validator_key.json",
        "data/priv_validator_state.json",
    }


def test_a_node_is_called_by_the_hash_of_its_key() -> None:
    assert node_id(bytes(32)) == hashlib.sha256(bytes(32)).hexdigest()[:40]
