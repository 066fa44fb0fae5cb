"""The signing page in Chromium: a real service, a virtual authenticator, an app that receives answers."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from identity.web import AppOrigin, IdentityConfig, create_app

CHAIN_ID = 4_503_599_627_370_001
ORGANISATIONS = {1: "示范区人民法院", 2: "示范区人民检察院", 3: "示范区公安分局", 4: "示范区司法局"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Served:
    """An ASGI application on a loopback port, in a thread of its own."""

    def __init__(self, make: Callable[[str], ASGIApp]) -> None:
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        config = uvicorn.Config(make(self.url), host="127.0.0.1", port=self.port, log_level="error")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.01)

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()


@dataclass(frozen=True)
class Site:
    """A signing service and an app beside it."""

    url: str
    app_url: str

    @property
    def return_to(self) -> str:
        return f"{self.app_url}/sign/return"


def fragment(data: object) -> str:
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def answer_of(page: Page) -> dict[str, Any]:
    """What came back to the app behind the `#`."""
    text = page.url.split("#", 1)[1]
    answer: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return answer


def an_app() -> Starlette:
    def returned(_: object) -> HTMLResponse:
        return HTMLResponse("<!doctype html><title>app</title><p id=returned>返回</p>")

    return Starlette(routes=[Route("/sign/return", returned)])


@pytest.fixture(scope="session")
def app_url() -> Iterator[str]:
    served = Served(lambda _: an_app())
    yield served.url
    served.close()


@pytest.fixture(scope="session")
def site(app_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    served = Served(
        lambda url: create_app(
            IdentityConfig(
                public_url=url,
                rp_id="localhost",
                data_directory=tmp_path_factory.mktemp("identity"),
                node_url="http://localhost:1",
                chain_id=CHAIN_ID,
                purpose="production",
                apps=(AppOrigin(app_url, "社矫链·法院"),),
                organisations=ORGANISATIONS,
            )
        )
    )
    yield Site(served.url, app_url)
    served.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(locale="zh-CN", viewport={"width": 1180, "height": 820})
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page whose scripts must not fail and must not break the content security policy."""
    problems: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "console",
        lambda message: problems.append(message.text) if "Content Security Policy" in message.text else None,
    )
    page.set_default_timeout(8_000)
    yield page
    assert problems == []


class VirtualAuthenticator:
    """A platform authenticator inside Chromium that says yes to everything."""

    def __init__(self, page: Page, **options: Any) -> None:
        self._cdp = page.context.new_cdp_session(page)
        self._cdp.send("WebAuthn.enable")
        defaults: dict[str, Any] = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        added = self._cdp.send("WebAuthn.addVirtualAuthenticator", {"options": {**defaults, **options}})
        self.id: str = added["authenticatorId"]

    def set_user_verified(self, verified: bool) -> None:
        self._cdp.send("WebAuthn.setUserVerified", {"authenticatorId": self.id, "isUserVerified": verified})


@pytest.fixture
def authenticator(page: Page) -> VirtualAuthenticator:
    return VirtualAuthenticator(page)
