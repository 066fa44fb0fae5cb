"""One running system for all page tests of the points process: a demo's chain, seeded."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from apps.sharing_points.seed import seed
from tests.helpers.points_system import PointsSystem, points_system

RESIDENTS = [f"resident-{number:02d}" for number in range(1, 21)]
CLERKS = ["community-clerk-1", "community-clerk-2"]


@dataclass(frozen=True)
class Seeded:
    """The system and the ids of its seeded orders, in the order of the seed's scenes."""

    system: PointsSystem
    orders: list[str]


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeded]:
    with points_system(tmp_path_factory.mktemp("points")) as system:
        yield Seeded(system, seed(system.url, system.sign, int(time.time()), CLERKS, RESIDENTS))


@pytest.fixture
def system(seeded: Seeded) -> PointsSystem:
    return seeded.system
