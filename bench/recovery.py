"""How long a node takes from the start of its process until it is in step with the others."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import aiohttp
import orjson

from bench.client import Client, LoadError
from bench.validators import Validator

_STEP_S = 0.02
_PATIENCE_S = 300.0


@dataclass(frozen=True, slots=True)
class Recovery:
    """Seconds since the process was started.

    Attributes:
        listens_s: its JSON-RPC answers: Python and its imports, the ledger opened.
        comet_s: its CometBFT answers: started, and what the ledger lacked was replayed.
        peer_s: it has its first peer.
        begins_s: its ledger is not empty (of a joining node: the snapshot is in place).
        in_step_s: it takes part in consensus and has every block that the others had a moment before.
        behind: blocks that the others were ahead when it was started.
    """

    listens_s: float
    comet_s: float
    peer_s: float
    begins_s: float
    in_step_s: float
    behind: int


async def watch_recovery(node: Validator, other: Validator) -> Recovery:
    """Start `node` and watch it come into step with `other`. Raises LoadError when it does not."""
    async with Client(other.url, 1) as beside, aiohttp.ClientSession() as session:
        target = await _height(beside)
        await node.start()
        began, deadline = node.began, node.began + _PATIENCE_S
        listens_s = time.monotonic() - began
        comet_s = peer_s = begins_s = behind = None
        async with Client(node.url, 1) as client:
            while time.monotonic() < deadline:
                height = await _height(client)
                if height and begins_s is None:
                    begins_s, behind = time.monotonic() - began, max(0, target - height)
                seen = await _look(session, node.settings.rpc_address)
                if seen is not None:
                    catching_up, peers = seen
                    now_s = time.monotonic() - began
                    comet_s = comet_s or now_s
                    peer_s = peer_s or (now_s if peers else None)
                    if peers and not catching_up:
                        target = await _height(beside)
                        if await _height(client) >= target - 1:
                            in_step_s = time.monotonic() - began
                            return Recovery(
                                listens_s,
                                comet_s,
                                peer_s or now_s,
                                begins_s or in_step_s,
                                in_step_s,
                                behind or 0,
                            )
                await asyncio.sleep(_STEP_S)
    raise LoadError(f"node {node.number} does not come into step")


async def _height(client: Client) -> int:
    return int(await client.call("eth_blockNumber"), 16)


async def _look(session: aiohttp.ClientSession, rpc_address: str) -> tuple[bool, int] | None:
    """Whether its CometBFT is catching up, and how many peers it has; None while it does not answer."""
    calls = [{"jsonrpc": "2.0", "id": number, "method": method} for number, method in enumerate(_ASKED)]
    try:
        async with session.post(f"http://{rpc_address}/", data=orjson.dumps(calls)) as response:
            answers = {one["id"]: one["result"] for one in orjson.loads(await response.read())}
    except (aiohttp.ClientError, OSError, orjson.JSONDecodeError, KeyError):
        return None
    return bool(answers[0]["sync_info"]["catching_up"]), int(answers[1]["n_peers"])


_ASKED = ("status", "net_info")
