"""A key file opens with its passphrase, whole, on the right kind of chain; otherwise it says why not."""

import hashlib
import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from identity.errors import KeyFileError
from identity.keys import KEY_ALGORITHMS, SECP256K1, SM2, X25519, KeyAlgorithm, generate_key, key_pair
from identity.keystore import DEMO, Cost, list_key_files, load_key, load_key_file, save_key
from node.chain.encoding import encode_canonical_json, keccak256
from node.chain.signing import SM2_ORDER, imi_sender

PASSPHRASE = "correct horse battery staple"


def refused(code: str, act: Callable[[], object]) -> None:
    with pytest.raises(KeyFileError) as caught:
        act()
    assert caught.value.code == code


def saved(tmp_path: Path, algorithm: KeyAlgorithm = SECP256K1) -> Path:
    path = tmp_path / "one.key.json"
    save_key(path, generate_key(algorithm), PASSPHRASE, purpose="demo", label="示范", cost=DEMO)
    return path


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a key file and give it a fresh checksum, as somebody who means harm would."""
    data = json.loads(path.read_bytes())
    data.pop("checksum")
    change(data)
    data["checksum"] = "0x" + hashlib.sha256(encode_canonical_json(data)).hexdigest()
    path.write_bytes(encode_canonical_json(data))


@pytest.mark.parametrize("algorithm", KEY_ALGORITHMS.values(), ids=lambda algorithm: algorithm.name)
def test_a_key_of_each_kind_comes_back(tmp_path: Path, algorithm: KeyAlgorithm) -> None:
    key = generate_key(algorithm)
    path = tmp_path / "person.key.json"
    file = save_key(path, key, PASSPHRASE, purpose="demo", label="示范居民01", cost=DEMO)
    assert load_key(path, PASSPHRASE, chain_purpose="demo") == key
    assert load_key_file(path) == file
    assert (file.public_key, file.label, file.purpose) == (key.public_key, "示范居民01", "demo")


def test_the_file_is_readable_by_its_owner_only_and_holds_no_secret(tmp_path: Path) -> None:
    key = generate_key(SECP256K1)
    path = tmp_path / "person.key.json"
    save_key(path, key, PASSPHRASE, purpose="demo", label="示范", cost=DEMO)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert key.secret.hex() not in path.read_text()
    assert key.secret.hex() not in repr(key)
    assert os.listdir(tmp_path) == ["person.key.json"]


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    path.chmod(0o640)
    refused("key.permissions", lambda: load_key(path, PASSPHRASE, chain_purpose="demo"))


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    path = saved(tmp_path)
    before = path.read_bytes()
    refused("key.exists", lambda: saved(tmp_path))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


def test_a_wrong_passphrase_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    refused("key.wrong_passphrase", lambda: load_key(path, PASSPHRASE + " ", chain_purpose="demo"))
    refused("key.wrong_passphrase", lambda: load_key(path, "", chain_purpose="demo"))


def test_the_passphrase_may_be_typed_in_any_unicode_form(tmp_path: Path) -> None:
    path = tmp_path / "person.key.json"
    key = generate_key(SECP256K1)
    save_key(path, key, "caf\u00e9 \uff11\uff12", purpose="demo", label="示范", cost=DEMO)
    assert load_key(path, "cafe\u0301 12", chain_purpose="demo") == key


def test_a_demo_key_opens_on_a_demo_chain_only(tmp_path: Path) -> None:
    path = saved(tmp_path)
    refused("key.demo_only", lambda: load_key(path, PASSPHRASE, chain_purpose="production"))


def test_a_demo_key_cannot_be_relabelled(tmp_path: Path) -> None:
    path = saved(tmp_path)
    rewrite(path, lambda data: data.update(purpose="production"))
    refused("key.bad_cost", lambda: load_key(path, PASSPHRASE, chain_purpose="production"))
    other = tmp_path / "other.key.json"
    costly = Cost(2, 64 << 20)
    save_key(other, generate_key(SECP256K1), PASSPHRASE, purpose="demo", label="示范", cost=costly)
    rewrite(other, lambda data: data.update(purpose="production"))
    refused("key.tampered", lambda: load_key(other, PASSPHRASE, chain_purpose="production"))


@pytest.mark.parametrize("field", ["label", "public_key", "credential_id"])
def test_no_public_field_can_be_exchanged(tmp_path: Path, field: str) -> None:
    path = saved(tmp_path)
    rewrite(path, lambda data: data.update({field: "0x" + "11" * 64}))
    refused("key.tampered", lambda: load_key(path, PASSPHRASE, chain_purpose="demo"))


def test_a_changed_box_does_not_open(tmp_path: Path) -> None:
    path = saved(tmp_path)
    sealed = json.loads(path.read_bytes())["box"]["sealed"]
    flipped = sealed[:-1] + ("0" if sealed[-1] != "0" else "1")
    rewrite(path, lambda data: data["box"].update(sealed=flipped))
    refused("key.wrong_passphrase", lambda: load_key(path, PASSPHRASE, chain_purpose="demo"))


def test_damage_is_told_from_a_wrong_passphrase(tmp_path: Path) -> None:
    path = saved(tmp_path)
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b'"label":"\xe7\xa4\xba', b'"label":"\xe7\xa4\xbb'))
    refused("key.damaged", lambda: load_key(path, PASSPHRASE, chain_purpose="demo"))
    path.write_bytes(raw[:-2])
    refused("key.form", lambda: load_key(path, PASSPHRASE, chain_purpose="demo"))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"format": "shelian-key/2"}, "key.unknown_version"),
        ({"algorithm": "sm9"}, "key.unknown_algorithm"),
        ({"purpose": "test"}, "key.form"),
        ({"kdf": {"name": "scrypt"}}, "key.form"),
        ({"box": None}, "key.form"),
        ({"label": 7}, "key.form"),
        ({"public_key": "11"}, "key.form"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, change: dict[str, Any], code: str) -> None:
    path = saved(tmp_path)
    rewrite(path, lambda data: data.update(change))
    refused(code, lambda: load_key_file(path))


@pytest.mark.parametrize(
    ("operations", "memory"), [(1 << 30, 8192), (1, 1 << 40), (0, 8192), (1, 1024), (-1, -1)]
)
def test_a_hostile_file_cannot_name_its_own_cost(tmp_path: Path, operations: int, memory: int) -> None:
    path = saved(tmp_path)
    rewrite(path, lambda data: data["kdf"].update(operations=operations, memory=memory))
    refused("key.bad_cost", lambda: load_key(path, PASSPHRASE, chain_purpose="demo"))


def test_a_file_that_is_not_there_or_far_too_large_is_refused(tmp_path: Path) -> None:
    refused("key.not_found", lambda: load_key_file(tmp_path / "nobody.key.json"))
    large = tmp_path / "large.key.json"
    large.touch(mode=0o600)
    large.write_bytes(b" " * 20_000)
    refused("key.too_large", lambda: load_key_file(large))


def test_a_production_key_wants_a_passphrase_and_its_price(tmp_path: Path) -> None:
    path, key = tmp_path / "person.key.json", generate_key(SECP256K1)
    refused("key.weak_passphrase", lambda: save_key(path, key, "short", purpose="production", label="本人"))
    refused(
        "key.bad_cost", lambda: save_key(path, key, PASSPHRASE, purpose="production", label="本人", cost=DEMO)
    )
    refused("key.bad_field", lambda: save_key(path, key, PASSPHRASE, purpose="other", label="本人"))
    assert not path.exists()


def test_only_readable_key_files_are_listed(tmp_path: Path) -> None:
    path = saved(tmp_path)
    (tmp_path / "broken.key.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("not a key")
    assert [file.path for file in list_key_files(tmp_path)] == [path]


def test_addresses_are_those_of_the_chain() -> None:
    for algorithm in KEY_ALGORITHMS.values():
        key = generate_key(algorithm)
        if algorithm is X25519:
            refused("key.cannot_sign", lambda key=key: key.address)
        elif algorithm is SECP256K1:
            assert key.address == keccak256(key.public_key)[12:]
        else:
            assert key.address == imi_sender(key.scheme, key.public_key)


def test_a_secret_out_of_range_is_no_key() -> None:
    for secret in (bytes(32), b"\xff" * 32, b"\x01" * 31):
        refused("key.bad_secret", lambda secret=secret: key_pair(SECP256K1, secret))


def test_an_sm2_secret_opens_only_with_its_own_public_key(tmp_path: Path) -> None:
    key, other = generate_key(SM2), generate_key(SM2)
    assert key_pair(SM2, key.secret, public_key=key.public_key) == key
    off_curve = key.public_key[:63] + bytes((key.public_key[63] ^ 1,))
    for wrong in (other.public_key, off_curve, bytes(64), b""):
        refused("key.tampered", lambda wrong=wrong: key_pair(SM2, key.secret, public_key=wrong))
    path = tmp_path / "mixed.key.json"
    mixed = replace(key, public_key=other.public_key)
    save_key(path, mixed, PASSPHRASE, purpose="demo", label="示范", cost=DEMO)
    refused("key.tampered", lambda: load_key(path, PASSPHRASE, chain_purpose="demo"))


def test_an_sm2_secret_lies_below_the_order_less_one() -> None:
    # 1 + d has to have an inverse (GB/T 32918.2, section 6.1)
    public_key = generate_key(SM2).public_key
    for number in (0, SM2_ORDER - 1, SM2_ORDER):
        secret = number.to_bytes(32, "big")
        refused("key.bad_secret", lambda secret=secret: key_pair(SM2, secret, public_key=public_key))
