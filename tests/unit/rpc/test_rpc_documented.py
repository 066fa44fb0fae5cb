"""docs/JSON-RPC.md and docs/errors/rpc.md describe what there is, all of it and nothing else."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from node.rpc.config import Limits
from node.rpc.method import REQUIRED
from node.rpc.methods import METHODS

ROOT = Path(__file__).resolve().parents[3]
REFERENCE = (ROOT / "docs" / "JSON-RPC.md").read_text()


def documented_methods() -> dict[str, str]:
    """The section of each method, whose heading is `### name(parameters)`."""
    parts = re.split(r"^### `(\w+)\(([^)]*)\)`$", REFERENCE, flags=re.MULTILINE)
    return dict(zip(parts[1::3], parts[2::3], strict=True))


def test_every_method_is_documented_with_its_parameters_and_no_other() -> None:
    described = documented_methods()
    actual = {
        name: ", ".join(
            parameter.name if parameter.default is REQUIRED else f"{parameter.name}?"
            for parameter in method.parameters
        )
        for name, method in METHODS.items()
    }
    assert described == actual


def test_every_limit_is_documented_with_its_default() -> None:
    defaults = Limits()
    for name in Limits.__dataclass_fields__:
        value = getattr(defaults, name)
        text = f"{value.per_second:,}/s, {value.burst:,}" if hasattr(value, "burst") else f"{value:,}"
        assert f"| `{name}` | {text} |" in REFERENCE, f"{name} = {text}"


def test_every_error_code_of_the_server_is_documented_and_no_other() -> None:
    rows = re.findall(
        r"^\|\s*`([^`]+)`\s*\|", (ROOT / "docs" / "errors" / "rpc.md").read_text(), re.MULTILINE
    )
    used = {
        node.value
        for path in (ROOT / "node" / "rpc").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"rpc(\.[a-z0-9_]+)+", node.value)
    }
    assert len(rows) == len(set(rows))
    assert set(rows) == used
