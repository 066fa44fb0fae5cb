"""Records what a real CometBFT sends: `python -m tests.unit.comet.record_requests` writes the file beside it.

Two chains of one validator, without and with vote extensions; of each kind of request the first three that
differ in length.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

from network.comet import abci_pb2 as pb
from network.comet import server
from network.comet.binary import find_binary
from network.comet.framing import encode_frame
from tests.network.comet.lone_cometbft import running

RECORDED = Path(__file__).with_name("recorded_requests.json")
EACH = 3


def enable_vote_extensions(genesis: dict[str, Any]) -> None:
    genesis["consensus_params"]["abci"]["vote_extensions_enable_height"] = "1"


async def record(with_extensions: bool) -> None:
    change = enable_vote_extensions if with_extensions else lambda _: None
    with tempfile.TemporaryDirectory() as directory:
        async with running(find_binary().path, Path(directory), change) as node:
            for number in range(3):
                tx = b"transaction %d" % number
                await node.call("broadcast_tx_sync", tx="0x" + tx.hex())
                await node.until(lambda tx=tx: any(tx in r.txs for r in node.asked("finalize_block")))
            await node.call("abci_query", path='"/p2p/filter/id/00"', data="0x01", height="1", prove="true")


def main() -> None:
    frames: dict[bytes, str] = {}
    decode = server._decode_request

    def note(frame: bytes) -> pb.Request:
        request = decode(frame)
        kind = request.WhichOneof("value") or ""
        sizes = [len(noted) for noted, of in frames.items() if of == kind]
        if len(sizes) < EACH and len(frame) not in sizes:
            frames[frame] = kind
        return request

    server._decode_request = note
    for with_extensions in (False, True):
        asyncio.run(record(with_extensions))
    binary = find_binary()
    document = {
        "from": f"CometBFT {binary.version}",
        "requests": [[kind, encode_frame(frame).hex()] for frame, kind in frames.items()],
    }
    RECORDED.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
