"""A ledger on a disk that fails: one try for each call that could fail, each in a child of this process.

    python -m tests.crash.faults DIRECTORY ERROR KINDS once|ever FIRST STEP

prints a JSON line a try: the number of the call, the code of what was raised and what it raised at, the last
height that was acknowledged, whether reads went on, and what a further commit was told. It ends with the try
that made fewer calls than were to pass. Preload record_writes.so with RECORD_ROOT=DIRECTORY.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import sys
from pathlib import Path
from typing import Any, Final

from node.chain.errors import LedgerError
from tests.crash.driver import Driver, add_block
from tests.crash.recording import Kind
from tests.helpers.ledger import Chain

BLOCKS: Final = 5


def attempt(directory: Path, recorder: Any, call: int, error: int, kinds: int, once: bool) -> dict[str, Any]:
    """Create a ledger, add blocks, start again, add more, with the fault in place."""
    driver = Driver(directory)
    told: dict[str, Any] = {"call": call, "acknowledged": -1, "code": None}
    chain: Chain | None = None
    recorder.record_fail(ctypes.c_uint64(call), error, ctypes.c_uint64(kinds), int(once))
    try:
        told["at"] = "create"
        chain = Chain.create(driver.path)
        told |= {"acknowledged": 0, "at": "commit"}
        for _ in range(BLOCKS):
            add_block(chain, 3)
            told["acknowledged"] = chain.ledger.tip.height
        chain.close()
        told["at"] = "open"
        chain = None
        chain = driver.open()
        told["at"] = "commit"
        add_block(chain, 3)
        told["acknowledged"] = chain.ledger.tip.height
    except LedgerError as refused:
        told["code"] = refused.code
        if chain is not None:
            told["reads"] = chain.ledger.tip.height == told["acknowledged"] and chain.nonce(chain.clerk) >= 0
            try:
                add_block(chain, 1)
                told["next"] = None
            except LedgerError as again:
                told["next"] = again.code
    told["made"] = recorder.record_calls()
    recorder.record_fail(ctypes.c_uint64(0), 0, ctypes.c_uint64(0), 0)
    if chain is not None:
        chain.close()
    return told


def main(directory: Path, error: str, kinds: str, how: str, first: int, step: int) -> None:
    recorder = ctypes.CDLL(None)
    mask = sum(1 << Kind[name] for name in kinds.split(","))
    call = first
    while True:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            told = attempt(directory / str(call), recorder, call, getattr(errno, error), mask, how == "once")
            os.write(writing, json.dumps(told).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as answer:
            line = answer.read()
        os.waitpid(child, 0)
        print(line, flush=True)
        if json.loads(line)["made"] < call:
            return
        call += step


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:5], *map(int, sys.argv[5:7]))  # type: ignore[call-arg]
