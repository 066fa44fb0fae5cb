"""The published opcode table is measured, complete and current."""

from __future__ import annotations

from contracts.artifacts import artifact
from contracts.budget import DOCUMENT, measure, table
from contracts.clear_signing import VOTE, signed_functions
from contracts.system import SYSTEM_CONTRACTS

VOTED = {
    "addOrganisation",
    "resumeOrganisation",
    "setRelyingParty",
    "setOrigin",
    "setCallable",
    "setDeployer",
    "addRules",
    "installRegistrar",
    "removeRegistrar",
    "setParameters",
}
"""Run once in years; `execute` shows what a vote costs."""

ENTRIES = measure()


def test_the_table_in_the_document_is_fresh() -> None:
    assert table(ENTRIES) in DOCUMENT.read_text(encoding="utf-8")


def test_every_function_people_and_services_send_is_measured() -> None:
    measured = {(entry.contract, entry.function) for entry in ENTRIES}
    expected = {
        (contract.name, item["name"])
        for contract in SYSTEM_CONTRACTS
        for item in signed_functions(contract.name, artifact(contract.name)["abi"])
        if item["name"] not in VOTED
    }
    # withdrawing is the same inherited function in three contracts, measured in one
    assert {entry for entry in expected if entry[1] != "withdrawRequest"} <= measured
    assert any(function == "withdrawRequest" for _, function in measured)
    assert VOTE == "vote"


def test_a_daily_step_stays_lean() -> None:
    """The steps of a document and of an order, taken thousands of times a day."""
    for entry in ENTRIES:
        if entry.contract in ("CorrectionDocuments", "SharingOrders") and entry.function != "setRule":
            assert entry.cost.opcodes < 1_400, entry
