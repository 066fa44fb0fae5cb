"""Writes the reference parts of the documents: `python -m contracts.reference [--check]`.

They follow from the ABIs and the tables of words.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from contracts.artifacts import artifact
from contracts.clear_signing import readable_signature, signed_functions, words_of
from contracts.error_words import ERROR_WORDS
from contracts.system import CONTRACTS_DIR, SYSTEM_CONTRACTS

DOCS: Final = CONTRACTS_DIR.parent / "docs"
START: Final = "<!-- reference: written by python -m contracts.reference -->"
END: Final = "<!-- end of reference -->"

_SIGNERS: Final = {"person": "a person", "service": "a service", "vote": "vote or genesis"}


def functions_and_events() -> str:
    """Per contract: what can be signed, what can be read, what is logged."""
    parts: list[str] = []
    for contract in SYSTEM_CONTRACTS:
        abi = artifact(contract.name)["abi"]
        parts += [f"### {contract.name} `0x…{contract.address[-2:].hex()}`", ""]
        parts += ["| function | by | what |", "|---|---|---|"]
        for item in signed_functions(contract.name, abi):
            label, signer = words_of(contract.name, item["name"])
            parts += [f"| `{readable_signature(item)}` | {_SIGNERS[signer]} | {label.zh} / {label.en} |"]
        views = sorted(
            f"`{readable_signature(item)}`"
            for item in abi
            if item["type"] == "function" and item["stateMutability"] in ("view", "pure")
        )
        events = sorted(f"`{_event(item)}`" for item in abi if item["type"] == "event")
        parts += ["", "Reads: " + ", ".join(views) + ".", "", "Events: " + ", ".join(events) + ".", ""]
    return "\n".join(parts).rstrip()


def _event(item: dict[str, object]) -> str:
    inputs: list[dict[str, object]] = item["inputs"]  # type: ignore[assignment]
    return f"{item['name']}({', '.join(str(part['name']) for part in inputs)})"


def errors() -> str:
    """The table of custom errors: name with its values, contracts, words."""
    found: dict[str, list[str]] = {}
    for contract in SYSTEM_CONTRACTS:
        for item in artifact(contract.name)["abi"]:
            if item["type"] == "error":
                values = ", ".join(part["name"].rstrip("_") for part in item["inputs"])
                found.setdefault(f"{item['name']}({values})", []).append(contract.name)
    rows = ["| error | contracts | 含义 | meaning and what to do |", "|---|---|---|---|"]
    for text, names in sorted(found.items()):
        words = ERROR_WORDS[text.partition("(")[0]]
        where = "all" if len(names) == len(SYSTEM_CONTRACTS) else ", ".join(names)
        rows.append(f"| `{text}` | {where} | {words.zh} | {words.en} |")
    return "\n".join(rows)


def updated(text: str, part: str) -> str:
    """The document with `part` between its markers; ValueError if a marker is missing."""
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise ValueError("the document has no place for the reference")
    return f"{before}{START}\n\n{part}\n\n{END}{after}"


def documents() -> dict[Path, str]:
    """Each document and the part that is written into it."""
    return {DOCS / "CONTRACTS.md": functions_and_events(), DOCS / "errors" / "contracts.md": errors()}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m contracts.reference", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the documents, write nothing")
    options = parser.parse_args(arguments)
    stale = 0
    for path, part in documents().items():
        old = path.read_text(encoding="utf-8")
        new = updated(old, part)
        if new == old:
            continue
        stale += 1
        if options.check:
            print(
                f"the reference in {path.name} is not fresh: run python -m contracts.reference",
                file=sys.stderr,
            )
        else:
            path.write_text(new, encoding="utf-8")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
