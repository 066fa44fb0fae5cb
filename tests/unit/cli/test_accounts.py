"""`shelian accounts`: keys are made and listed on this machine, never plain."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.accounts import app

runner = CliRunner()


def test_a_created_key_is_listed_and_its_secret_is_not_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "pass").write_text("correct horse battery\n")
    made = runner.invoke(
        app,
        ["create", "clerk", "--keys", str(tmp_path), "--passphrase-file", str(tmp_path / "pass"), "--json"],
    )
    assert made.exit_code == 0, made.output
    account = json.loads(made.stdout)["account"]
    listed = runner.invoke(app, ["list", "--keys", str(tmp_path), "--json"])
    assert json.loads(listed.stdout)["accounts"] == [account]
    stored = json.loads((tmp_path / "clerk.key.json").read_text())
    assert stored["kdf"]["name"] == "argon2id13"
    assert "secret" not in stored


@pytest.mark.parametrize(("algorithm", "key_bytes"), [("sm2", 64), ("ml-dsa-65", 1_952), ("es256", 64)])
def test_staff_choose_how_they_sign(tmp_path: Path, algorithm: str, key_bytes: int) -> None:
    (tmp_path / "pass").write_text("correct horse battery\n")
    options = ["--keys", str(tmp_path), "--passphrase-file", str(tmp_path / "pass"), "--json"]
    made = runner.invoke(app, ["create", "clerk", "--algorithm", algorithm, *options])
    account = json.loads(made.stdout)["account"]
    assert account["algorithm"] == algorithm
    assert len(account["public_key"]) == 2 + 2 * key_bytes


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "pass").write_text("correct horse battery\n")
    arguments = ["create", "clerk", "--keys", str(tmp_path), "--passphrase-file", str(tmp_path / "pass")]
    assert runner.invoke(app, arguments).exit_code == 0
    before = (tmp_path / "clerk.key.json").read_bytes()
    again = runner.invoke(app, arguments)
    assert getattr(again.exception, "code", None) == "key.exists"
    assert (tmp_path / "clerk.key.json").read_bytes() == before


def test_a_short_passphrase_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pass").write_text("short\n")
    refused = runner.invoke(
        app, ["create", "clerk", "--keys", str(tmp_path), "--passphrase-file", str(tmp_path / "pass")]
    )
    assert getattr(refused.exception, "code", None) == "key.weak_passphrase"
    assert not (tmp_path / "clerk.key.json").exists()
