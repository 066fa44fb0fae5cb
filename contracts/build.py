"""Compiles the contracts and keeps what is made of them up to date: `python -m contracts.build [--check]`.

One compiler run (solc from npm, see package.json) makes, per system contract, `build/<Name>.json` with the
ABI of its interface, the runtime bytecode that genesis puts at its fixed address, and its storage layout;
from the ABIs follow `bindings/` and `descriptors/`. The output is a pure function of the sources: `--check`
recompiles and fails where a committed file differs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from contracts.clear_signing import generated_descriptors
from contracts.generate import generated_bindings
from contracts.system import BINDINGS_DIR, BUILD_DIR, CONTRACTS_DIR, DESCRIPTORS_DIR, SYSTEM_CONTRACTS
from node.chain.errors import ShelianError

SOLC: Final = CONTRACTS_DIR / "tools" / "solc"
SETTINGS: Final[dict[str, Any]] = {
    "evmVersion": "cancun",
    "optimizer": {"enabled": True, "runs": 1_000_000},
    "viaIR": True,
    "metadata": {"appendCBOR": False, "bytecodeHash": "none"},
    "outputSelection": {
        "*": {"*": ["abi", "evm.deployedBytecode.object", "evm.methodIdentifiers", "storageLayout"]}
    },
}


class BuildError(ShelianError):
    """The toolchain is absent or the compiler refused the sources."""


def compile_sources(
    settings: dict[str, Any] = SETTINGS, extra: dict[str, str] | None = None
) -> dict[str, Any]:
    """solc's output for src/ and `extra` (path to text); BuildError with the compiler's own words."""
    if not (CONTRACTS_DIR / "node_modules" / "solc").is_dir():
        raise BuildError("contracts.toolchain_missing", "run `npm ci` in contracts/", str(CONTRACTS_DIR))
    sources = {
        path.relative_to(CONTRACTS_DIR).as_posix(): {"content": path.read_text(encoding="utf-8")}
        for path in sorted((CONTRACTS_DIR / "src").rglob("*.sol"))
    }
    sources |= {path: {"content": text} for path, text in (extra or {}).items()}
    request = json.dumps({"language": "Solidity", "sources": sources, "settings": settings})
    done = subprocess.run(
        [str(SOLC), "--standard-json"],
        input=request.encode(),
        capture_output=True,
        cwd=CONTRACTS_DIR,
        check=False,
    )
    if done.returncode != 0:
        raise BuildError("contracts.compiler_failed", done.stderr.decode(errors="replace")[-2000:])
    output: dict[str, Any] = json.loads(done.stdout)
    problems = [item["formattedMessage"] for item in output.get("errors", []) if item["severity"] != "info"]
    if problems:
        raise BuildError("contracts.compiler_refused", "\n".join(problems))
    return output


def artifacts(output: dict[str, Any]) -> dict[Path, str]:
    """File name and text of each artifact."""
    compiled = output["contracts"]
    files: dict[Path, str] = {}
    for contract in SYSTEM_CONTRACTS:
        interface = compiled[contract.interface]["I" + contract.name]
        artifact: dict[str, Any] = {
            "contract": contract.name,
            "address": "0x" + contract.address.hex(),
            "abi": interface["abi"],
        }
        if contract.source in compiled:
            code = compiled[contract.source][contract.name]
            artifact["runtime"] = "0x" + code["evm"]["deployedBytecode"]["object"]
            artifact["storage"] = _layout(code["storageLayout"])
        files[BUILD_DIR / f"{contract.name}.json"] = json.dumps(artifact, indent=1, sort_keys=True) + "\n"
    return files


def _layout(layout: dict[str, Any]) -> list[dict[str, Any]]:
    # By the types' own names: the compiler's identifiers hold numbers that change with unrelated sources.
    types = layout["types"] or {}
    return [
        {
            "label": item["label"],
            "slot": int(item["slot"]),
            "offset": item["offset"],
            "type": types[item["type"]]["label"],
        }
        for item in layout["storage"]
    ]


def generated(made: dict[Path, str]) -> dict[Path, str]:
    """File and text of everything generated from these artifacts: bindings and clear-signing descriptors."""
    by_name = {path.stem: json.loads(text) for path, text in made.items()}
    return {**generated_bindings(by_name), **generated_descriptors(by_name)}


def outdated(files: dict[Path, str]) -> list[Path]:
    """The files whose text on disk is not this one, and committed files that no source makes any more."""
    stale = [
        path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    present = {*BUILD_DIR.glob("*.json"), *BINDINGS_DIR.glob("[!_]*.py"), *DESCRIPTORS_DIR.glob("*.json")}
    return sorted({*stale, *(present - set(files))})


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m contracts.build", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="compare with the committed files, write nothing"
    )
    options = parser.parse_args(arguments)
    try:
        made = artifacts(compile_sources())
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    files = {**made, **generated(made)}
    stale = outdated(files)
    if options.check:
        for path in stale:
            print(f"not fresh: {path.relative_to(CONTRACTS_DIR)}", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        if path in files:
            path.parent.mkdir(exist_ok=True)
            path.write_text(files[path], encoding="utf-8")
        else:
            path.unlink()
        print(f"written: {path.relative_to(CONTRACTS_DIR)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
