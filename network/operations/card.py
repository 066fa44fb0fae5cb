"""A node's card: where its ports are and who runs it, in a file beside the ledger.

`shelian node status` and `shelian doctor` find a node by it. It stays when the node ends, however it ends:
then it tells which ports were used last.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

_NAME: Final = "card.json"
_MAX_BYTES: Final = 16_384


@dataclass(frozen=True, slots=True)
class NodeCard:
    """`operations_url` None: there is no operations port; `ledger`: the directory it has open."""

    pid: int
    rpc_url: str
    operations_url: str | None
    ledger: str


def card_file(node_directory: Path) -> Path:
    """`node_directory`: DATA/node."""
    return node_directory / _NAME


def save_card(node_directory: Path, card: NodeCard) -> None:
    """A disk that takes no more is no reason not to run, so nothing is raised."""
    path = card_file(node_directory)
    with suppress(OSError):
        temporary = path.with_name(path.name + ".new")
        temporary.write_text(json.dumps(asdict(card), indent=1) + "\n")
        temporary.replace(path)


def load_card(node_directory: Path) -> NodeCard | None:
    """None if there is no sound one."""
    try:
        with card_file(node_directory).open("rb") as file:
            return NodeCard(**json.loads(file.read(_MAX_BYTES)))
    except (OSError, ValueError, TypeError):
        return None


def is_running(card: NodeCard | None, proc: Path = Path("/proc")) -> bool:
    """Whether the process on the card is still a node: a number may have gone to another program since."""
    if card is None:
        return False
    try:
        os.kill(card.pid, 0)
        return b"node" in (proc / str(card.pid) / "cmdline").read_bytes()
    except PermissionError:
        return True
    except OSError:
        return False
