"""New keys come beside the old ones; a validator never begins to sign with a new key while the old counts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from identity.keystore import DEMO, load_key, load_key_file
from network.comet.keyfiles import load_public_key, node_id
from network.consortium.governance import MembershipError
from network.consortium.keys import KeyDirectory, create_keys, load_agency, load_node_keys, open_ca
from network.consortium.rotation import (
    NextKeys,
    next_certificate,
    next_node_id,
    next_sealing_key,
    next_validator_key,
    require_validator_switch,
    switch,
)
from node.chain.validators import Validator

NOW = datetime(2026, 11, 23, 1, 30, tzinfo=UTC)
PASSPHRASE = "correct horse battery"
OTHER = Validator(b"\x01" * 32, 10)


@pytest.fixture
def directory(tmp_path: Path) -> KeyDirectory:
    keys = KeyDirectory(tmp_path / "keys")
    create_keys(
        keys, kind="court", name="示例区人民法院", passphrase=PASSPHRASE, now=NOW, purpose="demo", cost=DEMO,
        domains=("court.example",),
    )  # fmt: skip
    return keys


def state(path: Path, height: int) -> Path:
    file = path / "priv_validator_state.json"
    file.write_text(json.dumps({"height": str(height), "round": 0, "step": 3}))
    return file


def test_new_keys_are_made_once_and_lie_beside_the_old_ones(directory: KeyDirectory) -> None:
    agency = load_agency(directory)
    old = load_node_keys(directory)
    names = NextKeys(directory)
    made = (
        next_validator_key(directory),
        next_node_id(directory),
        next_certificate(directory, agency, PASSPHRASE, NOW, cost=DEMO),
        next_sealing_key(directory, agency, PASSPHRASE, cost=DEMO),
    )
    assert made == (
        next_validator_key(directory),
        next_node_id(directory),
        next_certificate(directory, agency, PASSPHRASE, NOW, cost=DEMO),
        next_sealing_key(directory, agency, PASSPHRASE, cost=DEMO),
    )
    assert load_node_keys(directory) == old, "those in use are untouched"
    assert load_agency(directory) == agency
    for path in (names.validator_key, names.node_key, names.ca_key, names.sealing_key):
        assert path.stat().st_mode & 0o777 == 0o600
    assert made[2].organisation == agency.name
    assert made[2].domains == agency.certificate.domains
    assert made[2].fingerprint != agency.certificate.fingerprint


def test_after_the_switch_the_new_ones_are_in_use_and_the_old_ones_kept(directory: KeyDirectory) -> None:
    agency, names = load_agency(directory), NextKeys(directory)
    old = load_node_keys(directory)
    certificate = next_certificate(directory, agency, PASSPHRASE, NOW, cost=DEMO)
    sealing = next_sealing_key(directory, agency, PASSPHRASE, cost=DEMO)
    new = next_validator_key(directory)
    kept = switch(directory.validator_key, names.validator_key, NOW)
    assert kept.name == "priv_validator_key.20261123T013000Z.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert load_public_key(kept) == old.validator_public_key
    assert load_node_keys(directory).validator_public_key == new
    kept_sealing = switch(directory.sealing_key, names.sealing_key, NOW)
    switch(directory.ca_key, names.ca_key, NOW)
    switch(directory.certificate, names.certificate, NOW)
    now = load_agency(directory)
    assert (now.certificate, now.encryption_key) == (certificate, sealing)
    open_ca(directory, now, PASSPHRASE)
    # What was sealed to the old key can still be opened.
    assert load_key_file(kept_sealing).public_key == agency.encryption_key
    assert load_key(kept_sealing, PASSPHRASE, chain_purpose="demo").public_key == agency.encryption_key
    with pytest.raises(MembershipError) as caught:
        switch(directory.validator_key, names.validator_key, NOW)
    assert caught.value.code == "rotation.no_next_key"
    assert load_node_keys(directory).validator_public_key == new


def test_a_node_id_is_that_of_the_new_key(directory: KeyDirectory) -> None:
    id = next_node_id(directory)
    switch(directory.node_key, NextKeys(directory).node_key, NOW)
    assert load_node_keys(directory).node_id == id.hex() == node_id(load_public_key(directory.node_key))


def test_the_new_key_signs_only_when_it_counts_and_the_old_one_no_more(
    directory: KeyDirectory, tmp_path: Path
) -> None:
    old = load_node_keys(directory).validator_public_key

    def refusal(validators: list[Validator], signed: int = 100, height: int = 100) -> str:
        with pytest.raises(MembershipError) as caught:
            require_validator_switch(directory, old, height, validators, state(tmp_path, signed))
        return caught.value.code

    assert refusal([OTHER, Validator(old, 10)]) == "rotation.no_next_key"
    new = next_validator_key(directory)
    # Block h changed the table; the next block is still signed by the old key.
    assert refusal([OTHER, Validator(old, 10)]) == "rotation.not_in_force"
    assert refusal([OTHER, Validator(old, 5), Validator(new, 5)]) == "rotation.old_still_counts"
    assert refusal([OTHER, Validator(new, 10)], signed=102) == "rotation.state_ahead"
    in_force = [OTHER, Validator(new, 10)]
    for signed in (0, 99, 100, 101):
        assert require_validator_switch(directory, old, 100, in_force, state(tmp_path, signed)) == new
    with pytest.raises(MembershipError) as caught:
        require_validator_switch(directory, old, 100, in_force, tmp_path / "nothing")
    assert caught.value.code == "rotation.state_unreadable"
