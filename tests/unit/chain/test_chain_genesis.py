"""The genesis file: one form is hashed, every value is checked, every mistake is named with its place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from chain_assertions import P256_PUBLIC
from nacl.signing import SigningKey

from node.chain.errors import GenesisError
from node.chain.genesis import build_genesis, decode_genesis, encode_genesis, evm_chain_id_of
from node.chain.rules import FIRST_RULES


def key(name: str) -> str:
    return "0x" + bytes(SigningKey(hashlib.sha256(name.encode()).digest()).verify_key).hex()


def document() -> dict[str, Any]:
    return {
        "format": "shelian-genesis/1",
        "chain_name": "shelian-demo-0a1b2c3d",
        "purpose": "demo",
        "genesis_time_ns": 1_790_000_000_000_000_000,
        "initial_height": 1,
        "systems": ["correction", "sharing"],
        "organisations": [
            {
                "id": 1,
                "kind": "court",
                "name": "示范区人民法院",
                "encryption_key": "0x" + "07" * 32,
                "ca_certificate": "",
            }
        ],
        "validators": [{"public_key": key("validator"), "power": 10, "organisation": 1, "name": "court-1"}],
        "registrars": [
            {
                "organisation": 1,
                "identity": "0x" + f"{number:032x}",
                "scheme": 2,
                "public_key": key(f"registrar {number}"),
                "relying_party": "0x" + "aa" * 32,
            }
            for number in (1, 2)
        ],
        "relying_parties": [
            {
                "id": "0x" + "aa" * 32,
                "name": "staff",
                "rp_id": "localhost",
                "origins": [],
                "organisation": 1,
                "contracts": ["0x" + "51" * 20],
                "any_contract": False,
                "localhost_any_port": True,
                "from_height": 0,
                "until_height": 0,
            }
        ],
        "rules": {
            "version": 1,
            "activation_height": 0,
            "block_gas": 40_000_000,
            "transaction_gas": 30_000_000,
            "correction_gas": 10_000_000,
            "identity_gas": 30_000_000,
            "max_transaction_bytes": 131_072,
            "byte_gas": 8,
            "base_gas": 21_000,
            "max_calls": 100,
            "max_validity": 86_400,
            "fork": 1,
            "scheme_gas": [0, 8_000, 9_000, 7_000, 56_000, 17_000, 0, 0],
        },
        "consensus_params": {
            "block_max_bytes": 4_194_304,
            "block_max_gas": -1,
            "evidence_max_age_num_blocks": 100_000,
            "evidence_max_age_duration_ns": 172_800_000_000_000,
            "evidence_max_bytes": 1_048_576,
        },
        "alloc": [{"address": "0x" + "51" * 20, "code": "0x6000", "nonce": 1}],
        "calls": [{"to": "0x" + "51" * 20, "data": "0x"}],
    }


def test_a_genesis_is_read_whole() -> None:
    genesis = build_genesis(document())
    assert genesis.rules == FIRST_RULES
    assert genesis.organisations[0].name == "示范区人民法院"
    assert genesis.registrars[1].identity == (2).to_bytes(16, "big")
    assert genesis.relying_parties[0].localhost_any_port
    assert genesis.alloc[0].code == b"\x60\x00"
    assert genesis.is_demo


def test_the_hash_is_of_the_canonical_bytes_and_the_chain_id_follows() -> None:
    genesis = build_genesis(document())
    canonical = json.dumps(document(), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert genesis.canonical == canonical
    assert genesis.hash == hashlib.sha256(canonical).digest()
    assert genesis.evm_chain_id == 1 + (int(genesis.hash[:8].hex(), 16) >> 13)
    assert (evm_chain_id_of(bytes(32)), evm_chain_id_of(b"\xff" * 32)) == (1, 2**51)


def test_layout_does_not_matter_and_the_file_round_trips() -> None:
    genesis = build_genesis(document())
    pretty = json.dumps({**document(), "evm_chain_id": genesis.evm_chain_id}, indent=3).encode()
    assert decode_genesis(pretty) == genesis
    assert decode_genesis(encode_genesis(genesis)) == genesis
    assert f'"evm_chain_id":{genesis.evm_chain_id}'.encode() in encode_genesis(genesis)


def test_any_change_makes_another_chain() -> None:
    changed = document()
    changed["organisations"][0]["name"] += "x"
    assert build_genesis(changed).evm_chain_id != build_genesis(document()).evm_chain_id


def test_a_wrong_chain_id_is_refused() -> None:
    with pytest.raises(GenesisError) as caught:
        build_genesis({**document(), "evm_chain_id": 5})
    assert (caught.value.code, caught.value.got) == ("genesis.chain_id", 5)


def put(*path: object) -> Callable[[dict[str, Any]], None]:
    """Put the last of `path` where the others lead."""

    def change(target: Any) -> None:
        for step in path[:-2]:
            target = target[step]
        target[path[-2]] = path[-1]

    return change


def twice(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda target: target[name].append(target[name][0])


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (put("format", "shelian-genesis/2"), "format"),
        (put("chain_name", "Has Spaces"), "chain_name"),
        (put("chain_name", "a" * 51), "chain_name"),
        (put("purpose", "test"), "purpose"),
        (put("purpose", "production"), "localhost_any_port"),
        (put("genesis_time_ns", -1), "genesis_time_ns"),
        (put("genesis_time_ns", "1"), "genesis_time_ns"),
        (put("initial_height", True), "initial_height"),
        (put("systems", []), "systems"),
        (put("systems", ["sharing", "sharing"]), "systems"),
        (put("systems", ["x"]), "systems[0]"),
        (put("organisations", 0, "kind", "bank"), "organisations[0].kind"),
        (put("organisations", 0, "id", 0), "organisations[0].id"),
        (put("organisations", 0, "encryption_key", "0x" + "07" * 31), "encryption_key"),
        (put("organisations", 0, "encryption_key", "0x" + "AB" * 32), "encryption_key"),
        (put("organisations", 0, "name", "\ud800"), "name"),
        (put("organisations", 0, "name", None), "name"),
        (put("organisations", {}), "organisations"),
        (put("validators", []), "validators"),
        (put("validators", 0, "power", 0), "power"),
        (put("validators", 0, "power", 2**60), "power"),
        (put("validators", 0, "public_key", "0x" + "00" * 32), "public_key"),
        (put("validators", 0, "organisation", 9), "validators"),
        (put("registrars", 0, "scheme", 4), "public_key"),
        (put("registrars", 0, "scheme", 1), "public_key"),
        (put("registrars", 0, "relying_party", "0x" + "bb" * 32), "registrars"),
        (put("registrars", 0, "organisation", 2), "registrars"),
        (lambda target: target["registrars"].pop(), "registrars of organisation 1"),
        (twice("validators"), "validators"),
        (twice("organisations"), "organisations"),
        (twice("registrars"), "registrars"),
        (twice("relying_parties"), "relying_parties"),
        (twice("alloc"), "alloc"),
        (put("rules", "fork", 9), "rules"),
        (put("rules", "version", 2), "rules.version"),
        (put("rules", "scheme_gas", [0]), "rules"),
        (put("consensus_params", "block_max_bytes", 0), "block_max_bytes"),
        (put("alloc", 0, "address", "0x" + "51" * 19), "alloc[0].address"),
        (put("calls", 0, "data", "6000"), "calls[0].data"),
        (put("calls", 0, "data", "0x600"), "calls[0].data"),
        (put("calls", 0, "data", "0x00\n"), "calls[0].data"),
    ],
)
def test_a_bad_value_is_named_with_its_place(change: Callable[[dict[str, Any]], None], where: str) -> None:
    bad = document()
    change(bad)
    with pytest.raises(GenesisError) as caught:
        build_genesis(bad)
    assert caught.value.code == "genesis.bad_value"
    assert where in caught.value.message


def test_missing_and_unknown_keys_are_refused_at_every_level() -> None:
    def levels(value: Any) -> list[dict[str, Any]]:
        found = [value] if isinstance(value, dict) else []
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
            found += levels(item)
        return found

    for index, original in enumerate(levels(document())):
        extended = document()
        levels(extended)[index]["surplus"] = 1
        with pytest.raises(GenesisError, match="unknown_key"):
            build_genesis(extended)
        for name in original:
            shortened = document()
            del levels(shortened)[index][name]
            with pytest.raises(GenesisError, match="missing"):
                build_genesis(shortened)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[" * 100_000,
        b'{"format":1.5}',
        b'{"format":NaN}',
        b'{"format":1,"format":1}',
        b'{"genesis_time_ns":' + b"9" * 5_000 + b"}",
    ],
)
def test_what_is_not_strict_json_is_malformed(data: bytes) -> None:
    with pytest.raises(GenesisError) as caught:
        decode_genesis(data)
    assert caught.value.code == "genesis.malformed"


@pytest.mark.parametrize("value", [b"[]", b"1", b'"x"', b"null"])
def test_a_genesis_is_an_object(value: bytes) -> None:
    with pytest.raises(GenesisError) as caught:
        decode_genesis(value)
    assert caught.value.code == "genesis.bad_value"


def test_a_webauthn_registrar_is_possible() -> None:
    changed = document()
    changed["registrars"][0] |= {"scheme": 1, "public_key": "0x" + P256_PUBLIC.hex()}
    assert build_genesis(changed).registrars[0].public_key == P256_PUBLIC
