"""A client of any Ethereum JSON-RPC URL, over HTTP or WebSocket, that costs its process little."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, Self, TypeVar

import aiohttp
import orjson

from bench.sending import Sender
from node.chain.encoding import keccak256

T = TypeVar("T")

POLL_S = 0.004
PATIENCE_S = 60.0
_RECEIPTS_AT_ONCE = 200
_SETUP_BATCH = 50
_MESSAGE_BYTES = 1 << 26
_FAULTS = (aiohttp.ClientError, ConnectionError, TimeoutError, orjson.JSONDecodeError)


class LoadError(Exception):
    """The chain does not do what a benchmark needs; there are no figures."""


class _Transport(Protocol):
    async def exchange(self, body: bytes) -> bytes: ...


class _Http:
    """Keep-alive connections; aiohttp keeps one request on each."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def exchange(self, body: bytes) -> bytes:
        headers = {"content-type": "application/json"}
        async with self._session.post(self._url, data=body, headers=headers) as response:
            return await response.read()


class _WebSocket:
    """Open WebSockets, one request at a time on each: the next message is its answer."""

    def __init__(self, session: aiohttp.ClientSession, url: str, connections: int) -> None:
        self._session = session
        self._url = url
        self._idle: asyncio.LifoQueue[aiohttp.ClientWebSocketResponse | None] = asyncio.LifoQueue()
        for _ in range(connections):
            self._idle.put_nowait(None)

    async def exchange(self, body: bytes) -> bytes:
        socket = await self._idle.get()
        try:
            if socket is None:
                socket = await self._session.ws_connect(self._url, max_msg_size=_MESSAGE_BYTES)
            await socket.send_str(body.decode())
            async with asyncio.timeout(PATIENCE_S):
                message = await socket.receive()
            if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                raise ConnectionError(f"the WebSocket was closed: {message}")
        except BaseException:
            self._idle.put_nowait(None)
            raise
        self._idle.put_nowait(socket)
        return message.data if isinstance(message.data, bytes) else message.data.encode()


class Client:
    """A few connections to one URL: http, https, ws or wss."""

    def __init__(self, url: str, connections: int) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections),
            timeout=aiohttp.ClientTimeout(total=PATIENCE_S),
        )
        self._transport: _Transport = (
            _WebSocket(self._session, url, connections)
            if url.startswith(("ws:", "wss:"))
            else _Http(self._session, url)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[dict[str, Any]]:
        """The answers, in the order of the calls; a single one goes out as such. Raises LoadError."""
        bodies = [{"jsonrpc": "2.0", "id": i, "method": m, "params": p} for i, (m, p) in enumerate(calls)]
        body = orjson.dumps(bodies if len(bodies) > 1 else bodies[0])
        try:
            answers = orjson.loads(await self._transport.exchange(body))
        except _FAULTS as error:
            raise LoadError(f"{self._url}: {error!r}") from error
        if isinstance(answers, dict):
            if len(bodies) > 1 or "id" not in answers:
                raise LoadError(f"the node refused the request: {answers}")
            return [answers]
        return sorted(answers, key=lambda answer: int(answer["id"]))

    async def call(self, method: str, *params: Any) -> Any:
        """One result. Raises LoadError where there is an error instead."""
        answer = (await self.batch([(method, list(params))]))[0]
        if "error" in answer:
            raise LoadError(f"{method}: {answer['error']}")
        return answer["result"]

    async def nonce(self, address: bytes) -> int:
        return int(await self.call("eth_getTransactionCount", "0x" + address.hex(), "latest"), 16)

    async def load_nonces(self, senders: Iterable[Sender]) -> None:
        """Set every sender's nonce to what the chain expects."""
        for sender in senders:
            sender.nonce = await self.nonce(sender.address)

    def requests(self, transactions: Sequence[bytes], batch: int) -> list[Sequence[bytes]]:
        """Cut into what `send` takes, `batch` in each."""
        return list(slices(transactions, batch))

    async def send(self, transactions: Sequence[bytes]) -> list[dict[str, Any]]:
        """Submit in one request; the answers that are errors."""
        calls = [("eth_sendRawTransaction", ["0x" + raw.hex()]) for raw in transactions]
        return [answer["error"] for answer in await self.batch(calls) if "error" in answer]

    async def receipt(self, transaction_hash: str) -> dict[str, Any]:
        """Poll until it is there. Raises LoadError when it does not come."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            found: dict[str, Any] | None = await self.call("eth_getTransactionReceipt", transaction_hash)
            if found:
                return found
            await asyncio.sleep(POLL_S)
        raise LoadError(f"no receipt of {transaction_hash} after {PATIENCE_S} s")

    async def include(self, raw: bytes) -> dict[str, Any]:
        """Submit one and wait for its receipt. Raises LoadError when it fails."""
        found = await self.receipt(await self.call("eth_sendRawTransaction", "0x" + raw.hex()))
        if found["status"] != "0x1":
            raise LoadError(f"a transaction that prepares the benchmark failed: {found}")
        return found

    async def include_all(self, transactions: Sequence[bytes]) -> None:
        """Submit many and wait for them. Raises LoadError when one is refused or fails."""
        for batch in slices(transactions, _SETUP_BATCH):
            if errors := await self.send(batch):
                raise LoadError(f"a transaction that prepares the benchmark was refused: {errors[0]}")
        for raw in transactions:
            if (await self.receipt(hash_of(raw)))["status"] != "0x1":
                raise LoadError(f"a transaction that prepares the benchmark failed: {hash_of(raw)}")

    async def count_failed(self, hashes: Sequence[str]) -> int:
        """How many have no receipt, or one of status 0."""
        failed = 0
        for some in slices(hashes, _RECEIPTS_AT_ONCE):
            answers = await self.batch([("eth_getTransactionReceipt", [one]) for one in some])
            failed += sum((answer.get("result") or {}).get("status") != "0x1" for answer in answers)
        return failed


def hash_of(raw: bytes) -> str:
    """The hash of a raw transaction, as JSON-RPC writes it."""
    return "0x" + keccak256(raw).hex()


def slices(items: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    return (items[i : i + size] for i in range(0, len(items), size))
