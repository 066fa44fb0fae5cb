"""An agency's key directory: made whole or not at all, never overwritten, readable by nobody else."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from ceremony_agencies import NAMES, NOW, agency
from ceremony_refusals import refused

from identity.errors import KeyFileError
from identity.keys import ES256
from identity.keystore import DEMO, load_key
from network.comet.faults import CometFault
from network.consortium import keys
from network.consortium.keys import (
    Agency,
    KeyDirectory,
    create_keys,
    load_agency,
    load_enrolment,
    load_node_keys,
    open_ca,
    save_enrolment,
)
from node.chain.signing import verify_ed25519

PASSPHRASE = "correct horse battery"


def create(path: Path, kind: str = "court", purpose: str = "demo") -> tuple[KeyDirectory, Agency]:
    """A demo's cost of the passphrase, so that tests are quick."""
    directory = KeyDirectory(path)
    made = create_keys(
        directory,
        kind=kind,
        name=NAMES[kind],
        passphrase=PASSPHRASE,
        now=NOW,
        domains=["court.example"],
        purpose=purpose,
        cost=DEMO,
    )
    return directory, made


def test_what_was_made_can_be_opened(tmp_path: Path) -> None:
    directory, made = create(tmp_path / "keys")
    assert load_agency(directory) == made
    assert made.certificate.organisation == NAMES["court"]
    assert made.certificate.domains == ("court.example",)
    node = load_node_keys(directory)
    assert node.node_public_key != node.validator_public_key
    verify_ed25519(node.node_public_key, b"message", keys.node_signer(node.node_key)(b"message"))
    assert len(open_ca(directory, made, PASSPHRASE)(b"message")) == 64
    assert load_key(directory.sealing_key, PASSPHRASE, chain_purpose="demo").public_key == made.encryption_key


def test_secrets_have_mode_0600_in_a_directory_of_mode_0700_and_do_not_show(tmp_path: Path) -> None:
    directory, _ = create(tmp_path / "keys")
    assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700
    for secret in (directory.node_key, directory.validator_key, directory.ca_key, directory.sealing_key):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    node = load_node_keys(directory)
    assert node.node_key.hex() not in repr(node)
    assert repr(node.node_key) not in repr(node)
    assert "绝不离开本机 Never leave this machine" in directory.readme.read_text()


def test_the_plain_files_are_cometbfts_own(tmp_path: Path) -> None:
    directory, _ = create(tmp_path / "keys")
    node = json.loads(directory.node_key.read_bytes())
    validator = json.loads(directory.validator_key.read_bytes())
    assert node["priv_key"]["type"] == "tendermint/PrivKeyEd25519"
    assert set(validator) == {"address", "pub_key", "priv_key"}


def test_keys_are_never_overwritten(tmp_path: Path) -> None:
    directory, made = create(tmp_path / "keys")
    with refused("keys.exists"):
        create(tmp_path / "keys", "police")
    assert load_agency(directory) == made
    (tmp_path / "empty").mkdir()
    with refused("keys.exists"):
        create(tmp_path / "empty")


def test_a_try_that_was_cut_off_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError) as caught:
        create_keys(
            KeyDirectory(tmp_path / "keys"), kind="court", name=NAMES["court"], passphrase="short", now=NOW
        )
    assert caught.value.code == "key.weak_passphrase"
    assert not (tmp_path / "keys").exists()
    create(tmp_path / "keys")
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]


@pytest.mark.parametrize(
    "wrong", [{"kind": "bank"}, {"name": "x"}, {"domains": ["Court.Example"]}, {"domains": ["*.example"]}]
)
def test_a_wrong_description_makes_nothing(tmp_path: Path, wrong: dict[str, object]) -> None:
    given: dict[str, object] = {"kind": "court", "name": NAMES["court"], **wrong}
    with refused("ceremony.bad_value"):
        create_keys(KeyDirectory(tmp_path / "keys"), passphrase=PASSPHRASE, now=NOW, **given)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_wrong_passphrase_opens_nothing(tmp_path: Path) -> None:
    directory, made = create(tmp_path / "keys")
    with pytest.raises(KeyFileError) as caught:
        open_ca(directory, made, "another passphrase")
    assert caught.value.code == "key.wrong_passphrase"


def test_another_agencys_ca_key_is_noticed(tmp_path: Path) -> None:
    directory, made = create(tmp_path / "keys")
    other, _ = create(tmp_path / "other", "police")
    other.ca_key.replace(directory.ca_key)
    with refused("keys.other_certificate"):
        open_ca(directory, made, PASSPHRASE)
    assert load_key(directory.ca_key, PASSPHRASE, chain_purpose="demo").algorithm is ES256


def test_a_plain_key_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    directory, _ = create(tmp_path / "keys")
    directory.validator_key.chmod(0o644)
    with pytest.raises(CometFault) as caught:
        load_node_keys(directory)
    assert caught.value.code == "comet.key_exposed"


def test_demo_keys_do_not_become_production_keys(tmp_path: Path) -> None:
    directory, made = create(tmp_path / "keys")
    organisation = json.loads(directory.organisation.read_bytes())
    directory.organisation.write_bytes(
        json.dumps(
            {**organisation, "purpose": "production"},
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=False,
        ).encode()
    )
    changed = load_agency(directory)
    assert changed.purpose == "production"
    with pytest.raises(KeyFileError) as caught:
        open_ca(directory, changed, PASSPHRASE)
    assert caught.value.code == "key.demo_only"
    assert made.purpose == "demo"


def test_the_enrolment_in_force_is_replaced_only_when_told(tmp_path: Path) -> None:
    directory, _ = create(tmp_path / "keys")
    with refused("keys.not_enrolled"):
        load_enrolment(directory)
    first = agency("court").enrolment()
    second = agency("court", address="new.court.example:26656").enrolment()
    save_enrolment(directory, first)
    with refused("keys.enrolled"):
        save_enrolment(directory, second)
    assert load_enrolment(directory) == first
    save_enrolment(directory, second, replace=True)
    assert load_enrolment(directory) == second
    assert directory.path.joinpath(f"enrolment.{first.hash[:4].hex()}.json").exists()


def test_missing_files_are_named(tmp_path: Path) -> None:
    with refused("keys.unreadable"):
        load_agency(KeyDirectory(tmp_path))
