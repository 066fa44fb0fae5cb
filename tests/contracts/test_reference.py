"""The documents' reference parts are written from the ABIs, and every custom error has words."""

from __future__ import annotations

from contracts.artifacts import artifact
from contracts.error_words import ERROR_WORDS
from contracts.reference import documents, updated
from contracts.system import SYSTEM_CONTRACTS


def test_the_documents_are_fresh() -> None:
    for path, part in documents().items():
        text = path.read_text(encoding="utf-8")
        assert updated(text, part) == text, path.name


def test_every_error_has_words_and_every_word_an_error() -> None:
    names = {
        item["name"]
        for contract in SYSTEM_CONTRACTS
        for item in artifact(contract.name)["abi"]
        if item["type"] == "error"
    }
    assert set(ERROR_WORDS) == names | {"Error", "Panic"}
    assert all(words.zh and words.en for words in ERROR_WORDS.values())
