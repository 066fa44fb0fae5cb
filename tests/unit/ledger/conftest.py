"""A fresh test chain for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.ledger import Chain


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    chain = Chain.create(tmp_path / "ledger")
    yield chain
    chain.close()
