"""Whatever a person signs has words: every function, every argument, in Chinese and English."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from contracts.artifacts import artifact
from contracts.clear_signing import PERSON, SERVICE, VOTE, readable_signature, signed_functions
from contracts.generate import canonical
from contracts.system import DESCRIPTORS_DIR, SYSTEM_CONTRACTS

NAMES = [contract.name for contract in SYSTEM_CONTRACTS]
NEVER_SIGNED = {
    "installIdentity",
    "setOrganisation",
    "setOrganisationKind",
    "hold",
    "settle",
    "transfer",
    "approve",
    "transferFrom",
}


def load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((DESCRIPTORS_DIR / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


@pytest.mark.parametrize("name", NAMES)
def test_every_function_that_changes_something_has_a_descriptor(name: str) -> None:
    changing = {
        item["name"]: readable_signature(item)
        for item in artifact(name)["abi"]
        if item["type"] == "function" and item["stateMutability"] not in ("view", "pure")
    }
    described = set(load(name)["display"]["formats"])
    missing = {function for function, text in changing.items() if text not in described}
    if name != "LoveBank":
        assert missing <= NEVER_SIGNED - {"approve"}
    assert missing <= NEVER_SIGNED


@pytest.mark.parametrize("name", NAMES)
def test_every_argument_is_shown_in_both_languages(name: str) -> None:
    descriptor = load(name)
    formats = descriptor["display"]["formats"]
    for item in signed_functions(name, artifact(name)["abi"]):
        shown = formats[readable_signature(item)]
        assert shown["signer"] in (PERSON, SERVICE, VOTE)
        assert_both(shown["intent"])
        paths = {field["path"].removesuffix(".[]") for field in shown["fields"]}
        assert paths == set(leaves(item["inputs"], ""))
        for field in shown["fields"]:
            assert_both(field["label"])
            reference = field["params"].get("$ref")
            if reference:
                table = descriptor["metadata"]["enums"][reference.removeprefix("$.metadata.enums.")]
                assert table
                for label in table.values():
                    assert_both(label)
            if "zero" in field["params"]:
                assert_both(field["params"]["zero"])


def leaves(inputs: list[dict[str, Any]], prefix: str) -> list[str]:
    found: list[str] = []
    for item in inputs:
        path = prefix + item["name"]
        found += leaves(item["components"], f"{path}.") if item["type"] == "tuple" else [path]
    return found


def assert_both(label: dict[str, str]) -> None:
    assert set(label) == {"zh", "en"}
    assert label["zh"]
    assert label["en"]


@pytest.mark.parametrize("name", NAMES)
def test_the_key_of_a_format_is_the_function(name: str) -> None:
    described = load(name)["display"]["formats"]
    for item in signed_functions(name, artifact(name)["abi"]):
        text = readable_signature(item)
        assert text in described
        without_names = re.sub(r" \w+", "", text)
        assert without_names == f"{item['name']}({','.join(canonical(part) for part in item['inputs'])})"


def test_a_code_is_named_as_people_name_it() -> None:
    codes = load("CorrectionDocuments")["metadata"]["enums"]["documentCode"]
    assert codes["7"]["zh"].startswith("D07 判决书")
    assert codes["0"]["zh"] == "限制类文书"
