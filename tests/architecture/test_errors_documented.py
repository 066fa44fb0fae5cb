"""Every error code that the source can raise is explained in docs/errors, and nothing else is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("node", "network", "contracts", "identity", "evidence", "apps", "cli")
CODE = re.compile(r"^[a-z0-9_]+(\.[a-z0-9_]+)+$")


def error_classes() -> set[str]:
    """ShelianError and every class that derives from it, by name, read from the source."""
    bases: dict[str, set[str]] = {}
    for path in python_files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                bases.setdefault(node.name, set()).update(b.id for b in node.bases if isinstance(b, ast.Name))
    found = {"ShelianError"}
    while True:
        more = {name for name, parents in bases.items() if parents & found} - found
        if not more:
            return found
        found |= more


def python_files() -> list[Path]:
    return [p for top in SOURCES for p in (ROOT / top).rglob("*.py") if "node_modules" not in p.parts]


def raised_codes() -> dict[str, str]:
    classes = error_classes()
    codes: dict[str, str] = {}
    for path in python_files():
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            first = node.args[0]
            if (
                called in classes
                and isinstance(first, ast.Constant)
                and isinstance(first.value, str)
                and CODE.match(first.value)
            ):
                codes[first.value] = f"{path.relative_to(ROOT)}:{node.lineno}"
    return codes


def documented_codes() -> dict[str, str]:
    codes: dict[str, str] = {}
    for path in sorted((ROOT / "docs" / "errors").glob("*.md")):
        for code in re.findall(r"^\|\s*`([^`]+)`\s*\|", path.read_text(), re.MULTILINE):
            codes[code] = path.name
    return codes


def test_every_code_in_the_source_is_documented() -> None:
    documented = documented_codes()
    missing = {code: where for code, where in raised_codes().items() if code not in documented}
    assert not missing, f"undocumented error codes: {missing}"


def test_the_reader_of_this_test_finds_real_codes() -> None:
    assert len(raised_codes()) > 50
