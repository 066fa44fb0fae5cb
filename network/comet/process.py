"""CometBFT as a supervised child of the node.

    start -> [child runs: its log lines become ours] -> it ends -> why? -> pause, start again | give up
    stop  -> SIGTERM -> SIGKILL after a bound

* **It never outlives the node.** The kernel kills it when the *thread* that started it ends (Linux counts
  parents by thread), so whoever runs the event loop of `CometProcess` keeps that thread until `stop`.
* **Restarts** follow after growing pauses, 0.5 s to 30 s, small again after a minute of life. What no
  restart heals (a state that differs from the network's, damaged data, a refused genesis) ends the
  supervision: `failure` says what it was and what to do.
* **Consensus may stop in a process that goes on.** CometBFT logs that and stays; it is ended then, so that
  the same rule follows.
* **Environment.** Variables named CMT… would override the configuration, so none is passed on.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import structlog

from network.comet.binary import Binary, find_binary
from network.comet.faults import CometFault, fault_of, has_stopped
from network.comet.home import CometPlace
from network.comet.log_lines import MAX_LINE_BYTES, LogRelay, parse_line
from node.chain.errors import ShelianError

_LAUNCH: Final = Path(__file__).with_name("launch.py")
_PASSED_ON: Final = ("GOMAXPROCS", "GOGC", "GOMEMLIMIT")
"""How much of the machine Go takes."""
_LAST_LINES: Final = 20
_CHUNK_BYTES: Final = 1 << 16

_log: structlog.stdlib.BoundLogger = structlog.get_logger("network.comet.process")


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds.

    Attributes:
        first_pause: before the first restart; twice as long before each further one.
        longest_pause: the bound of that.
        proven: a child that lived so long works: pauses are short again.
        stop: between SIGTERM and SIGKILL.
    """

    first_pause: float = 0.5
    longest_pause: float = 30.0
    proven: float = 60.0
    stop: float = 10.0


