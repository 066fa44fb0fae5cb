"""Options that several commands of `shelian consortium` have, and where their passphrases come from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from cli.passphrase import PASSPHRASE_FILE, passphrase_for

KeysDirectory = Annotated[Path, typer.Option("--keys", help="密钥目录 the agency's directory of `keygen`")]
GenesisFile = Annotated[Path, typer.Argument(help="创世文件 genesis.json; its record lies beside it")]
Enrolments = Annotated[
    list[Path] | None,
    typer.Option("--enrolment", help="登记文件, 每家一份 every member's, in place of the record's"),
]
Signatures = Annotated[
    list[Path] | None, typer.Option("--signature", help="签名文件, 可多次 repeatable, besides the record's")
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(help=f"read the passphrase from this file (or from {PASSPHRASE_FILE}) instead of asking"),
]


def passphrase_of(purpose: str, file: Path | None) -> str:
    """The passphrase of a key that is there: from the file, the environment, or the person at the machine."""
    if purpose == "production" and file is None and PASSPHRASE_FILE not in os.environ:
        return str(typer.prompt("口令 passphrase", hide_input=True, err=True))
    return passphrase_for(purpose, file)


def new_passphrase(file: Path | None) -> str:
    """The passphrase of a key to be made; typed twice."""
    if file is None and PASSPHRASE_FILE not in os.environ:
        return str(typer.prompt("新口令 new passphrase", hide_input=True, confirmation_prompt=True, err=True))
    return passphrase_for("production", file)
