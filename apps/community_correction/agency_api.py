"""The routes for other agencies' services, all of them signed (`transport`). No person's session counts
here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from apps.community_correction.chain_view import ChainView
from apps.community_correction.receiving import Receiving
from apps.community_correction.transport import (
    Caller,
    TransportError,
    chunks,
    signed_digest,
    told_height,
    verify_caller,
)
from apps.community_correction.vault import Vault, VaultError
from apps.site.context import site_of

MAX_ENVELOPE_BYTES = 600_000
DocumentId = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
FileIndex = Annotated[int, Path(ge=0, lt=256)]


def agency_routes(
    chain: ChainView,
    receiving: Receiving,
    vault: Vault,
    wake: Callable[[], None],
    catch_up: Callable[[int], None],
) -> APIRouter:
    """The router. `wake` is called after a document was stored, so that its delivery is reported at once;
    `catch_up` with the block that a caller has read the chain to."""
    router = APIRouter(prefix="/agency/documents/{document}", include_in_schema=False)

    async def caller_of(request: Request) -> Caller:
        query = f"?{request.url.query}" if request.url.query else ""
        url = site_of(request).config.public_url + request.url.path + query
        headers = dict(request.headers)
        caller = await run_in_threadpool(verify_caller, chain, request.method, url, headers)
        await run_in_threadpool(catch_up, told_height(headers))
        return caller

    async def signed_body(request: Request) -> bytes:
        expected = signed_digest(request.headers)
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_ENVELOPE_BYTES:
                raise TransportError(
                    "transport.too_large", "the body is too large", expected=MAX_ENVELOPE_BYTES
                )
        if hashlib.sha256(body).digest() != expected:
            raise TransportError("transport.digest_mismatch", "the body is not the one that was signed")
        return bytes(body)

    @router.put("")
    async def announce(document: DocumentId, request: Request) -> Response:
        caller = await caller_of(request)
        body = await signed_body(request)
        missing = await run_in_threadpool(receiving.announce, caller, document, body)
        return JSONResponse({"missing": missing})

    @router.put("/files/{index}")
    async def bring(document: DocumentId, index: FileIndex, request: Request) -> Response:
        await caller_of(request)
        expected = await run_in_threadpool(receiving.file_expected, document, index)
        if signed_digest(request.headers) != expected.sha256:
            raise TransportError("transport.digest_mismatch", "not the file that belongs here")
        with vault.writer() as writer:
            received = 0
            async for piece in request.stream():
                received += len(piece)
                if received > expected.size:
                    raise VaultError("vault.not_as_expected", "more bytes than announced", got=received)
                writer.write(piece)
            await run_in_threadpool(writer.finish, expected)
        return Response(status_code=204)

    @router.post("/complete")
    async def complete(document: DocumentId, request: Request) -> Response:
        await caller_of(request)
        await run_in_threadpool(receiving.complete, document)
        wake()
        return JSONResponse({"stored": True})

    @router.put("/reason")
    async def reason(document: DocumentId, request: Request) -> Response:
        caller = await caller_of(request)
        body = await signed_body(request)
        await run_in_threadpool(receiving.take_reason, caller, document, body)
        return Response(status_code=204)

    @router.get("")
    async def envelope(document: DocumentId, request: Request) -> Response:
        caller = await caller_of(request)
        raw = await run_in_threadpool(receiving.envelope_for, caller, document)
        return Response(raw, media_type="application/json")

    @router.get("/files/{index}")
    async def ciphertext(document: DocumentId, index: FileIndex, request: Request) -> Response:
        caller = await caller_of(request)
        digest = await run_in_threadpool(receiving.file_for, caller, document, index)
        source = vault.open(digest.sha256)
        headers = {"Content-Length": str(digest.size)}
        return StreamingResponse(chunks(source), media_type="application/octet-stream", headers=headers)

    return router