class CometProcess:
    """One `cometbft start` on one home. See the module. Belongs to one event loop."""

    def __init__(
        self,
        place: CometPlace,
        hopeless: Callable[[], ShelianError | None] = lambda: None,
        patience: Patience = Patience(),
    ) -> None:
        """`hopeless` is asked whenever the child has ended: what the node knows that no restart heals."""
        self._place = place
        self._hopeless = hopeless
        self._patience = patience
        self._child: asyncio.subprocess.Process | None = None
        self._born = 0.0
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._told_to_end: int | None = None
        self._stopping = False
        self._wanted = False
        self._hurry = asyncio.Event()
        self._supervision: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._restarts = 0
        self._version = ""
        self._failure: ShelianError | None = None
        self._trouble: CometFault | None = None

    @property
    def is_running(self) -> bool:
        return self._child is not None and self._child.returncode is None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and self.is_running else None

    @property
    def version(self) -> str:
        """Of the program; empty before it was found."""
        return self._version

    @property
    def restarts(self) -> int:
        """How often it ended by itself and was started again."""
        return self._restarts

    @property
    def failure(self) -> ShelianError | None:
        """Why it is not started again."""
        return self._failure

    @property
    def trouble(self) -> CometFault | None:
        """Why it ended last, as long as it has not lived for a while since."""
        return None if self.is_running and self._age() >= self._patience.proven else self._trouble

    async def start(self) -> None:
        """Returns when the child runs; it needs its application listening and its configuration written.

        Raises CometFault `comet.binary_missing`, `comet.binary_version`, `comet.not_started`.
        """
        binary = await asyncio.to_thread(find_binary)
        child = await self._spawn(binary)
        self._supervision = asyncio.create_task(self._supervise(binary, child), name="cometbft")

    async def stop(self) -> None:
        """Returns when the child is gone and will not come again."""
        self._stopping = True
        self._hurry.set()
        if self._supervision is not None:
            if self._child is not None:
                await self._end(self._child)
            await self._supervision

    async def restart(self, reason: str) -> None:
        """End the child and start it again at once: cuts all connections of peers. Nothing once given up."""
        if self._stopping or self._failure is not None:
            return
        _log.info("cometbft is restarted", reason=reason)
        self._wanted = True
        self._hurry.set()
        if self._child is not None:
            await self._end(self._child)

    async def _supervise(self, binary: Binary, child: asyncio.subprocess.Process) -> None:
        try:
            await self._keep_alive(binary, child)
        finally:
            # Cancelled, with its loop perhaps: nobody is there any more to end the child.
            self._kill()

    async def _keep_alive(self, binary: Binary, child: asyncio.subprocess.Process | None) -> None:
        pause = self._patience.first_pause
        while True:
            if child is not None:
                if self._stopping:
                    self._ending = asyncio.create_task(self._end(child))
                await self._listen(child)
                if self._stopping:
                    _log.info("cometbft stopped", status=child.returncode)
                    return
                if self._wanted:
                    self._trouble = None
                else:
                    if self._gives_up(_how(child.returncode)):
                        return
                    self._restarts += 1
                if self._age() >= self._patience.proven or self._wanted:
                    pause = self._patience.first_pause
            if not self._wanted:
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._hurry.wait()
                pause = min(2 * pause, self._patience.longest_pause)
            self._wanted = False
            self._hurry.clear()
            if self._stopping:
                return
            try:
                child = await self._spawn(binary)
            except CometFault as fault:
                self._trouble, child = fault, None
                _log.error("cometbft could not be started", code=fault.code, error=str(fault))

    async def _spawn(self, binary: Binary) -> asyncio.subprocess.Process:
        home = str(self._place.directory)
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        arguments = (str(_LAUNCH), str(os.getpid()), str(binary.path), "start", "--home", home)
        try:
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-S",
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                cwd=home,
                env=environment | {"HOME": home, "TZ": "UTC"},
            )
        except OSError as error:
            raise CometFault("comet.not_started", "cometbft could not be started", str(error)) from None
        self._child, self._version = child, binary.version
        self._born = time.monotonic()
        self._last.clear()
        _log.info("cometbft started", pid=child.pid, version=binary.version, home=home)
        return child

    async def _listen(self, child: asyncio.subprocess.Process) -> None:
        """Hand its lines on until it has ended."""
        relay = LogRelay()
        await asyncio.gather(
            *(self._relay(child, stream, relay) for stream in (child.stdout, child.stderr) if stream)
        )
        await child.wait()

    async def _relay(
        self, child: asyncio.subprocess.Process, stream: asyncio.StreamReader, relay: LogRelay
    ) -> None:
        in_dump = False
        async for raw in _lines(stream):
            line = parse_line(raw)
            # Go's dump of stacks: hundreds of lines, of which the first ones said it all.
            in_dump = in_dump or line.message.startswith("goroutine ")
            if in_dump or not raw.strip():
                continue
            if self._told_to_end == child.pid:
                # It calls what follows from that errors: listeners that close, peers that are gone.
                line = replace(line, level="debug")
            relay.tell(line, time.monotonic())
            if line.level == "error":
                self._last.append(raw[:4_000].decode(errors="replace"))
            has_ended = self._told_to_end == child.pid
            if not has_ended and has_stopped(line.message, str(line.fields.get("err"))):
                self._ending = asyncio.create_task(self._end(child))

    def _gives_up(self, how: str) -> bool:
        """Whether no restart heals what ended the child."""
        fault, heals = fault_of(self._last, how)
        self._trouble = fault
        self._failure = self._hopeless() or (None if heals else fault)
        if self._failure is None:
            _log.warning("cometbft ended; it is started again", code=fault.code, error=str(fault))
            return False
        _log.error("cometbft is given up", code=self._failure.code, error=str(self._failure))
        return True

    async def _end(self, child: asyncio.subprocess.Process) -> None:
        """SIGTERM, and SIGKILL for what does not listen."""
        self._told_to_end = child.pid
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.terminate()
        try:
            async with asyncio.timeout(self._patience.stop):
                await child.wait()
        except TimeoutError:
            _log.warning("cometbft does not stop; it is killed", code="comet.killed", pid=child.pid)
            self._kill()
            await child.wait()

    def _kill(self) -> None:
        if (pid := self.pid) is not None:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def _age(self) -> float:
        return time.monotonic() - self._born


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Lines without their ends, each cut at MAX_LINE_BYTES."""
    rest = b""
    while chunk := await stream.read(_CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line[:MAX_LINE_BYTES]
        rest = rest[:MAX_LINE_BYTES]
    if rest:
        yield rest


def _how(status: int | None) -> str:
    if status is not None and status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"
