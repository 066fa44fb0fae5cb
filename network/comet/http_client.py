"""HTTP to one server on this machine: POST with a body, over connections that stay open.

A node asks its CometBFT several times a block. httpx spends two milliseconds of processor time on each
question, which with four nodes on a small machine is most of what a quiet network costs; aiohttp a tenth.
"""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp

CONNECTIONS: Final = 8
"""Open at a time; who comes then waits."""
CONNECT_S: Final = 2.0
ANSWER_S: Final = 10.0
MAX_ANSWER_BYTES: Final = 64 << 20
_HEADERS: Final = {"Content-Type": "application/json"}


class HttpFault(Exception):
    """No answer: nobody listens, the connection broke, time is up, or what came is no HTTP."""


class HttpClient:
    """Belongs to one event loop; `close` it."""

    def __init__(self, host: str, port: int) -> None:
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._session: aiohttp.ClientSession | None = None

    async def post(self, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer. A question may reach the server twice. Raises HttpFault."""
        session = self._open()
        try:
            async with asyncio.timeout(ANSWER_S):
                try:
                    return await self._exchange(session, body)
                except (aiohttp.ServerDisconnectedError, ConnectionResetError):
                    # The server closes what was idle for long, perhaps at this very moment: once more, anew.
                    return await self._exchange(session, body)
        except TimeoutError as error:
            # aiohttp's own says that connecting took too long.
            why = str(error) or f"no answer in {ANSWER_S:.0f} s"
            raise HttpFault(why) from None
        except (aiohttp.ClientError, OSError) as error:
            raise HttpFault(f"{type(error).__name__}: {error}") from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        """Made where the event loop runs."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
                headers=_HEADERS,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session

    async def _exchange(self, session: aiohttp.ClientSession, body: bytes) -> tuple[int, bytes]:
        async with session.post(self.url, data=body, allow_redirects=False) as answer:
            if (answer.content_length or 0) > MAX_ANSWER_BYTES:
                raise HttpFault(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
            parts, size = [], 0
            async for part in answer.content.iter_any():
                parts.append(part)
                size += len(part)
                if size > MAX_ANSWER_BYTES:
                    raise HttpFault(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
            return answer.status, b"".join(parts)
