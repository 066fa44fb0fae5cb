"""The system contracts: name, fixed address, source files. Everything in `contracts` starts from here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

CONTRACTS_DIR: Final = Path(__file__).resolve().parent
BUILD_DIR: Final = CONTRACTS_DIR / "build"
BINDINGS_DIR: Final = CONTRACTS_DIR / "bindings"
DESCRIPTORS_DIR: Final = CONTRACTS_DIR / "descriptors"

SYSTEM: Final = bytes.fromhex("fffffffffffffffffffffffffffffffffffffffe")
"""Caller of the genesis calls; no key has this address, so nobody can sign as it."""


@dataclass(frozen=True, slots=True)
class SystemContract:
    """`source` and `interface` are paths under contracts/, `module` is the name of its binding."""

    name: str
    address: bytes
    folder: str
    module: str

    @property
    def source(self) -> str:
        return f"src/{self.folder}/{self.name}.sol"

    @property
    def interface(self) -> str:
        return f"src/{self.folder}/I{self.name}.sol"


def _contract(name: str, number: int, folder: str, module: str) -> SystemContract:
    return SystemContract(name, number.to_bytes(20, "big"), folder, module)


SYSTEM_CONTRACTS: Final = (
    _contract("Consortium", 0x5101, "consortium", "consortium"),
    _contract("IdentityRegistry", 0x5102, "identity", "identity_registry"),
    _contract("CorrectionCases", 0x5103, "correction", "correction_cases"),
    _contract("CorrectionDocuments", 0x5104, "correction", "correction_documents"),
    _contract("LoveBank", 0x5105, "sharing", "love_bank"),
    _contract("SharingOrders", 0x5106, "sharing", "sharing_orders"),
    _contract("Anchors", 0x5107, "anchors", "anchors"),
)
