"""What the nodes and services of a running system say of themselves."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Final

import httpx

from cli.system import SystemFault

_LOOK_S: Final = 0.05
_TIMEOUT_S: Final = 3.0
_STATUS: Final = {"jsonrpc": "2.0", "id": 1, "method": "shelian_status", "params": []}


@cache
def _http() -> httpx.Client:
    """One for all questions: making one reads the machine's certificates, which takes longer than asking."""
    return httpx.Client(timeout=_TIMEOUT_S, trust_env=False)


def is_well(url: str) -> bool:
    """Whether a service's health page says so."""
    try:
        return _http().get(url).status_code == 200
    except httpx.HTTPError:
        return False


def ask_status(url: str) -> dict[str, Any] | None:
    """`shelian_status` of a node; ``None`` while it does not answer."""
    try:
        answer = _http().post(url, json=_STATUS).json()["result"]
        return answer if isinstance(answer, dict) else None
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None


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
