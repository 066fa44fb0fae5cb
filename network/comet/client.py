"""Asks the CometBFT process of this node over its JSON-RPC, on loopback.

Every call has a bounded time. What comes back is read strictly (`network.comet.rpc_answers`). Transactions
go in batches: one HTTP request carries up to a hundred, and each has an outcome of its own.

Raises CometFault: `comet.rpc_unreachable` (not started yet, or still replaying blocks), `comet.rpc_refused`
(an error that CometBFT answered), `comet.rpc_no_block`, and what `rpc_answers` raises.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

import orjson

from network.comet.configuration import BATCH_BYTES, BATCH_REQUESTS
from network.comet.faults import CometFault
from network.comet.http_client import HttpClient, HttpFault
from network.comet.rpc_answers import (
    CometStatus,
    Peer,
    decode_genesis_identity,
    decode_last_commit,
    decode_peers,
    decode_signed_header,
    decode_status,
    decode_validators,
)
from network.comet.settings import split_address
from node.chain.commit import Commit
from node.chain.errors import ShelianError
from node.chain.genesis import Genesis
from node.chain.header import Header
from node.chain.validators import Validator

__all__ = ["CometClient", "CometStatus", "Peer"]

_PAGE: Final = 100
_MAX_VALIDATORS: Final = 10_000

_NO_BLOCK: Final = re.compile(
    r"height \d+ (must be less than or equal|is not available)|height must be greater"
)
_KNOWN: Final = re.compile(r"already exists in cache")
_NOT_NOW: Final = re.compile(r"mempool is (full|still rechecking)|catching up")


class CometClient:
    """One node's CometBFT. Belongs to one event loop; `close` it."""

    def __init__(self, rpc_address: str) -> None:
        """`rpc_address`: ``host:port`` as in the settings."""
        self._http = HttpClient(*split_address(rpc_address))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.close()

    async def status(self) -> CometStatus:
        status, network = await self._ask_many(("status", {}), ("net_info", {}))
        return decode_status(status, network)

    async def peers(self) -> tuple[Peer, ...]:
        """Connected nodes, ordered by id."""
        return decode_peers(await self._ask("net_info"))

    async def commit(self, height: int) -> tuple[Header, Commit, bool]:
        """Header and commit of a block, and whether the commit is canonical, that is, in the next block.

        The commit of the last block is the one this node saw; the next block may hold another one. Raises
        CometFault `comet.rpc_no_block` where CometBFT does not have it (yet, or any more).
        """
        (found,) = await self.commits((height,))
        if isinstance(found, CometFault):
            raise found
        return found

    async def commits(self, heights: Sequence[int]) -> list[tuple[Header, Commit, bool] | CometFault]:
        """`commit` of each, in one request: what was found, or why it was not. Raises CometFault
        `comet.rpc_unreachable`, `comet.rpc_malformed`.
        """
        answers = await self._post([("commit", {"height": str(height)}) for height in heights])
        return [_commit(answer, height) for answer, height in zip(answers, heights, strict=True)]

    async def last_commit(self, height: int) -> Commit:
        """The commit that block `height` carries for the one before. Raises CometFault comet.rpc_no_block."""
        answer = await self._ask("block", height=str(height))
        if not isinstance(answer, dict) or answer.get("block") is None:
            raise CometFault("comet.rpc_no_block", "CometBFT does not hold this block", height)
        return decode_last_commit(answer, height)

    async def validators(self, height: int) -> tuple[Validator, ...]:
        """Who signs block `height`, in CometBFT's order. Raises CometFault `comet.rpc_no_block`."""
        found: list[Validator] = []
        total = 1
        while len(found) < total:
            page, total = decode_validators(
                await self._ask(
                    "validators",
                    height=str(height),
                    page=str(len(found) // _PAGE + 1),
                    per_page=str(_PAGE),
                ),
                height,
            )
            if not page or not 0 < total <= _MAX_VALIDATORS:
                raise CometFault("comet.rpc_malformed", "validators: a page is missing", len(found), total)
            found += page
        return tuple(found)

    async def check_genesis(self, genesis: Genesis) -> None:
        """CometBFT's data is of this chain: it keeps the genesis of its first start, whatever the file says.

        Raises CometFault `comet.wrong_chain`.
        """
        chain_name, hash = decode_genesis_identity(await self._ask("genesis"))
        expected = "0x" + genesis.hash.hex()
        if (chain_name, hash) != (genesis.chain_name, expected):
            raise CometFault(
                "comet.wrong_chain",
                "CometBFT's data is of another chain",
                [chain_name, hash],
                [genesis.chain_name, expected],
            )

    async def broadcast(self, raws: Sequence[bytes]) -> list[ShelianError | None]:
        """Put transactions into the mempool, in their order. For each: None when it was taken (CheckTx and
        gossip follow) or was there already; or why not.

        That is a CometFault: `comet.mempool_full` (full, rechecking, or this node is catching up: again
        later), `comet.transaction_refused` (too large, say: not again).
        """
        outcomes: list[ShelianError | None] = []
        for batch in split_batches(raws):
            calls = [("broadcast_tx_async", {"tx": base64.b64encode(raw).decode()}) for raw in batch]
            outcomes += [_broadcast_outcome(answer) for answer in await self._post(calls)]
        return outcomes

    async def _ask(self, method: str, **params: str) -> Any:
        (result,) = await self._ask_many((method, params))
        return result

    async def _ask_many(self, *calls: tuple[str, dict[str, str]]) -> list[Any]:
        answers = await self._post(calls)
        return [_result(answer, method) for answer, (method, _) in zip(answers, calls, strict=True)]

    async def _post(self, calls: Sequence[tuple[str, dict[str, str]]]) -> list[dict[str, Any]]:
        """The answers in the order of the calls."""
        body = orjson.dumps(
            [
                {"jsonrpc": "2.0", "id": index, "method": method, "params": params}
                for index, (method, params) in enumerate(calls)
            ]
        )
        try:
            status, answer = await self._http.post(body)
        except HttpFault as fault:
            raise CometFault(
                "comet.rpc_unreachable", "CometBFT does not answer", str(fault), self._http.url
            ) from None
        return _match(answer, len(calls), status)


def split_batches(raws: Sequence[bytes]) -> list[list[bytes]]:
    """What fits into one request each: at most BATCH_REQUESTS and BATCH_BYTES, at least one."""
    batches: list[list[bytes]] = []
    size = 0
    for raw in raws:
        if not batches or len(batches[-1]) == BATCH_REQUESTS or size + len(raw) > BATCH_BYTES:
            batches.append([])
            size = 0
        batches[-1].append(raw)
        size += len(raw)
    return batches


def _match(body: bytes, count: int, status: int) -> list[dict[str, Any]]:
    """The answers by their ids. A batch of one is answered without a list."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise CometFault(
            "comet.rpc_malformed", "not JSON", body[:200].decode(errors="replace"), f"HTTP {status}"
        ) from None
    answers = document if isinstance(document, list) else [document]
    by_id = {
        answer["id"]: answer
        for answer in answers
        if isinstance(answer, dict) and isinstance(answer.get("id"), int)
    }
    if sorted(by_id) != list(range(count)) or len(answers) != count:
        if len(answers) == 1 and isinstance(answers[0], dict) and "error" in answers[0]:
            raise CometFault("comet.rpc_refused", "CometBFT refused the whole request", _reason(answers[0]))
        raise CometFault("comet.rpc_malformed", "not an answer to each call", sorted(by_id), count)
    return [by_id[index] for index in range(count)]


def _result(answer: dict[str, Any], method: str) -> Any:
    if "error" not in answer:
        return answer.get("result")
    reason = _reason(answer)
    if _NO_BLOCK.search(reason):
        raise CometFault("comet.rpc_no_block", "CometBFT does not hold this block", reason)
    raise CometFault("comet.rpc_refused", f"CometBFT refused {method}", reason)


def _broadcast_outcome(answer: dict[str, Any]) -> CometFault | None:
    if "error" not in answer:
        return None
    reason = _reason(answer)
    if _KNOWN.search(reason):
        return None
    if _NOT_NOW.search(reason):
        return CometFault("comet.mempool_full", "CometBFT takes no transaction now", reason)
    return CometFault("comet.transaction_refused", "CometBFT does not carry this transaction", reason)


def _reason(answer: dict[str, Any]) -> str:
    error = answer["error"]
    if not isinstance(error, dict):
        raise CometFault("comet.rpc_malformed", "an error must be an object", type(error).__name__)
    return str(error.get("data") or error.get("message") or error)[:300]


def _commit(answer: dict[str, Any], height: int) -> tuple[Header, Commit, bool] | CometFault:
    try:
        result = _result(answer, "commit")
        if not (isinstance(result, dict) and _has_commit(result)):
            return CometFault("comet.rpc_no_block", "CometBFT does not hold this block", height)
        return decode_signed_header(result, height)
    except CometFault as fault:
        return fault


def _has_commit(answer: dict[str, Any]) -> bool:
    """CometBFT leaves the commit empty where it pruned it."""
    signed = answer.get("signed_header")
    return isinstance(signed, dict) and signed.get("commit") is not None and signed.get("header") is not None
