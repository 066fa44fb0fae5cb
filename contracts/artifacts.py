"""Loads the committed artifacts: what genesis puts at the fixed addresses."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from contracts.system import BUILD_DIR, SYSTEM_CONTRACTS
from node.chain.errors import ShelianError


class ArtifactError(ShelianError):
    """No such system contract, or an artifact without code."""


@cache
def artifact(name: str) -> dict[str, Any]:
    """The artifact of a system contract: `contract`, `address`, `abi`, `runtime`, `storage`."""
    if name not in {contract.name for contract in SYSTEM_CONTRACTS}:
        raise ArtifactError("contracts.unknown", "no system contract of this name", name)
    loaded: dict[str, Any] = json.loads((BUILD_DIR / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def runtime_code(name: str) -> bytes:
    """The runtime bytecode of a system contract."""
    code = bytes.fromhex(artifact(name)["runtime"][2:])
    if not code:
        raise ArtifactError("contracts.no_code", "the artifact holds no code", name)
    return code
