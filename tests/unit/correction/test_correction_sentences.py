"""Whatever the contracts refuse with, a person reads a sentence and what to do next."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from apps.community_correction.app import contract_errors
from contracts.artifacts import artifact

ERRORS = [
    entry
    for name in ("CorrectionCases", "CorrectionDocuments")
    for entry in artifact(name)["abi"]
    if entry["type"] == "error"
]
SAMPLES: dict[str, Any] = {"bool": True, "address": "0x" + "11" * 20}


def revert(entry: dict[str, Any]) -> bytes:
    types = [item["type"] for item in entry["inputs"]]
    values = [SAMPLES.get(kind, b"\1" * int(kind[5:]) if kind.startswith("bytes") else 7) for kind in types]
    selector = keccak(text=f"{entry['name']}({','.join(types)})")[:4]
    return selector + encode(types, values)


@pytest.mark.parametrize("entry", ERRORS, ids=lambda entry: entry["name"])
def test_every_error_of_the_contracts_has_its_sentence(entry: dict[str, Any]) -> None:
    error = contract_errors().explain(revert(entry))
    assert error.code == f"contract.{entry['name']}"
    assert error.text.zh
    assert "{" not in error.text.zh + error.text.en + error.next_step.zh + error.next_step.en
    assert "合约拒绝了此操作：" not in error.text.zh, "a sentence of its own"


def test_no_sentence_is_for_an_error_that_no_contract_has() -> None:
    text = resources.files("apps.community_correction").joinpath("sentences.json").read_text("utf-8")
    assert set(json.loads(text)) <= {entry["name"] for entry in ERRORS}


def test_bytes_that_are_no_known_error_are_said_to_be_so() -> None:
    for data in (b"", b"\1\2", b"\xff" * 4, b"\xff" * 100, revert(ERRORS[0])[:-1]):
        assert contract_errors().explain(data).code == "contract.unknown"
