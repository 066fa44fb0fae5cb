"""What the nodes of a running system say of themselves, by JSON-RPC."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cli.system import SystemFault
from identity.errors import NodeError
from identity.node import NodeClient

_LOOK_S = 0.05


def ask_status(url: str) -> dict[str, Any] | None:
    """`shelian_status` of a node; ``None`` while it does not answer."""
    client = NodeClient(url, timeout=3)
    try:
        answer: dict[str, Any] = client.request("shelian_status")
        return answer
    except NodeError:
        return None
    finally:
        client.close()


def ask_all(urls: Mapping[str, str]) -> dict[str, dict[str, Any] | None]:
    """`ask_status` of each at the same moment, so that heights can be compared."""
    with ThreadPoolExecutor(len(urls)) as pool:
        return dict(zip(urls, pool.map(ask_status, urls.values()), strict=True))


def is_in_step(status: Mapping[str, Any] | None) -> bool:
    """It makes or follows blocks, has the first one, and is not behind."""
    return (
        status is not None
        and bool(status["running"])
        and not status["catchingUp"]
        and int(status["height"], 16) > 0
        and int(status["lag"], 16) <= 1
    )


def height_of(url: str) -> int:
    """0 while it does not answer."""
    status = ask_status(url)
    return 0 if status is None else int(status["height"], 16)


def wait_for_height(urls: Iterable[str], height: int, patience_s: float = 60.0) -> None:
    """Until each node holds a block: what was done through one of them is then seen at all.

    Raises SystemFault `system.node_behind`.
    """
    deadline = time.monotonic() + patience_s
    for url in urls:
        while (got := height_of(url)) < height:
            if time.monotonic() > deadline:
                raise SystemFault(
                    "system.node_behind", f"the node {url} does not come into step", got, height
                )
            time.sleep(_LOOK_S)
