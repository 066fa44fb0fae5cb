"""Reads /status.json of a node, its own or another's: what a terminal shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import httpx
import orjson

from network.operations.findings import Finding, Words
from node.chain.errors import ShelianError

_PATIENCE_S: Final = 8.0
_MAX_BYTES: Final = 4 << 20


class StatusUnavailable(ShelianError):
    """The operations port did not say how the node is."""


def fetch_status(url: str, token: str | None = None) -> dict[str, Any]:
    """/status.json of the operations port at `url`.

    Raises StatusUnavailable `operations.unreachable`, `operations.refused` (the answer says why),
    `operations.not_a_node` (something else listens there).
    """
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    try:
        answer = httpx.get(
            url.rstrip("/") + "/status.json", headers=headers, timeout=_PATIENCE_S, trust_env=False
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise StatusUnavailable(
            "operations.unreachable", "the operations port does not answer", str(error), url
        ) from None
    try:
        document: dict[str, Any] = orjson.loads(answer.content[:_MAX_BYTES])
        if answer.status_code != 200:
            refusal = document["error"]
            raise StatusUnavailable(
                "operations.refused", str(refusal["message"]), refusal["code"], f"HTTP {answer.status_code}"
            )
        if not {"ok", "ready", "findings", "facts"} <= document.keys():
            raise KeyError("facts")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise StatusUnavailable(
            "operations.not_a_node", "what listens there is no operations port", url, "shelian node"
        ) from None
    return document


def finding_of(document: Mapping[str, Any]) -> Finding:
    """A finding out of /status.json. KeyError, TypeError."""
    what, todo = document["what"], document["todo"]
    return Finding(
        str(document["code"]),
        "fault" if document["level"] == "fault" else "warning",
        Words(str(what["zh"]), str(what["en"])),
        Words(str(todo["zh"]), str(todo["en"])),
        str(document["command"]),
    )
