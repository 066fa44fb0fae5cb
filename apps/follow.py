"""Following the chain: from an event cursor to a read model, exactly once.

The cursor is the last block whose logs are in the read model. A round asks for the logs of the next blocks
in order and hands each page, with the cursor it leads to, to `apply`, which writes rows and cursor in ONE
database transaction. A crash at any point therefore repeats a page or not at all; blocks are final, so
nothing is ever undone.

New heads wake the follower through a WebSocket subscription where the node offers one; without it, it asks
again every `poll_s`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import structlog
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from apps.node_client import Log, NodeClient
from node.chain.errors import ShelianError

PAGE_BLOCKS = 2_000
MAX_PAUSE_S = 10.0


class WrongChain(ShelianError):
    """The read model belongs to another chain than the node serves, or the node has lost blocks that were
    read before."""


class Follower:
    """Keeps one read model at the tip.

    `load_cursor` gives (chain id, last block applied), or None for an empty read model; `apply(chain_id,
    block, logs)` writes the logs of all blocks up to `block` and the cursor in one transaction.
    `start_block` is the first block that can hold a log.
    """

    def __init__(
        self,
        client: NodeClient,
        *,
        addresses: Sequence[bytes],
        load_cursor: Callable[[], tuple[int, int] | None],
        apply: Callable[[int, int, Sequence[Log]], None],
        websocket_url: str | None = None,
        start_block: int = 0,
        poll_s: float = 0.5,
        page_blocks: int = PAGE_BLOCKS,
    ) -> None:
        self._client = client
        self._addresses = list(addresses)
        self._load_cursor = load_cursor
        self._apply = apply
        self._websocket_url = websocket_url
        self._start_block = start_block
        self._poll_s = poll_s
        self._page_blocks = page_blocks
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._reached = threading.Condition()
        self._height = -1
        self._threads: list[threading.Thread] = []
        self._log = structlog.get_logger("follow")

    @property
    def height(self) -> int:
        """The last block in the read model; -1 before the first round."""
        return self._height

    def catch_up(self) -> int:
        """One round: apply everything up to the node's tip; the height reached. NodeError, WrongChain."""
        chain_id, tip = self._client.chain_id(), self._client.block_number()
        cursor = self._load_cursor()
        if cursor is not None and cursor[0] != chain_id:
            raise WrongChain(
                "follow.wrong_chain", "the read model is of another chain", got=chain_id, expected=cursor[0]
            )
        done = cursor[1] if cursor is not None else self._start_block - 1
        if done > tip:
            raise WrongChain(
                "follow.chain_shorter", "the node is behind the read model", got=tip, expected=done
            )
        while done < tip and not self._stop.is_set():
            last = min(done + self._page_blocks, tip)
            for until, logs in self._client.logs(self._addresses, done + 1, last):
                self._apply(chain_id, until, logs)
                done = until
                self._announce(done)
        self._announce(done)
        return done

    def start(self) -> None:
        """Follow in the background until `close`."""
        self._threads = [threading.Thread(target=self._follow, name="follow", daemon=True)]
        if self._websocket_url is not None:
            self._threads.append(
                threading.Thread(
                    target=self._listen, args=(self._websocket_url,), name="follow-heads", daemon=True
                )
            )
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._stop.set()
        self._wake.set()
        for thread in self._threads:
            thread.join(timeout=5)

    def wait_for(self, height: int, timeout_s: float = 5.0) -> bool:
        """Wait until the read model holds a block; False if it does not in time (the page is then a moment
        old)."""
        self._wake.set()
        with self._reached:
            return self._reached.wait_for(lambda: self._height >= height or self._stop.is_set(), timeout_s)

    def _announce(self, height: int) -> None:
        with self._reached:
            self._height = height
            self._reached.notify_all()

    def _follow(self) -> None:
        pause = self._poll_s
        while not self._stop.is_set():
            self._wake.clear()
            try:
                self.catch_up()
                pause = self._poll_s
            except Exception as error:
                # Whatever it was (a full disk, a locked database), the next round may do better; a follower
                # that
                # ended here would leave every page silently old.
                self._log.warning("round failed", code=getattr(error, "code", type(error).__name__))
                pause = min(pause * 2, MAX_PAUSE_S)
            self._wake.wait(pause)

    def _listen(self, url: str) -> None:
        subscribe = orjson.dumps(
            {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}
        )
        while not self._stop.is_set():
            try:
                with connect(url, open_timeout=5, close_timeout=1, proxy=None) as socket:
                    socket.send(subscribe, text=True)
                    while not self._stop.is_set():
                        if self._next_head(socket):
                            self._wake.set()
            except (OSError, WebSocketException):
                self._stop.wait(min(self._poll_s * 10, MAX_PAUSE_S))

    @staticmethod
    def _next_head(socket: Any) -> bool:
        try:
            socket.recv(timeout=1.0)
        except TimeoutError:
            return False
        return True
