"""The directory of one node's CometBFT, `DATA/node/comet`, and what lies in it.

    settings.json                    what the operator decided (CometSettings)
    config/config.toml               written anew at each start
    config/genesis.json              likewise, from our genesis
    config/node_key.json             who this node is to its peers
    config/priv_validator_key.json   what it signs blocks with
    data/priv_validator_state.json   what it signed last; made once, never copied, never restored
    data/                            CometBFT's own: blocks, state, write-ahead log
    abci.sock                        where the ledger listens

The directory's presence makes a node one of a consortium.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from network.comet.configuration import render_configuration
from network.comet.faults import CometFault
from network.comet.keyfiles import (
    create_validator_state,
    encode_public_key,
    load_public_key,
    node_id,
    replace_file,
    save_node_key,
    save_validator_key,
)
from network.comet.settings import CometSettings, StateSync, decode_settings, encode_settings
from node.chain.encoding import sha256
from node.chain.genesis import Genesis
from node.chain.validators import validator_address

__all__ = [
    "CometPlace",
    "CometSettings",
    "StateSync",
    "comet_genesis",
    "load_node_key",
    "load_settings",
    "load_validator_key",
    "make_home",
    "node_id",
    "save_settings",
    "write_configuration",
]

_MAX_SOCKET_BYTES: Final = 100
"""Linux takes 107 bytes of path; some room is left."""
_SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class CometPlace:
    """Where one node's CometBFT lies; `directory` is absolute."""

    directory: Path

    @property
    def settings_file(self) -> Path:
        return self.directory / "settings.json"

    @property
    def config_file(self) -> Path:
        return self.directory / "config" / "config.toml"

    @property
    def genesis_file(self) -> Path:
        return self.directory / "config" / "genesis.json"

    @property
    def node_key_file(self) -> Path:
        return self.directory / "config" / "node_key.json"

    @property
    def validator_key_file(self) -> Path:
        return self.directory / "config" / "priv_validator_key.json"

    @property
    def validator_state_file(self) -> Path:
        return self.directory / "data" / "priv_validator_state.json"

    @property
    def wal_directory(self) -> Path:
        """CometBFT's write-ahead log of consensus."""
        return self.directory / "data" / "cs.wal"

    @property
    def abci_socket(self) -> Path:
        """Below the directory, or, where that is too long a path, in a directory of our own for run files."""
        near = self.directory / "abci.sock"
        if len(os.fsencode(near)) <= _MAX_SOCKET_BYTES:
            return near
        base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
        return base / f"shelian-{sha256(os.fsencode(self.directory))[:8].hex()}" / "abci.sock"

    @property
    def exists(self) -> bool:
        return self.settings_file.exists()


def make_home(place: CometPlace, settings: CometSettings, node_key: bytes, validator_key: bytes) -> None:
    """Directories of mode 0700, key files from the two Ed25519 seeds (32 bytes each), and the settings.

    Doing it again with the same keys changes nothing but the settings. Raises CometFault `comet.key_exists`
    where other keys lie.
    """
    for directory in (place.directory, place.config_file.parent, place.validator_state_file.parent):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    save_node_key(place.node_key_file, node_key)
    save_validator_key(place.validator_key_file, validator_key)
    create_validator_state(place.validator_state_file)
    save_settings(place, settings)


def save_settings(place: CometPlace, settings: CometSettings) -> None:
    """In force at the next start."""
    text = json.dumps(encode_settings(settings), indent=1)
    replace_file(place.settings_file, text.encode() + b"\n")


def load_settings(place: CometPlace) -> CometSettings:
    """Raises CometFault `comet.settings_missing` and what `decode_settings` raises."""
    try:
        data = place.settings_file.read_bytes()
    except OSError as error:
        raise CometFault(
            "comet.settings_missing", "the settings cannot be read", str(error), str(place.settings_file)
        ) from None
    return decode_settings(data)


def load_node_key(place: CometPlace) -> bytes:
    """The node's public key, 32 bytes. Raises what `keyfiles.load_public_key` raises."""
    return load_public_key(place.node_key_file)


def load_validator_key(place: CometPlace) -> bytes:
    """The validator's public key, 32 bytes. Raises what `keyfiles.load_public_key` raises."""
    return load_public_key(place.validator_key_file)


def write_configuration(place: CometPlace, settings: CometSettings, genesis: Genesis) -> None:
    """config.toml and genesis.json, and the directory of the socket, before the application listens.

    CometBFT keeps the genesis of its first start in its own database and reads the file no more:
    `CometClient.check_genesis` tells whether that is this one.

    Raises CometFault `comet.key_missing`, `comet.key_exposed`, `comet.key_malformed`,
    `comet.socket_directory`, `comet.configuration_shadowed`.
    """
    shadows = sorted(str(path) for path in place.directory.glob("config.*"))
    if shadows:
        raise CometFault(
            "comet.configuration_shadowed",
            "CometBFT would read this file in place of config/config.toml",
            shadows,
            "no such file",
        )
    own_id = node_id(load_node_key(place))
    load_validator_key(place)
    socket = place.abci_socket
    if socket.parent != place.directory:
        _make_private(socket.parent)
    document = json.dumps(comet_genesis(genesis), indent=1, ensure_ascii=False)
    replace_file(place.genesis_file, document.encode() + b"\n")
    scratch = place.validator_state_file.parent
    text = render_configuration(settings, genesis, own_id, socket, scratch)
    replace_file(place.config_file, text.encode())


def comet_genesis(genesis: Genesis) -> dict[str, Any]:
    """CometBFT's genesis.json: the same on every node, since it follows from ours alone.

    The hash of ours stands in `app_state`, so a node of another chain is noticed at InitChain and over RPC.
    """
    params = genesis.consensus_params
    return {
        "genesis_time": _rfc3339(genesis.genesis_time_ns),
        "chain_id": genesis.chain_name,
        "initial_height": str(genesis.initial_height),
        "consensus_params": {
            "block": {"max_bytes": str(params.block_max_bytes), "max_gas": str(params.block_max_gas)},
            "evidence": {
                "max_age_num_blocks": str(params.evidence_max_age_num_blocks),
                "max_age_duration": str(params.evidence_max_age_duration_ns),
                "max_bytes": str(params.evidence_max_bytes),
            },
            "validator": {"pub_key_types": ["ed25519"]},
            "version": {"app": str(genesis.rules.version)},
            "abci": {"vote_extensions_enable_height": "0"},
        },
        "validators": [
            {
                "address": validator_address(one.public_key).hex().upper(),
                "pub_key": encode_public_key(one.public_key),
                "power": str(one.power),
                "name": one.name,
            }
            for one in genesis.validators
        ],
        "app_hash": "",
        "app_state": {"genesis_hash": "0x" + genesis.hash.hex()},
    }


def _rfc3339(time_ns: int) -> str:
    seconds, nanoseconds = divmod(time_ns, _SECOND_NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"


def _make_private(directory: Path) -> None:
    """A directory only we can look into. Others may write beside it, so what lies there is not trusted."""
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or mode & 0o077:
        raise CometFault(
            "comet.socket_directory",
            f"somebody else made {directory}",
            {"owner": found.st_uid, "mode": oct(mode)},
            {"owner": os.geteuid(), "mode": "0o700"},
        )
