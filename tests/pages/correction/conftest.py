"""One running system for the tests of this folder; each test makes its own documents in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helpers.correction_system import CorrectionSystem, correction_system


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CorrectionSystem]:
    with correction_system(tmp_path_factory.mktemp("correction")) as running:
        yield running
