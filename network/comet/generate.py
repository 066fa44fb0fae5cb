"""abci_pb2.py and abci_pb2.pyi, made from abci.proto by the protoc of grpcio-tools (needed here only).

`python -m network.comet.generate` writes them; with `--check` it writes nothing and says whether they are
what this protoc makes. Generated code refuses a protobuf runtime older than the protoc that made it, and
names that version at its top: setup.cfg asks for at least that one, and for the same major version.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
SOURCE: Final = Path("network/comet/abci.proto")
MADE: Final = (SOURCE.with_name("abci_pb2.py"), SOURCE.with_name("abci_pb2.pyi"))
"""Below ROOT. protoc derives the descriptor's name and the places of its outputs from the source's."""

HEADER: Final = """# Made by python -m network.comet.generate; do not edit.
# ruff: noqa
# fmt: off
# mypy: disable-error-code="type-arg"
"""


class GeneratorFailed(Exception):
    """protoc is missing, or refuses the source; the text is what it said."""


def generated() -> dict[Path, str]:
    """Each file below ROOT and its text. Raises GeneratorFailed."""
    with tempfile.TemporaryDirectory() as directory:
        made = Path(directory)
        run = subprocess.run(
            [
                *(sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT}"),
                *(f"--python_out={made}", f"--pyi_out={made}", str(SOURCE)),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        if run.returncode:
            raise GeneratorFailed(run.stderr.strip())
        return {path: HEADER + (made / path).read_text(encoding="utf-8") for path in MADE}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m network.comet.generate", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="compare with the committed files, write nothing"
    )
    options = parser.parse_args(arguments)
    try:
        files = generated()
    except GeneratorFailed as error:
        print(error, file=sys.stderr)
        return 1
    stale = 0
    for path, text in files.items():
        target = ROOT / path
        if target.exists() and target.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        if options.check:
            print(f"not fresh: {path}", file=sys.stderr)
        else:
            target.write_text(text, encoding="utf-8")
            print(f"written: {path}")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
