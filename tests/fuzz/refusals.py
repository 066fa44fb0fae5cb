"""What every refusal owes its reader: a documented code, and got and expected that JSON can carry."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

from node.chain.errors import ShelianError

_ERRORS = Path(__file__).resolve().parents[2] / "docs" / "errors"
_ROW = re.compile(r"^\|\s*`([^`]+)`\s*\|", re.MULTILINE)


@cache
def documented_codes() -> frozenset[str]:
    return frozenset(code for page in _ERRORS.glob("*.md") for code in _ROW.findall(page.read_text()))


def check_refusal(error: ShelianError) -> None:
    assert error.code in documented_codes(), f"undocumented code {error.code}"
    shown = error.as_dict()
    assert set(shown) == {"code", "message", "got", "expected"}
    assert isinstance(error.message, str)
    assert error.message
    json.dumps(shown, allow_nan=False)
