"""The identity service's routes.

| route | who | what |
|---|---|---|
| `GET /sign`, `/register`, `/static/*`, `/config.json` | everybody | the pinned signing page |
| `GET /api/credentials/{address}` | everybody (the chain shows the same) | a credential |
| `GET /demo`, `GET /demo/people` | everybody, on a demo chain only | the made-up people |
| `POST /demo/passkeys` | pages of this origin and programs, on a demo chain only | enrol a passkey |
| `GET /health` | everybody | is it up |
"""

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import structlog
from fastapi import FastAPI, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp

from identity.authenticator import base64url, decode_base64url
from identity.demo.files import load_cast
from identity.errors import AuthenticatorError, EnrolmentError, NodeError
from identity.http import Guard, origin_of, refusal
from identity.node import NodeClient
from identity.page import load_page, page_routes
from identity.web.config import AppOrigin, IdentityConfig
from identity.web.demo import DemoEnrolment
from identity.web.directory import Credential, Directory
from node.chain.errors import ShelianError, SignatureRefused

_log = structlog.get_logger(__name__)
_PAGES = {"/sign": "sign.html", "/register": "register.html"}
_STATUS = {
    "enrolment.unknown_person": 404,
    "enrolment.key_known": 409,
    "enrolment.unknown_credential": 404,
    "enrolment.not_a_demo": 404,
}
_ADDRESS = re.compile(r"0x[0-9a-f]{40}")


class PasskeyToEnrol(BaseModel):
    """Body of `POST /demo/passkeys`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    person: Annotated[str, Field(max_length=64)]
    public_key: Annotated[str, Field(pattern=r"^0x[0-9a-f]{128}$")]
    credential_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,1366}$")]


def create_app(config: IdentityConfig) -> ASGIApp:
    """The application, guarded. Raises SigningRefused `page.not_pinned` instead of serving another page."""
    files = load_page()
    directory = Directory(config.data_directory / "credentials.sqlite")
    node = NodeClient(config.node_url, token=config.node_token)
    demo = _open_demo(config, directory, node)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        node.close()
        directory.close()

    app = FastAPI(title="Shelian identity", version="1", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_exception_handler(ShelianError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    pages = {**_PAGES, "/demo": "demo.html"} if demo else _PAGES
    app.router.routes.extend(page_routes(files, pages, lambda: page_configuration(config)))

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/api/credentials/{address}")
    def credential(address: Annotated[str, Path(pattern=_ADDRESS.pattern)]) -> dict[str, Any]:
        found = directory.find(bytes.fromhex(address[2:]))
        if found is None:
            raise EnrolmentError("enrolment.unknown_credential", "no such credential", got=address)
        return credential_json(found)

    @app.get("/demo/people")
    def people() -> list[dict[str, Any]]:
        return [
            {
                "id": person.id,
                "name": person.name,
                "organisation": person.organisation,
                "organisation_name": person.organisation_name,
                "identity": "0x" + person.identity.hex(),
                "domain": person.domain,
                "roles": person.roles,
                "credentials": [credential_json(one) for one in directory.of_identity(person.identity)],
            }
            for person in _demo(demo).people
        ]

    @app.post("/demo/passkeys", status_code=201)
    def enrol_passkey(body: PasskeyToEnrol) -> dict[str, Any]:
        enrolled, receipts = _demo(demo).enrol_passkey(
            body.person, bytes.fromhex(body.public_key[2:]), decode_base64url(body.credential_id)
        )
        return {
            **credential_json(enrolled),
            "transactions": ["0x" + receipt.transaction.hex() for receipt in receipts],
            "block": receipts[-1].block,
        }

    return Guard(app, config.public_url)


def page_configuration(config: IdentityConfig) -> dict[str, Any]:
    """`/config.json` of the signing page: what it may sign for and whom it may answer."""
    return {
        "device": "passkey",
        "schemes": [1],
        "rp_id": config.rp_id,
        "chain_id": config.chain_id,
        "purpose": config.purpose,
        "apps": [{"origin": app.origin, "name": app.name} for app in _apps(config)],
        "organisations": {str(id): name for id, name in config.organisations.items()},
        "signer_page": config.signer_page,
    }


def credential_json(credential: Credential) -> dict[str, Any]:
    """A credential as the API shows it."""
    return {
        "address": "0x" + credential.address.hex(),
        "scheme": credential.scheme,
        "public_key": "0x" + credential.public_key.hex(),
        "credential_id": base64url(credential.credential_id),
        "kind": credential.kind,
        "identity": "0x" + credential.identity.hex(),
    }


def _apps(config: IdentityConfig) -> tuple[AppOrigin, ...]:
    # The demo page enrols passkeys, so it is an app of its own origin.
    own = (AppOrigin(origin_of(config.public_url), "身份服务（示范）"),) if config.purpose == "demo" else ()
    return (*config.apps, *own)


def _open_demo(config: IdentityConfig, directory: Directory, node: NodeClient) -> DemoEnrolment | None:
    if config.purpose != "demo" or config.demo_directory is None:
        return None
    _log.warning(
        "DEMO: registrars' keys stand on this machine and sign by program; never do this in production"
    )
    return DemoEnrolment(
        load_cast(config.demo_directory),
        config.demo_directory,
        directory,
        node,
        chain_purpose=config.purpose,
        origin=origin_of(config.public_url),
        clock=time.time,
    )


def _demo(demo: DemoEnrolment | None) -> DemoEnrolment:
    if demo is None:
        raise EnrolmentError(
            "enrolment.not_a_demo", "this chain is not a demo", got="production", expected="demo"
        )
    return demo


async def _answer_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ShelianError)  # noqa: S101 (registered for this type only)
    if isinstance(error, NodeError):
        status = 502
    elif isinstance(error, EnrolmentError | SignatureRefused | AuthenticatorError):
        status = _STATUS.get(error.code, 422)
    else:
        status = 500
    return refusal(error, status)


async def _answer_invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 (registered for this type only)
    fields = [".".join(str(part) for part in item["loc"]) for item in error.errors()]
    return refusal(EnrolmentError("http.invalid", "the request is not of the expected form", got=fields), 422)
