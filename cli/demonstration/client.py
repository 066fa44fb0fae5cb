"""One person of the demo at one application's public API, with the key that their own device would hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from cli.demo_signer import DemoSigner
from cli.demonstration.run import Done
from node.chain.errors import ShelianError


class ApiRefusal(ShelianError):
    """What an application refused, with its own code."""


class PersonClient:
    """Signed in by the demo's role switch; `name` is what the pages call the person."""

    def __init__(self, url: str, person: str, signer: DemoSigner) -> None:
        self.person = person
        self._signer = signer
        # Somebody may have bound a passkey to this person since; this program holds the key file.
        headers = {"Shelian-Credential": "signer"}
        self._http = httpx.Client(base_url=url, timeout=60, trust_env=False, headers=headers)
        self.name = str(self.post("/demo/login", {"person": person})["name"])

    def close(self) -> None:
        self._http.close()

    def get(self, path: str) -> Any:
        return _answer(self._http.get(path))

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Raises ApiRefusal with the application's code."""
        return _answer(self._http.post(path, json=dict(body or {})))

    def upload(self, path: str, fields: Mapping[str, Any], name: str, content: bytes, media_type: str) -> Any:
        """A multipart form with one file."""
        return _answer(self._http.post(path, data=dict(fields), files={"files": (name, content, media_type)}))

    def download(self, path: str) -> bytes:
        response = self._http.get(path)
        if response.is_error:
            _answer(response)
        return response.content

    def sign(self, request: Mapping[str, Any]) -> Done:
        """Sign a signing request and finish it: submitted, and in a block."""
        raw = self._signer.sign(self.person, request)
        finished = self.post("/api/sign/finish", {"state": request["state"], "raw": raw})
        return Done(finished["transaction"], int(finished["block"]))

    def act(self, path: str, body: Mapping[str, Any] | None = None) -> Done:
        """Ask for a signing request, sign it, finish it."""
        return self.sign(self.post(path, body))


def _answer(response: httpx.Response) -> Any:
    try:
        answer = response.json()
    except ValueError:
        raise ApiRefusal("demo.no_answer", "the application gave no JSON", response.status_code) from None
    if response.is_error:
        raise ApiRefusal(
            str(answer.get("code", "demo.no_answer")),
            str(answer.get("message", "")),
            answer.get("got"),
            answer.get("expected"),
        )
    return answer
