from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helpers.rpc_node import RunningNode, running_node


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node with default limits, kept for a module's tests."""
    with running_node(tmp_path_factory.mktemp("node")) as running:
        yield running


@pytest.fixture(scope="module")
def sample(node: RunningNode) -> str:
    """Address of a Sample contract on `node`."""
    return node.deploy()
