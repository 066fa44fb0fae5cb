"""Asking another node for old blocks (`shelian_getHistory`). What it says is believed by nobody here."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Final

import httpx
import orjson

from node.chain.errors import ShelianError
from node.ledger.backfill import HistoryRefused
from node.ledger.past import PastBlock
from node.state.blocks import StoredValidator

AT_ONCE: Final = 256
"""Blocks asked for in one call."""

_TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0)
_MOST_BYTES: Final = 24 << 20
"""Of an answer: more than a node sends."""


class SourceUnavailable(ShelianError):
    """The node does not answer, or not with blocks: to be asked again later, or another one."""


class HistorySource:
    """One node. For one thread; `close` it."""

    def __init__(self, url: str, token: str = "", authority: Path | None = None) -> None:
        """`token`: bearer token, empty for none; `authority`: certificates (PEM) that vouch for its TLS.

        Raises SourceUnavailable history.bad_source.
        """
        self.url = url
        try:
            context = ssl.create_default_context(cafile=None if authority is None else str(authority))
            self._http = httpx.Client(
                timeout=_TIMEOUT,
                trust_env=False,  # proxies of the environment are for the world outside
                verify=context,
                headers={"authorization": f"Bearer {token}"} if token else {},
            )
            scheme = httpx.URL(url).scheme
        except (OSError, httpx.InvalidURL) as error:
            raise SourceUnavailable("history.bad_source", str(error), url) from error
        if scheme not in ("http", "https"):
            raise SourceUnavailable("history.bad_source", "not the URL of a node", url, "http:// or https://")

    def close(self) -> None:
        self._http.close()

    def fetch(self, start: int, count: int = AT_ONCE) -> list[PastBlock]:
        """Blocks from `start` downwards, one at least.

        Raises SourceUnavailable history.unreachable, history.not_answered; HistoryRefused history.malformed.
        """
        body = {"jsonrpc": "2.0", "id": 1, "method": "shelian_getHistory", "params": [hex(start), hex(count)]}
        try:
            with self._http.stream("POST", self.url, json=body) as response:
                raw = bytearray()
                for piece in response.iter_bytes(1 << 16):
                    raw += piece
                    if len(raw) > _MOST_BYTES:
                        raise _malformed(start, "the answer is too large", len(raw), _MOST_BYTES)
        except httpx.HTTPError as error:
            raise SourceUnavailable(
                "history.unreachable", f"the node does not answer: {type(error).__name__}", self.url
            ) from error
        try:
            answer = orjson.loads(bytes(raw))
        except orjson.JSONDecodeError:
            raise SourceUnavailable(
                "history.not_answered", "the answer is no JSON", [self.url, response.status_code]
            ) from None
        if not isinstance(answer, dict) or "result" not in answer:
            raise SourceUnavailable("history.not_answered", _reason(answer), self.url, "blocks")
        result = answer["result"]
        if not isinstance(result, list) or not 0 < len(result) <= count:
            raise _malformed(start, "not a list of blocks", type(result).__name__, count)
        return [_block(start - index, one) for index, one in enumerate(result)]


def _reason(answer: object) -> str:
    """What the node says, short: it goes into a log."""
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        return "the node refuses"
    detail = error.get("data")
    code = detail.get("code") if isinstance(detail, dict) else None
    return f"the node refuses: {code or error.get('message')!s}"[:200]


def _malformed(height: int, message: str, got: object = None, expected: object = None) -> HistoryRefused:
    return HistoryRefused("history.malformed", message, [height, got], expected)


def _block(height: int, one: object) -> PastBlock:
    try:
        assert isinstance(one, dict)  # noqa: S101 (caught below)
        signers = one["validators"]
        return PastBlock(
            _data(one["header"]),
            _data(one["commit"]),
            tuple(map(_data, one["transactions"])),
            tuple(map(_data, one["receipts"])),
            None if signers is None else tuple(map(_validator, signers)),
        )
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise _malformed(height, "not a block", type(error).__name__) from None


def _data(value: Any) -> bytes:
    if not isinstance(value, str) or not value.startswith("0x"):
        raise ValueError
    return bytes.fromhex(value[2:])


def _validator(value: Any) -> StoredValidator:
    key, power = _data(value["publicKey"]), int(value["power"], 16)
    if len(key) != 32 or not 0 < power < 1 << 63:
        raise ValueError
    return StoredValidator(key, power)
