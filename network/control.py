"""What whoever may open a file may ask of a running node: one JSON line in, JSON lines out.

The socket lies in the node's directory, mode 0600: the operating system says who may ask. One request at a
time; a second one is told so. Each line of the answer is one object: `{"progress": …}` any number of times,
then `{"result": …}` or `{"error": {code, message, got, expected}}`, and the connection is closed. When
whoever asked goes away, the work is ended.

    {"command": "backup", "to": "/srv/backups/2027-01-31"}
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import structlog

from node.chain.encoding import sha256
from node.chain.errors import ShelianError

_log = structlog.get_logger("network.control")

_MAX_SOCKET_BYTES: Final = 100
"""Linux takes 107 bytes of path; some room is left."""
_MAX_REQUEST_BYTES: Final = 1 << 16
_REQUEST_SECONDS: Final = 10.0

Tell = Callable[[Mapping[str, Any]], None]
"""Tells progress. Raises `Gone` when nobody wants to know any more, or the node stops."""

Command = Callable[[Mapping[str, Any], Tell], Mapping[str, Any]]
"""Does what a request asks, in a thread of its own. Raises ShelianError."""


class ControlRefused(ShelianError):
    """The node does not do what was asked, or there is none to ask."""


class Gone(Exception):
    """Whoever asked has gone away, or the node stops."""


def control_socket(node: Path) -> Path:
    """Of the node whose directory (`DATA/node`) this is; where that is too long a path, elsewhere."""
    node = node.absolute()
    near = node / "control.sock"
    if len(os.fsencode(near)) <= _MAX_SOCKET_BYTES:
        return near
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    return base / f"shelian-{sha256(os.fsencode(node))[:8].hex()}" / "control.sock"


class Control:
    """The socket of one node. Belongs to one event loop."""

    def __init__(self, path: Path, commands: Mapping[str, Command]) -> None:
        self._path = path
        self._commands = commands
        self._server: asyncio.Server | None = None
        self._stopping = threading.Event()
        self._busy = asyncio.Lock()

    async def start(self) -> None:
        """Listen. Raises ControlRefused control.address."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self._path.parent.stat()
            if found.st_uid != os.geteuid():
                raise PermissionError(f"{self._path.parent} is somebody else's")
            self._path.unlink(missing_ok=True)  # of a node that was killed: the ledger's lock is ours
            before = os.umask(0o177)
            try:
                self._server = await asyncio.start_unix_server(
                    self._serve, str(self._path), limit=_MAX_REQUEST_BYTES
                )
            finally:
                os.umask(before)
        except OSError as error:
            raise ControlRefused("control.address", f"cannot listen: {error}", str(self._path)) from error

    async def stop(self) -> None:
        """What is being done is ended."""
        self._stopping.set()
        if self._server is not None:
            self._server.close()
            async with self._busy:
                pass
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                line = await reader.readline()
            answer = await self._answer(line, reader, writer)
            writer.write(_line(answer))
            await writer.drain()
        except (OSError, TimeoutError, ValueError, Gone):
            pass  # whoever asked is gone, or never said what
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(
        self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Mapping[str, Any]:
        try:
            request, command = self._parse(line)
            if self._busy.locked():
                raise ControlRefused("control.busy", "the node does something else already; wait for its end")
            async with self._busy:
                return {"result": await self._run(command, request, reader, writer)}
        except ShelianError as error:
            return {"error": error.as_dict()}

    def _parse(self, line: bytes) -> tuple[Mapping[str, Any], Command]:
        try:
            request = json.loads(line)
        except ValueError:
            request = None
        name = request.get("command") if isinstance(request, dict) else None
        command = self._commands.get(name) if isinstance(name, str) else None
        if command is None:
            raise ControlRefused("control.unknown", "there is no such command", name, sorted(self._commands))
        return request, command

    async def _run(
        self,
        command: Command,
        request: Mapping[str, Any],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> Mapping[str, Any]:
        loop, gone = asyncio.get_running_loop(), threading.Event()

        def tell(progress: Mapping[str, Any]) -> None:
            if gone.is_set() or self._stopping.is_set():
                raise Gone
            loop.call_soon_threadsafe(writer.write, _line({"progress": progress}))

        async def watch() -> None:
            await reader.read()  # until the other end closes
            gone.set()

        watching = asyncio.ensure_future(watch())
        try:
            return await asyncio.to_thread(command, request, tell)
        except Gone:
            _log.info("a command was ended", command=request["command"], stopping=self._stopping.is_set())
            if self._stopping.is_set():
                raise ControlRefused("control.stopping", "the node stops; ask again when it runs") from None
            raise
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


def _line(answer: Mapping[str, Any]) -> bytes:
    return json.dumps(answer, ensure_ascii=False).encode() + b"\n"


def ask(path: Path, request: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The lines of progress, then the result: `{"progress": …}` …, `{"result": …}`.

    Raises ControlRefused control.no_node where none listens, control.cut_off where it went away, and with the
    node's own code what it refuses with.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(str(path))
        except OSError as error:
            raise ControlRefused(
                "control.no_node", f"no node listens here: {error.strerror}", str(path)
            ) from error
        try:
            connection.sendall(_line(request))
            with connection.makefile("rb") as lines:
                for line in lines:
                    answer = json.loads(line)
                    if "error" in answer:
                        said = answer["error"]
                        raise ControlRefused(said["code"], said["message"], said["got"], said["expected"])
                    yield answer
                    if "result" in answer:
                        return
        except OSError as error:
            raise ControlRefused("control.cut_off", str(error), str(path)) from error
        raise ControlRefused("control.cut_off", "the node ended in the middle", str(path))
