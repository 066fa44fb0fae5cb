"""Unlocked keys stay with the session that unlocked them, and only for a while."""

from pathlib import Path

import pytest

from identity.errors import KeyFileError, SigningRefused
from identity.keys import ED25519, SECP256K1, X25519, KeyPair, generate_key
from identity.keystore import DEMO, save_key
from identity.signer.keyring import Keyring
from identity.signer.pairing import Pairing
from identity.web import AppOrigin

PASSPHRASE = "a passphrase for tests"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def key(tmp_path: Path) -> KeyPair:
    key = generate_key(ED25519)
    save_key(tmp_path / "one.key.json", key, PASSPHRASE, purpose="demo", label="示范", cost=DEMO)
    return key


@pytest.fixture
def ring(tmp_path: Path, clock: Clock) -> Keyring:
    return Keyring(tmp_path, chain_purpose="demo", idle_seconds=300, clock=clock)


def code_of(ring: Keyring, session: str, key: KeyPair, passphrase: str = "") -> str:
    with pytest.raises((SigningRefused, KeyFileError)) as caught:
        ring.key(session, key.scheme, key.public_key, passphrase)
    return caught.value.code


def test_a_key_is_locked_until_its_passphrase_is_given(ring: Keyring, key: KeyPair) -> None:
    assert code_of(ring, "tab", key) == "sign.locked"
    assert code_of(ring, "tab", key, "wrong") == "key.wrong_passphrase"
    assert ring.key("tab", key.scheme, key.public_key, PASSPHRASE) == key
    assert ring.key("tab", key.scheme, key.public_key, "") == key


def test_another_session_does_not_sign_with_it(ring: Keyring, key: KeyPair) -> None:
    ring.key("tab", key.scheme, key.public_key, PASSPHRASE)
    assert code_of(ring, "other tab", key) == "sign.locked"
    assert not ring.is_unlocked("other tab", key.scheme, key.public_key)


def test_it_is_forgotten_when_idle_and_kept_while_used(ring: Keyring, key: KeyPair, clock: Clock) -> None:
    ring.key("tab", key.scheme, key.public_key, PASSPHRASE)
    for _ in range(3):
        clock.now += 299
        ring.key("tab", key.scheme, key.public_key, "")
    clock.now += 300
    assert not ring.is_unlocked("tab", key.scheme, key.public_key)
    assert code_of(ring, "tab", key) == "sign.locked"


def test_locking_forgets_every_key(ring: Keyring, key: KeyPair) -> None:
    ring.key("tab", key.scheme, key.public_key, PASSPHRASE)
    ring.lock()
    assert code_of(ring, "tab", key) == "sign.locked"


def test_a_key_of_another_machine_is_not_here(ring: Keyring, key: KeyPair) -> None:
    assert code_of(ring, "tab", generate_key(ED25519), PASSPHRASE) == "sign.key_not_here"


def test_only_keys_of_persons_are_offered(ring: Keyring, key: KeyPair, tmp_path: Path) -> None:
    for number, algorithm in enumerate((SECP256K1, X25519)):
        other, path = generate_key(algorithm), tmp_path / f"other{number}.key.json"
        save_key(path, other, PASSPHRASE, purpose="demo", label="示范", cost=DEMO)
    assert [file.public_key for file in ring.files()] == [key.public_key]


def test_demo_keys_do_not_open_for_a_production_chain(tmp_path: Path, key: KeyPair, clock: Clock) -> None:
    ring = Keyring(tmp_path, chain_purpose="production", idle_seconds=300, clock=clock)
    assert code_of(ring, "tab", key, PASSPHRASE) == "key.demo_only"


def test_an_origin_is_admitted_once_and_stays_admitted(tmp_path: Path) -> None:
    known = (AppOrigin("http://localhost:8611", "法院"),)
    pairing = Pairing(tmp_path, known)
    pairing.require_origin("http://localhost:8611")
    with pytest.raises(SigningRefused, match=r"signer\.origin_not_paired"):
        pairing.require_origin("http://localhost:8602")
    pairing.admit("http://localhost:8602")
    again = Pairing(tmp_path, known)
    again.require_origin("http://localhost:8602")
    assert [app.origin for app in again.apps()] == ["http://localhost:8611", "http://localhost:8602"]


@pytest.mark.parametrize(
    "origin", ["", "localhost", "http://localhost:8602/x", "javascript:alert(1)", "http://a b"]
)
def test_what_is_no_origin_is_not_admitted(tmp_path: Path, origin: str) -> None:
    with pytest.raises(SigningRefused, match=r"signer\.origin"):
        Pairing(tmp_path, ()).admit(origin)


def test_the_token_is_private_and_new_at_every_start(tmp_path: Path) -> None:
    pairing = Pairing(tmp_path, ())
    path = tmp_path / "token"
    first = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    pairing.require_token(f"Bearer {first}")
    again = Pairing(tmp_path, ())
    for wrong in ("", "Bearer ", f"Bearer {first}", path.read_text()):
        with pytest.raises(SigningRefused, match=r"signer\.token"):
            again.require_token(wrong)
