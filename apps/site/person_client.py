"""One person at an application's public API, for programs: tests, sample data, `shelian demo`.

Signs in by the demo's role switch, so outside a demo the first call fails. The signature comes from a
callback, because only a demo's program may hold the keys of (invented) people.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx

from apps.site.errors import SiteError
from apps.site.text import Text

Sign = Callable[[str, Mapping[str, Any]], str]
"""(account name, signing request) -> the signed transaction as 0x hex."""

_TIMEOUT_S = 60


class PersonClient:
    """Every refusal is a SiteError with the application's code and sentences."""

    def __init__(self, url: str, person_id: str, sign: Sign, credential: str = "signer") -> None:
        """`credential` is which of the person's keys the callback holds: `signer`, `passkey`, an address."""
        self.id = person_id
        self._sign = sign
        headers = {"Shelian-Credential": credential}
        self._http = httpx.Client(base_url=url, timeout=_TIMEOUT_S, trust_env=False, headers=headers)
        self.name = str(self.call("POST", "/demo/login", {"person": person_id})["name"])

    def close(self) -> None:
        self._http.close()

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """One call with a JSON body."""
        return _answer(self._http.request(method, path, json=dict(body) if body is not None else None))

    def upload(self, path: str, fields: Mapping[str, Any], files: Sequence[tuple[str, bytes, str]]) -> Any:
        """A multipart form; `files` are (name, content, media type)."""
        parts = [("files", file) for file in files]
        return _answer(self._http.post(path, data=dict(fields), files=parts))

    def download(self, path: str) -> bytes:
        response = self._http.get(path)
        if response.is_error:
            _answer(response)
        return response.content

    def finish(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Sign a signing request that was asked for, and hand it in; `{transaction, block, next}`."""
        raw = self._sign(self.id, request)
        finished: Mapping[str, Any] = self.call(
            "POST", "/api/sign/finish", {"state": request["state"], "raw": raw}
        )
        return finished

    def do(self, path: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Ask for a signing request, sign it, finish it; `{transaction, block, next}`."""
        return self.finish(self.call("POST", path, body or {}))


def _answer(response: httpx.Response) -> Any:
    try:
        answer = response.json()
    except ValueError:
        answer = {}
    if response.is_error:
        plain = {"zh": str(answer.get("message", "")), "en": str(answer.get("message", ""))}
        raise SiteError(
            str(answer.get("code", "site.http")),
            Text(**(answer.get("text") or plain)),
            Text(**(answer.get("next_step") or {"zh": "", "en": ""})),
            status=response.status_code,
            got=answer.get("got"),
            expected=answer.get("expected"),
        )
    return answer
