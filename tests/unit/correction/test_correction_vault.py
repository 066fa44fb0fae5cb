"""The vault keeps whole ciphertexts under their hash, or nothing."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path

import pytest

from apps.community_correction.vault import Vault, VaultError
from identity.sealing.stream import Digest


def digest(data: bytes) -> Digest:
    return Digest(len(data), hashlib.sha256(data).digest())


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_what_was_put_is_found_under_its_hash(tmp_path: Path) -> None:
    vault = Vault(tmp_path, 1_000)
    assert vault.put(BytesIO(b"ciphertext")) == digest(b"ciphertext")
    with vault.open(digest(b"ciphertext").sha256) as stored:
        assert stored.read() == b"ciphertext"


def test_putting_the_same_twice_stores_it_once(tmp_path: Path) -> None:
    vault = Vault(tmp_path, 25)
    vault.put(BytesIO(b"0123456789"))
    vault.put(BytesIO(b"0123456789"))
    assert vault.used == 10
    assert len(files(tmp_path)) == 1


def test_what_is_not_as_announced_leaves_no_trace(tmp_path: Path) -> None:
    vault = Vault(tmp_path, 1_000)
    for wrong in (digest(b"another"), Digest(3, hashlib.sha256(b"ciphertext").digest())):
        with pytest.raises(VaultError) as refused:
            vault.put(BytesIO(b"ciphertext"), wrong)
        assert refused.value.code == "vault.not_as_expected"
    assert files(tmp_path) == []
    assert vault.used == 0


def test_the_quota_is_never_passed_and_counts_after_a_restart(tmp_path: Path) -> None:
    Vault(tmp_path, 100).put(BytesIO(b"a" * 60))
    vault = Vault(tmp_path, 100)
    assert vault.used == 60
    with pytest.raises(VaultError) as refused:
        vault.put(BytesIO(b"b" * 41))
    assert refused.value.code == "vault.quota_exceeded"
    vault.put(BytesIO(b"b" * 40))
    assert vault.used == 100


def test_a_write_that_was_cut_off_is_swept_away_at_the_next_start(tmp_path: Path) -> None:
    Vault(tmp_path, 100)
    (tmp_path / f"{'0' * 32}.part").write_bytes(b"half")
    vault = Vault(tmp_path, 100)
    assert files(tmp_path) == []
    assert vault.used == 0


def test_a_source_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    class Breaking:
        def __init__(self) -> None:
            self.left = 2

        def read(self, size: int, /) -> bytes:
            self.left -= 1
            if not self.left:
                raise ConnectionError("line lost")
            return b"x" * 100

    vault = Vault(tmp_path, 1_000)
    with pytest.raises(ConnectionError):
        vault.put(Breaking())
    assert files(tmp_path) == []


def test_an_unknown_hash_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(VaultError) as refused:
        Vault(tmp_path, 100).open(bytes(32))
    assert refused.value.code == "vault.not_found"
    assert not Vault(tmp_path, 100).has(bytes(32))
