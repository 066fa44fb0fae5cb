"""What is committed is what the sources make: bytecode, ABIs, bindings, descriptors, storage layout."""

from __future__ import annotations

import re
from typing import Any

import pytest

from contracts.build import SETTINGS, artifacts, compile_sources, generated, outdated
from contracts.system import CONTRACTS_DIR, SYSTEM_CONTRACTS
from node.chain.rules import erc7201_base

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("toolchain")]

PROBE = """// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;
import {AdmissionStorage} from "./consortium/AdmissionStorage.sol";
import {IConsortium} from "./consortium/IConsortium.sol";
import {IdentityRegistry} from "./identity/IdentityRegistry.sol";
contract Probe {
    AdmissionStorage.Admission internal admission;
    AdmissionStorage.Party internal party;
    IConsortium.Rules internal rules;
    IdentityRegistry.Credential internal credential;
}
"""
"""Lays the namespaced structs out as ordinary storage, so that the compiler tells where their members lie."""


@pytest.fixture(scope="module")
def compiled() -> dict[str, Any]:
    return compile_sources()


@pytest.fixture(scope="module")
def layout() -> dict[str, Any]:
    """The probe's storage layout. A run of its own: another source would change the bytecode of the rest."""
    settings = {**SETTINGS, "outputSelection": {"src/Probe.sol": {"*": ["storageLayout"]}}}
    output = compile_sources(settings, {"src/Probe.sol": PROBE})
    found: dict[str, Any] = output["contracts"]["src/Probe.sol"]["Probe"]["storageLayout"]
    return found


def test_committed_files_are_fresh(compiled: dict[str, Any]) -> None:
    made = artifacts(compiled)
    assert outdated({**made, **generated(made)}) == []


def test_a_contract_is_its_interface_and_nothing_more(compiled: dict[str, Any]) -> None:
    for contract in SYSTEM_CONTRACTS:
        interface = compiled["contracts"][contract.interface]["I" + contract.name]["evm"]["methodIdentifiers"]
        assert compiled["contracts"][contract.source][contract.name]["evm"]["methodIdentifiers"] == interface


def members(layout: dict[str, Any], variable: str) -> list[tuple[str, int, int, str]]:
    kind = next(item["type"] for item in layout["storage"] if item["label"] == variable)
    types = layout["types"]
    return [
        (item["label"], int(item["slot"]), item["offset"], types[item["type"]]["label"])
        for item in types[kind]["members"]
    ]


def test_credentials_lie_where_admission_reads_them(layout: dict[str, Any]) -> None:
    assert members(layout, "credential") == [
        ("identity", 0, 0, "bytes16"),
        ("domain", 0, 16, "uint8"),
        ("scheme", 0, 17, "uint8"),
        ("status", 0, 18, "uint8"),
        ("flags", 0, 19, "uint8"),
        ("validFrom", 0, 20, "uint48"),
        ("validUntil", 0, 26, "uint48"),
        ("relyingParty", 1, 0, "bytes32"),
    ]


def test_the_admission_tables_lie_where_the_node_reads_them(layout: dict[str, Any]) -> None:
    assert [(label, slot) for label, slot, _, _ in members(layout, "admission")] == [
        ("parties", 0),
        ("origins", 1),
        ("callables", 2),
        ("deployers", 3),
        ("rules", 4),
        ("validatorsVersion", 5),
        ("validatorKeys", 6),
        ("powers", 7),
        ("validatorOrganisations", 8),
        ("peers", 9),
    ]
    assert members(layout, "party") == [
        ("rpIdHash", 0, 0, "bytes32"),
        ("fromHeight", 1, 0, "uint64"),
        ("untilHeight", 1, 8, "uint64"),
        ("organisation", 1, 16, "uint16"),
        ("flags", 1, 18, "uint8"),
        ("domain", 1, 19, "uint8"),
    ]
    assert [(label, slot, offset) for label, slot, offset, _ in members(layout, "rules")] == [
        ("activationHeight", 0, 0),
        ("blockGas", 0, 8),
        ("transactionGas", 0, 16),
        ("correctionGas", 0, 24),
        ("identityGas", 1, 0),
        ("maxTransactionBytes", 1, 8),
        ("byteGas", 1, 12),
        ("baseGas", 1, 16),
        ("maxCalls", 1, 20),
        ("maxValidity", 1, 22),
        ("fork", 1, 26),
        ("schemeGas", 2, 0),
    ]


@pytest.mark.parametrize(
    ("source", "constant", "namespace"),
    [
        ("src/identity/IdentityRegistry.sol", "CREDENTIALS", "shelian.identity.credentials"),
        ("src/consortium/AdmissionStorage.sol", "ADMISSION", "shelian.consortium.admission"),
    ],
)
def test_the_bases_are_the_hashes_of_their_names(source: str, constant: str, namespace: str) -> None:
    text = (CONTRACTS_DIR / source).read_text(encoding="utf-8")
    found = re.search(rf"bytes32 internal constant {constant} = (0x[0-9a-f]{{64}});", text)
    assert found is not None
    assert int(found[1], 16) == erc7201_base(namespace)
