"""The demo's directory offers the newest passkey first, then older ones, then the key file."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from apps.site.demo_directory import DemoDirectory
from apps.site.people import RESIDENT


def credential(kind: str, number: int) -> dict[str, object]:
    byte = f"{number:02x}"
    return {
        "scheme": 1,
        "public_key": "0x" + byte * 64,
        "address": "0x" + byte * 20,
        "credential_id": "",
        "kind": kind,
    }


PEOPLE = [
    {
        "id": "court-handler",
        "name": "法院承办人（示范）",
        "organisation": 1,
        "organisation_name": "示范区人民法院",
        "identity": "0x" + "01" * 16,
        "domain": 1,
        "roles": 1,
        # As the identity service lists them: passkeys first, the newest first.
        "credentials": [credential("passkey", 3), credential("passkey", 2), credential("signer", 1)],
    },
    {
        "id": "resident-01",
        "name": "示范居民01",
        "organisation": 7,
        "organisation_name": "示范区数统局",
        "identity": "0x" + "02" * 16,
        "domain": 2,
        "roles": 1024,
        "credentials": [credential("signer", 4)],
    },
]


@pytest.fixture
def identity_url() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            raw = json.dumps(PEOPLE).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_the_newest_passkey_comes_first_and_the_key_file_last(identity_url: str) -> None:
    directory = DemoDirectory(
        identity_url,
        knows=lambda person: not person.holds(RESIDENT),
        signs_in=lambda person: person.organisation == 1,
    )
    person = directory.person("court-handler")
    assert person is not None
    assert [(one.kind, one.address[0]) for one in person.credentials] == [
        ("passkey", 3),
        ("passkey", 2),
        ("signer", 1),
    ]


def test_a_correction_process_learns_no_residents_name(identity_url: str) -> None:
    directory = DemoDirectory(
        identity_url,
        knows=lambda person: not person.holds(RESIDENT),
        signs_in=lambda person: person.organisation == 1,
    )
    assert directory.name_of(b"\2" * 16) is None
    assert directory.person("resident-01") is None
    assert [person.id for person in directory.people()] == ["court-handler"]
