"""`shelian accounts`: key files of this machine. A person's key is made here, on the person's own machine,
and stays here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.output import AsJson, result, say
from identity.errors import KeyFileError
from identity.keys import KEY_ALGORITHMS, X25519, generate_key
from identity.keystore import SUFFIX, KeyFile, list_key_files, load_key_file, save_key

app = typer.Typer(no_args_is_help=True, help="密钥文件 key files of this machine")

Directory = Annotated[Path, typer.Option("--keys", help="directory of key files")]


@app.command("list")
def list_(keys: Directory = Path("keys"), as_json: AsJson = False) -> None:
    """List the key files of a directory: label, algorithm, address."""
    files = list_key_files(keys)
    result(
        {"ok": True, "accounts": [_row(file) for file in files]},
        as_json=as_json,
        text="\n".join(_line(file) for file in files) or f"没有密钥文件 no key files in {keys}",
    )


@app.command("show")
def show(path: Annotated[Path, typer.Argument(help="a key file")], as_json: AsJson = False) -> None:
    """Show the public part of one key file; no passphrase is asked for."""
    file = load_key_file(path)
    result({"ok": True, "account": _row(file)}, as_json=as_json, text=_line(file))


@app.command("create")
def create(
    label: Annotated[str, typer.Argument(help="what you call the key; also the file's name")],
    keys: Directory = Path("keys"),
    algorithm: Annotated[
        str,
        typer.Option(
            help="people sign with ed25519, es256, sm2 (国密) or ml-dsa-65 (抗量子); "
            "services with secp256k1; others: webauthn-p256, x25519"
        ),
    ] = "ed25519",
    passphrase_file: Annotated[
        Path | None, typer.Option(help="read the passphrase from this file instead of asking")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a new key and write it under a passphrase (Argon2id). The key is not known to any chain until two
    registrars enrol it."""
    chosen = KEY_ALGORITHMS.get(algorithm)
    if chosen is None:
        raise KeyFileError(
            "key.unknown_algorithm",
            "a key algorithm that is not known here",
            got=algorithm,
            expected=sorted(KEY_ALGORITHMS),
        )
    if passphrase_file is not None:
        passphrase = passphrase_file.read_text().rstrip("\n")
    else:
        passphrase = typer.prompt("口令 passphrase", hide_input=True, confirmation_prompt=True)
    keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = save_key(
        keys / f"{label}{SUFFIX}", generate_key(chosen), passphrase, purpose="production", label=label
    )
    say("请另行保管口令:没有口令,密钥无法恢复。Keep the passphrase: without it the key cannot be recovered.")
    result({"ok": True, "account": _row(file)}, as_json=as_json, text=_line(file))


def _row(file: KeyFile) -> dict[str, object]:
    return {
        "path": str(file.path),
        "label": file.label,
        "algorithm": file.algorithm.name,
        "purpose": file.purpose,
        "public_key": file.public_key,
        "address": None if file.algorithm is X25519 else file.address,
    }


def _line(file: KeyFile) -> str:
    address = "—" if file.algorithm is X25519 else "0x" + file.address.hex()
    return f"{file.label:<28} {file.algorithm.name:<14} {address:<44} {file.purpose}"
