"""Requests over connections that stay open, to a server that behaves and to servers that do not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from network.comet import http_client
from network.comet.http_client import CONNECTIONS, HttpClient, HttpFault

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Its body. Raises asyncio.IncompleteReadError when the connection ends."""
    head = await reader.readuntil(b"\r\n\r\n")
    size = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length")
    )
    return await reader.readexactly(size)


def answer(body: bytes, more: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + more + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


def talk(serve: Serve, ask: Callable[[HttpClient], Awaitable[None]]) -> int:
    """Ask a server whose every connection is served so; how many connections there were."""
    count = 0

    async def run() -> None:
        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal count
            count += 1
            try:
                await serve(reader, writer)
            except asyncio.IncompleteReadError:
                pass
            finally:
                writer.close()

        async with await asyncio.start_server(accepted, "127.0.0.1", 0) as server:
            client = HttpClient(*server.sockets[0].getsockname())
            try:
                await ask(client)
            finally:
                await client.close()

    asyncio.run(run())
    return count


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(answer(await read_request(reader)))


def test_one_connection_serves_one_request_after_the_other() -> None:
    async def ask(client: HttpClient) -> None:
        for number in range(20):
            assert await client.post(str(number).encode()) == (200, str(number).encode())

    assert talk(echo, ask) == 1


def test_requests_at_once_have_connections_of_their_own_up_to_a_bound() -> None:
    async def ask(client: HttpClient) -> None:
        bodies = [bytes([number]) * 100_000 for number in range(50)]
        answers = await asyncio.gather(*map(client.post, bodies))
        assert answers == [(200, body) for body in bodies]

    assert 1 < talk(echo, ask) <= CONNECTIONS


def test_a_connection_that_the_server_closed_meanwhile_is_replaced() -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(await read_request(reader)))

    async def ask(client: HttpClient) -> None:
        for pause in (0.0, 0.0, 0.05):  # before the loop has heard of it, and after
            assert await client.post(b"again") == (200, b"again")
            await asyncio.sleep(pause)

    assert talk(once, ask) == 3


def test_a_server_that_says_it_closes_is_taken_at_its_word() -> None:
    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(await read_request(reader), b"Connection: close\r\n"))
        await reader.read()

    async def ask(client: HttpClient) -> None:
        for _ in range(3):
            assert await client.post(b"x") == (200, b"x")

    assert talk(closing, ask) == 3


def test_chunks_and_other_statuses_are_read() -> None:
    async def chunked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 500 Internal Server Error\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await writer.drain()
        writer.write(b"2\r\nde\r\n0\r\n\r\n")
        await reader.read()

    async def ask(client: HttpClient) -> None:
        assert await client.post(b"") == (500, b"abcde")

    talk(chunked, ask)


def test_a_server_that_goes_without_a_word_is_asked_once_more_and_then_it_is_a_fault() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)

    async def ask(client: HttpClient) -> None:
        with pytest.raises(HttpFault, match="ServerDisconnected"):
            await client.post(b"x")

    assert talk(mute, ask) == 2


@pytest.mark.parametrize("said", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
def test_what_is_no_answer_is_a_fault_and_the_next_request_goes_on_anew(said: bytes) -> None:
    connections = 0

    async def first_bad(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        body = await read_request(reader)
        writer.write(said if connections == 1 else answer(body))

    async def ask(client: HttpClient) -> None:
        with pytest.raises(HttpFault):
            await client.post(b"1")
        assert await client.post(b"2") == (200, b"2")

    assert talk(first_bad, ask) == 2


def test_an_answer_that_never_comes_or_is_too_large_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "ANSWER_S", 0.05)
    monkeypatch.setattr(http_client, "MAX_ANSWER_BYTES", 1_000)

    async def dumb_then_talkative(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await read_request(reader) == b"talk":
            writer.write(answer(bytes(1_001)))
        await reader.read()

    async def ask(client: HttpClient) -> None:
        with pytest.raises(HttpFault, match="no answer"):
            await client.post(b"be silent")
        with pytest.raises(HttpFault, match="larger"):
            await client.post(b"talk")

    talk(dumb_then_talkative, ask)


def test_nobody_there_is_a_fault() -> None:
    async def run() -> None:
        client = HttpClient("127.0.0.1", 9)
        try:
            with pytest.raises(HttpFault, match="ClientConnectorError"):
                await client.post(b"")
        finally:
            await client.close()

    asyncio.run(run())
