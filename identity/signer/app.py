"""The signer's routes.

| route | who | what | |---|---|---| | `GET /sign`, `/static/*`, `/config.json` | the person's browser | the
pinned signing page | | `GET /api/page/keys`, `POST /api/page/pair`, `/api/page/sign` | the signer's own page,
by its page token | keys, admit a site, sign | | `GET /api/keys`, `POST /api/sign`, `/api/lock` | programs of
the person, by the pairing token | keys, sign, forget | | `GET /health` | everybody on this machine | is it up
|
"""

import time
from typing import Annotated, Any

import structlog
from fastapi import Depends, FastAPI, Header, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp

from identity.descriptors import title_of
from identity.errors import SigningRefused
from identity.http import Guard, origin_of, refusal
from identity.page import load_page, page_routes
from identity.request import SigningRequest, answer_signed, check_request
from identity.signer.config import SignerConfig
from identity.signer.keyring import Keyring
from identity.signer.pairing import Pairing
from identity.signing import sign_imi
from node.chain.errors import ShelianError
from node.chain.signing import SCHEMES
from node.chain.transaction import ImiTransaction

_log = structlog.get_logger(__name__)
_PROGRAM = "program"
_STATUS = {
    "signer.token": 401,
    "signer.page_token": 403,
    "signer.origin_not_paired": 403,
    "sign.key_not_here": 404,
    "sign.locked": 423,
}

Session = Annotated[str, Header(alias="x-shelian-session", pattern="^0x[0-9a-f]{64}$")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class OriginToAdmit(_Body):
    """Body of `POST /api/page/pair`."""

    origin: Annotated[str, Field(max_length=256)]


class PageSignature(_Body):
    """Body of `POST /api/page/sign`: the fields of the transaction, and the hash that the page computed."""

    passphrase: Annotated[str, Field(max_length=1024)]
    chain_id: int
    nonce: int
    valid_until: int
    gas_limit: int
    calls: list[dict[str, str]]
    scheme: int
    public_key: str
    signing_hash: str


class ProgramSignature(_Body):
    """Body of `POST /api/sign`: a signing request, and the passphrase if the key is locked."""

    request: dict[str, Any]
    passphrase: Annotated[str, Field(max_length=1024)] = ""


def create_app(config: SignerConfig) -> ASGIApp:
    """The application, guarded. Raises SigningRefused `page.not_pinned`; makes a new pairing token."""
    files = load_page()
    pairing = Pairing(config.state_directory, config.apps)
    keyring = Keyring(
        config.keys_directory,
        chain_purpose=config.purpose,
        idle_seconds=config.idle_seconds,
        clock=time.monotonic,
    )
    app = FastAPI(title="Shelian signer", version="1", docs_url=None, redoc_url=None)
    app.add_exception_handler(ShelianError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.router.routes.extend(
        page_routes(files, {"/sign": "sign.html"}, lambda: _page_configuration(config, pairing))
    )

    def page(token: Annotated[str, Header(alias="x-shelian-token")] = "") -> None:
        pairing.require_page_token(token)

    def program(authorization: Annotated[str, Header()] = "") -> None:
        pairing.require_token(authorization)

    def sign(request: SigningRequest, session: str, passphrase: str) -> ImiTransaction:
        unsigned = request.unsigned
        titles = [title_of(call).zh for call in unsigned.calls]
        key = keyring.key(session, unsigned.scheme, unsigned.public_key, passphrase)
        signed = sign_imi(key, unsigned, origin=origin_of(config.public_url), rp_id=config.rp_id)
        _log.info(
            "signed", calls=sorted(set(titles)), count=len(titles), transaction="0x" + signed.hash.hex()
        )
        return signed

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/api/page/keys", dependencies=[Depends(page)])
    def page_keys(session: Session) -> list[dict[str, Any]]:
        return _keys(keyring, session)

    @app.get("/api/keys", dependencies=[Depends(program)])
    def keys() -> list[dict[str, Any]]:
        return _keys(keyring, _PROGRAM)

    @app.post("/api/page/pair", dependencies=[Depends(page)])
    def pair(body: OriginToAdmit) -> dict[str, str]:
        pairing.admit(body.origin)
        return {"origin": body.origin}

    @app.post("/api/page/sign", dependencies=[Depends(page)])
    def page_sign(body: PageSignature, session: Session) -> dict[str, str]:
        fields = body.model_dump(exclude={"passphrase", "signing_hash"})
        shown = {"v": 1, "credential_id": "", "signer": "", "return_to": "", "state": ""}
        request = check_request({**fields, **shown}, chain_id=config.chain_id, now=int(time.time()))
        signing_hash = "0x" + request.unsigned.signing_hash.hex()
        if signing_hash != body.signing_hash:
            raise SigningRefused(
                "sign.other_hash",
                "the page shows another transaction",
                got=body.signing_hash,
                expected=signing_hash,
            )
        return {"signature": "0x" + sign(request, session, body.passphrase).signature.hex()}

    @app.post("/api/sign", dependencies=[Depends(program)])
    def program_sign(body: ProgramSignature) -> dict[str, Any]:
        request = check_request(body.request, chain_id=config.chain_id, now=int(time.time()))
        pairing.require_origin(request.return_origin)
        return answer_signed(request, sign(request, _PROGRAM, body.passphrase))

    @app.post("/api/lock", dependencies=[Depends(program)])
    def lock() -> dict[str, str]:
        keyring.lock()
        return {"status": "locked"}

    return Guard(app, config.public_url)


def _keys(keyring: Keyring, session: str) -> list[dict[str, Any]]:
    return [
        {
            "label": file.label,
            "scheme": file.algorithm.scheme,
            "algorithm": file.algorithm.name,
            "public_key": "0x" + file.public_key.hex(),
            "address": "0x" + file.address.hex(),
            "purpose": file.purpose,
            "unlocked": keyring.is_unlocked(session, file.algorithm.scheme or 0, file.public_key),
        }
        for file in keyring.files()
    ]


def _page_configuration(config: SignerConfig, pairing: Pairing) -> dict[str, Any]:
    return {
        "device": "key-file",
        "schemes": sorted(SCHEMES),
        "rp_id": config.rp_id,
        "chain_id": config.chain_id,
        "purpose": config.purpose,
        "apps": [{"origin": app.origin, "name": app.name} for app in pairing.apps()],
        "organisations": {str(id): name for id, name in config.organisations.items()},
        "signer_page": "",
        "page_token": pairing.page_token,
        "demo_passphrase": config.demo_passphrase if config.purpose == "demo" else "",
    }


async def _answer_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ShelianError)  # noqa: S101 (registered for this type only)
    return refusal(error, _STATUS.get(error.code, 422))


async def _answer_invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 (registered for this type only)
    fields = [".".join(str(part) for part in item["loc"]) for item in error.errors()]
    return refusal(SigningRefused("http.invalid", "the request is not of the expected form", got=fields), 422)
