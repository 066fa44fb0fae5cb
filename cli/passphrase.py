"""Where the passphrase of a machine's key comes from: a file of the operator's, never the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from identity.demo.cast import DEMO_PASSPHRASE
from identity.errors import KeyFileError

PASSPHRASE_FILE: Final = "SHELIAN_PASSPHRASE_FILE"  # noqa: S105 (a variable's name)
"""Environment variable: path of the file; systemd's LoadCredential makes one that only the service reads."""


def passphrase_for(purpose: str, file: Path | None) -> str:
    """The passphrase of this machine's keys; a demo's is public.

    Raises KeyFileError `key.no_passphrase`.
    """
    if purpose == "demo":
        return DEMO_PASSPHRASE
    path = file or (Path(os.environ[PASSPHRASE_FILE]) if PASSPHRASE_FILE in os.environ else None)
    if path is None:
        raise KeyFileError(
            "key.no_passphrase",
            "the machine's key needs a passphrase",
            None,
            f"--passphrase-file or {PASSPHRASE_FILE}",
        )
    try:
        return path.read_text().rstrip("\n")
    except OSError as error:
        raise KeyFileError(
            "key.no_passphrase", "the passphrase file cannot be read", str(error), path
        ) from None
